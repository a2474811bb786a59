"""Candidates: per customer the items that any member of a ranker puts among its best, with what the members say.

member A: tea milk cup          tea   A: score, share of A's best, place      B: ...
member B: tea rice       ->     milk
                                cup
                                rice
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.scorer import Scorer, Scores

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Columns = dict[str, NDArray[np.float32]]
TINY = np.float32(1e-12)


@dataclass(frozen=True)
class Candidates:
    """Pairs of a history (its row) and an item (its place), sorted by both, and the members' words on each."""

    row: Rows
    item: Rows
    columns: Columns


def candidates(
    members: Mapping[str, Scorer], histories: Interactions, allowed: Mask, each: int, as_of: datetime | None
) -> Candidates:
    """The `each` best allowed items of every member that it has an opinion on, together.

    `histories` are aligned with the members' items.
    """
    scores = {name: member.scores(histories, as_of) for name, member in members.items()}
    best = {name: _best(found, allowed, each) for name, found in scores.items()}
    chosen = np.zeros(allowed.shape, dtype=bool)
    for name, places in best.items():
        before = np.take_along_axis(chosen, places, axis=1)
        opinion = np.take_along_axis(scores[name], places, axis=1) > 0
        np.put_along_axis(chosen, places, before | opinion, axis=1)
    row, item = np.nonzero(chosen & allowed)
    columns: Columns = {}
    for name, found in scores.items():
        columns |= _words(name, found, best[name], row, item)
    return Candidates(row, item, columns)


def _best(scores: Scores, allowed: Mask, each: int) -> Rows:
    """Per row the places of the `each` best allowed items, best first."""
    each = min(each, scores.shape[1])
    masked = np.where(allowed, -scores, np.float32(np.inf))
    places = np.argpartition(masked, each - 1, axis=1)[:, :each]
    order = np.argsort(np.take_along_axis(masked, places, axis=1), axis=1, kind="stable")
    best: Rows = np.take_along_axis(places, order, axis=1)
    return best


def _words(name: str, scores: Scores, best: Rows, row: Rows, item: Rows) -> Columns:
    place = np.full(scores.shape, best.shape[1], dtype=np.int16)
    np.put_along_axis(place, best, np.arange(best.shape[1], dtype=np.int16)[None, :], axis=1)
    top = np.take_along_axis(scores, best[:, :1], axis=1)[:, 0]
    score = scores[row, item]
    return {
        f"{name}.score": score,
        f"{name}.share": (score / np.maximum(top[row], TINY)).astype(np.float32),
        f"{name}.place": place[row, item].astype(np.float32),
    }
