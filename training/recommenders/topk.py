"""The best k of a score matrix under an ItemFilter: exact, ties by item id, exactly k while k are allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.interactions import PAIR, Interactions
from training.recommenders.base import ItemFilter, Rankings

CELLS = 8_000_000  # scores held at once: 32 MB as float32, however many customers are asked for

Scores = Callable[[Interactions], NDArray[np.float32]]


def ranked(
    score: Scores, popularity: NDArray[np.float32], histories: Interactions, k: int, *, items: ItemFilter
) -> Rankings:
    """The k best per history. `histories` are aligned with the model's items; scores of 0 or less are filled.

    `score` gives (rows, items) for a part of the histories; what it leaves at 0 or below is ranked by popularity, after
    everything above 0.
    """
    if k < 1:
        raise ValueError(f"k == {k}, must be at least 1")
    answers: list[tuple[NDArray[np.str_], NDArray[np.float32]]] = []
    for start, part, part_items in _parts(histories, items):
        mask = part_items.mask(histories.items, len(part.customers))
        scores = filled(score(part), popularity)
        answers.extend(best(histories.items, scores[row], mask[row], k) for row in range(len(mask)))
        assert len(answers) == start + len(mask)  # noqa: S101  # a part lost is a customer given another's answer
    return Rankings(tuple(ids for ids, _ in answers), tuple(scores for _, scores in answers))


def filled(scores: NDArray[np.float32], popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores, with those of 0 or less replaced by `popularity - 1`; popularity is in [0, 1], so they come last."""
    return np.where(scores > 0, scores, popularity - 1).astype(np.float32)


def best(
    items: NDArray[np.str_], scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int
) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """The ids and scores of the k best allowed items, best first, ties by id. `items` are sorted ids."""
    candidates = np.flatnonzero(allowed)
    if len(candidates) > k:
        values = scores[candidates]
        edge = np.partition(values, len(values) - k)[len(values) - k]
        above = candidates[values > edge]
        candidates = np.concatenate([above, candidates[values == edge][: k - len(above)]])
    order = candidates[np.lexsort((candidates, -scores[candidates]))]
    return items[order], scores[order]


def ranked_others(
    items_known: NDArray[np.str_], scores: NDArray[np.float32], place: int, k: int, *, items: ItemFilter
) -> Rankings:
    """One ranking by these scores of all items but the one at this place."""
    mask = items.mask(items_known, 1)[0]
    mask[place] = False
    ids, values = best(items_known, scores, mask, k)
    return Rankings((ids,), (values,))


def aligned(histories: Interactions, items: NDArray[np.str_]) -> Interactions:
    """The same histories over the model's items; items that the model does not know are left out."""
    if histories.items is items:
        return histories
    used, place = np.unique(histories.item, return_inverse=True)
    ids = histories.items[used]
    found = np.minimum(np.searchsorted(items, ids), len(items) - 1)
    known = (items[found] == ids)[place]
    kept = {name: getattr(histories, name)[known] for name in PAIR}
    item = found[place][known].astype(np.int32)
    return replace(histories, items=items, baskets=None, **kept | {"item": item})


def _parts(histories: Interactions, items: ItemFilter) -> Iterator[tuple[int, Interactions, ItemFilter]]:
    """Runs of customers small enough to score at once, each with its part of the filter."""
    rows = max(1, CELLS // max(1, len(histories.items)))
    for start in range(0, len(histories.customers), rows):
        stop = min(start + rows, len(histories.customers))
        yield start, histories.between(start, stop), _filter_between(items, start, stop)


def _filter_between(items: ItemFilter, start: int, stop: int) -> ItemFilter:
    excluded = None if items.excluded_each is None else items.excluded_each[start:stop]
    required = None if items.required_each is None else items.required_each[start:stop]
    return replace(items, excluded_each=excluded, required_each=required)
