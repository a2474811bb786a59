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
from functools import reduce
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.scorer import Scorer, Scores
from training.recommenders.topk import LEAST, NEVER, near

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Numbers = NDArray[np.float32]
Columns = dict[str, Numbers]
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
    best = {name: Best.of(found, allowed, each) for name, found in scores.items()}
    keys = reduce(np.union1d, [found.keys for found in best.values()])
    row, item = np.divmod(keys, allowed.shape[1])
    columns: Columns = {}
    for name, found in scores.items():
        columns |= _words(name, found[row, item], best[name].top[row], best[name].place(keys))
    return Candidates(row, item, columns)


@dataclass(frozen=True)
class Best:
    """What a member puts first: `keys`, row * items + item, sorted, and `places`, 0 for a row's best.

    `top` is a row's best score, 0 where the member has no opinion; `each` is the place of all that is not there.
    """

    keys: Rows
    places: Numbers
    top: Numbers
    each: int

    @classmethod
    def of(cls, scores: Scores, allowed: Mask, each: int) -> Self:
        """The `each` best allowed items of a row with a score above 0, ties by item."""
        each = min(each, scores.shape[1])
        masked = np.where(allowed, scores, NEVER)
        row, item = near(masked, each, floor=LEAST)
        order = np.lexsort((item, -masked[row, item], row))
        row, item = row[order], item[order]
        starts = np.searchsorted(row, np.arange(len(scores)))
        places = np.arange(len(row)) - starts[row]
        top = np.zeros(len(scores), dtype=np.float32)
        top[row[places == 0]] = masked[row[places == 0], item[places == 0]]
        kept = places < each
        keys = row[kept] * scores.shape[1] + item[kept]
        order = np.argsort(keys)
        return cls(keys[order], places[kept][order].astype(np.float32), top, each)

    def place(self, keys: Rows) -> Numbers:
        """The place of each of these, sorted, that hold all of its own."""
        places = np.full(len(keys), self.each, dtype=np.float32)
        places[np.searchsorted(keys, self.keys)] = self.places
        return places


def _words(name: str, score: Numbers, top: Numbers, place: Numbers) -> Columns:
    share = (score / np.maximum(top, TINY)).astype(np.float32)
    return {f"{name}.score": score, f"{name}.share": share, f"{name}.place": place}
