"""Reasons of models whose score is a sum over the history: the terms that carried it are cited."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import Rankings, Reason
from training.recommenders.popularity import POPULAR

CITED = 3  # items named at most
SHARE = 0.25  # and only those that carry at least this share of the largest term

Contributions = Callable[[Interactions, int], NDArray[np.float32]]


def reasons_by_contribution(
    contributions: Contributions, histories: Interactions, rankings: Rankings
) -> list[list[Reason]]:
    """A reason per recommended item. `histories` are aligned with the model's items.

    A score of 0 or less was filled by popularity and says so. `contributions` gives, for one customer's history and one
    item, what each pair of the history adds to the item's score.
    """
    answers = []
    for row, history in enumerate(each(histories)):
        ids, scores = rankings.items[row], rankings.scores[row]
        terms = zip(ids.tolist(), scores.tolist(), strict=True)
        answers.append([_reason(contributions, history, item) if score > 0 else POPULAR for item, score in terms])
    return answers


def each(histories: Interactions) -> Iterator[Interactions]:
    """The histories one by one, as interactions of one customer."""
    for row in range(len(histories.customers)):
        yield one(histories, row)


def one(histories: Interactions, row: int) -> Interactions:
    """The history in this row, as interactions of one customer."""
    pairs = slice(int(histories.starts[row]), int(histories.starts[row + 1]))
    return Interactions(
        histories.customers[row : row + 1],
        histories.items,
        np.zeros(pairs.stop - pairs.start, dtype=np.int32),
        histories.item[pairs],
        histories.weight[pairs],
        histories.purchases[pairs],
        histories.first[pairs],
        histories.last[pairs],
        histories.as_of,
    )


def _reason(contributions: Contributions, history: Interactions, item: str) -> Reason:
    place = int(np.searchsorted(history.items, item))
    terms = contributions(history, place)
    if not len(terms) or terms.max() <= 0:
        return POPULAR
    order = np.lexsort((history.item, -terms))
    first = order[0]
    if history.item[first] == place and history.purchases[first] > 0:
        return Reason("buy_again", (item,))
    bought = history.purchases[order] > 0
    carrying = terms[order] >= SHARE * terms[first]
    if bought[0]:
        return Reason("because_you_bought", _ids(history, order[carrying & bought]))
    return Reason("because_you_viewed", _ids(history, order[carrying & ~bought]))


def _ids(history: Interactions, pairs: NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(history.items[history.item[pairs[:CITED]]].tolist())
