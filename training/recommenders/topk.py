"""The best k of a score matrix under an ItemFilter: exact, ties by item id, exactly k while k are allowed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from features.interactions import PAIR, Interactions
from features.located import located
from training.recommenders.base import Allowed, ItemFilter, Rankings

Found = TypeVar("Found")
NEVER = np.float32(-np.inf)
WORST = np.finfo(np.float32).min
LEAST = np.finfo(np.float32).smallest_subnormal  # the smallest score above 0
GROUPS = 512  # of columns whose maxima are compared first, for a k up to an eighth of it
CELLS = 8_000_000  # scores held at once: 32 MB as float32, however many customers are asked for

Block = tuple[Interactions, Allowed]  # some histories, and which items may be answered to each
Answers = list[tuple[NDArray[np.str_], NDArray[np.float32]]]


def ranked(
    score: Callable[[Interactions, Allowed], NDArray[np.float32]],
    popularity: NDArray[np.float32],
    histories: Interactions,
    k: int,
    *,
    items: ItemFilter,
) -> Rankings:
    """The k best per history. `histories` are aligned with the model's items; scores of 0 or less are filled.

    `score` gives (rows, items) for some histories and what may be answered to them; what it leaves at 0 or below is
    ranked by popularity, after everything above 0.
    """
    at_least_1(k)

    def answered(block: Block) -> Answers:
        return best_each(histories.items, score(*block), block[1].refused, popularity, k)

    answers = [answer for block in over_blocks(answered, histories, items) for answer in block]
    assert len(answers) == len(histories.customers)  # noqa: S101  # one lost is a customer given another's answer
    return Rankings(tuple(ids for ids, _ in answers), tuple(scores for _, scores in answers))


def at_least_1(k: int) -> int:
    """k, where an answer can be that long."""
    if k < 1:
        raise ValueError(f"k == {k}, must be at least 1")
    return k


def over_blocks(work: Callable[[Block], Found], histories: Interactions, items: ItemFilter) -> list[Found]:
    """What `work` gives for runs of histories small enough to score at once, in order; a core works on each run."""

    def found(part: tuple[Interactions, ItemFilter]) -> Found:
        rows, rule = part
        return work((rows, Allowed(rule, histories.items, len(rows.customers))))

    parts = _parts(histories, items)
    if len(histories.customers) <= _rows(histories):
        return [found(part) for part in parts]
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(found, parts))


@cache
def _libraries() -> ThreadpoolController:
    """Those that have threads, looked for once: it takes longer than some answers."""
    return ThreadpoolController()


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


def best_each(
    items: NDArray[np.str_],
    scores: NDArray[np.float32],
    refused: NDArray[np.intp],
    popularity: NDArray[np.float32],
    k: int,
) -> Answers:
    """Per row `best` of the `filled` scores, for all rows at once; `refused` are flat places of the scores."""
    own = None if scores.flags.owndata else True  # a view may be what the model learned
    masked = np.array(scores, dtype=np.float32, copy=own, order="C")
    masked.ravel()[refused] = NEVER
    row, item = near(masked, k, floor=LEAST)
    few = np.flatnonzero(np.bincount(row, minlength=len(masked)) < k)  # the k-th best of these is filled
    if len(few):
        masked[few] = np.where(masked[few] == NEVER, NEVER, filled(masked[few], popularity))
        kept = ~np.isin(row, few)
        more_row, more_item = near(masked[few], k, floor=WORST)
        row, item = np.concatenate([row[kept], few[more_row]]), np.concatenate([item[kept], more_item])
    values = masked[row, item]
    order = np.lexsort((item, -values, row))
    ids, values, row = items[item[order]], values[order], row[order]
    starts = np.searchsorted(row, np.arange(len(masked) + 1)).tolist()
    ends = [min(start + k, stop) for start, stop in pairwise(starts)]
    return [(ids[start:end], values[start:end]) for start, end in zip(starts, ends, strict=False)]


def near(scores: NDArray[np.float32], k: int, *, floor: np.float32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns that hold all of the k best of each row that are at least `floor`, and few others.

    The k-th largest of the maxima of disjoint groups of columns is never above the k-th best score: one pass finds it,
    and groups whose maximum is below it are not looked at again.
    """
    rows, columns = scores.shape
    deep = max(1, columns // (GROUPS * -(-k // (GROUPS // 8))))
    groups = columns // deep
    head = scores[:, : deep * groups].reshape(rows, deep, groups)
    peaks = np.concatenate([head.max(axis=1), scores[:, deep * groups :]], axis=1)
    width = peaks.shape[1]
    edge = np.full(rows, floor)
    if width >= k:
        edge = np.maximum(np.partition(peaks, width - k, axis=1)[:, width - k], floor)
    row, peak = np.divmod(np.flatnonzero(peaks >= edge[:, None]), width)  # faster than `nonzero` of two dimensions
    alone = peak >= groups
    single = (row[alone], deep * groups + peak[alone] - groups)
    row, peak = row[~alone], peak[~alone]
    flat = (row * columns + peak)[:, None] + groups * np.arange(deep)
    among = np.flatnonzero(scores.ravel()[flat] >= edge[row][:, None])
    inside = np.divmod(flat.ravel()[among], columns)
    return np.concatenate([single[0], inside[0]]), np.concatenate([single[1], inside[1]])


def ranked_others(
    items_known: NDArray[np.str_], scores: NDArray[np.float32], place: int, k: int, *, items: ItemFilter
) -> Rankings:
    """One ranking by these scores of all items but the one at this place."""
    mask = items.mask(items_known, 1)[0]
    mask[place] = False
    ids, values = best(items_known, scores, mask, at_least_1(k))
    return Rankings((ids,), (values,))


def aligned(histories: Interactions, items: NDArray[np.str_]) -> Interactions:
    """The same histories over the model's items; items that the model does not know are left out."""
    if histories.items is items:
        return histories
    used, place = np.unique(histories.item, return_inverse=True)
    ids = histories.items[used]
    found, heard = located(items, ids)
    known = heard[place]
    kept = {name: getattr(histories, name)[known] for name in PAIR}
    item = found[place][known].astype(np.int32)
    lines = histories.lines and histories.lines.aligned(histories.items, items)
    return replace(histories, items=items, baskets=None, lines=lines, **kept | {"item": item})


def _rows(histories: Interactions) -> int:
    return max(1, CELLS // max(1, len(histories.items)))


def _parts(histories: Interactions, items: ItemFilter) -> Iterator[tuple[Interactions, ItemFilter]]:
    """Runs of customers small enough to score at once, each with its part of the filter."""
    rows = _rows(histories)
    for start in range(0, len(histories.customers), rows):
        stop = min(start + rows, len(histories.customers))
        yield histories.between(start, stop), _filter_between(items, start, stop)


def _filter_between(items: ItemFilter, start: int, stop: int) -> ItemFilter:
    excluded = None if items.excluded_each is None else items.excluded_each[start:stop]
    required = None if items.required_each is None else items.required_each[start:stop]
    return replace(items, excluded_each=excluded, required_each=required)
