"""Ages of items: for how long an item had been in the log when the test period began, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from features.interactions import Interactions

Ids = NDArray[np.str_]
Row = NDArray[np.float64]
Groups = NDArray[np.intp]

UNSEEN = "not seen before"
DAY = 86_400_000_000  # in microseconds
SINCE = (0, 28, 91, 365)  # days since the first event, where a group begins
AGES = (UNSEEN, "under 4 weeks", "4 weeks to 3 months", "3 months to a year", "over a year")


def groups_of(train: Interactions, as_of: datetime) -> Groups:
    """Per item of the log its place in `AGES`."""
    log = train.bought_together
    # Whole numbers, not times: numpy finds their minima 20 times faster.
    now, known = np.datetime64(utc(as_of), "us").astype(np.int64), ~np.isnat(log.first)
    first = np.full(len(train.items), now, dtype=np.int64)
    np.minimum.at(first, log.item[known], log.first[known].astype("M8[us]").astype(np.int64))
    groups: Groups = np.searchsorted(np.array(SINCE) * DAY, now - first, side="right")
    return groups


def flat(each: Sequence[Ids], items: Ids, groups: Groups) -> tuple[Groups, Groups]:
    """Row and age group of all these ids; `items` are sorted, an id that is not among them was not seen before."""
    row = np.repeat(np.arange(len(each)), [len(ids) for ids in each])
    if not len(row) or not len(items):
        return row, np.zeros(len(row), dtype=np.intp)
    ids = np.concatenate([np.asarray(some, dtype=np.str_) for some in each])
    place = np.minimum(np.searchsorted(items, ids), len(items) - 1)
    return row, np.where(items[place] == ids, groups[place], 0)


def shares(each: Sequence[Ids], items: Ids, groups: Groups) -> dict[str, float]:
    """Per age group its share of all these ids; 0 each where there are none."""
    _, group = flat(each, items, groups)
    counts = np.bincount(group, minlength=len(AGES)) / max(len(group), 1)
    return dict(zip(AGES, counts.tolist(), strict=True))


def recalls(answers: Sequence[Ids], relevant: Sequence[Ids], items: Ids, groups: Groups) -> dict[str, Row]:
    """Per age group and customer the share of the relevant items of this age that was answered; NaN for none."""
    row, group = flat(relevant, items, groups)
    answered = [set(ids.tolist()) for ids in answers]
    found = [item in ids for ids, truth in zip(answered, relevant, strict=True) for item in truth.tolist()]
    cell, cells = row * len(AGES) + group, len(relevant) * len(AGES)
    counts, hits = np.bincount(cell, minlength=cells), np.bincount(cell, np.array(found, float), minlength=cells)
    values = np.where(counts > 0, hits / np.maximum(counts, 1), np.nan).reshape(-1, len(AGES))
    return {name: values[:, place] for place, name in enumerate(AGES)}
