"""Places: where ids stand among sorted ones, by a binary search of each; nothing is made of all items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.located import located
from training.recommenders.listed import Listed

Places = NDArray[np.intp]


def positions(items: NDArray[np.str_], ids: NDArray[np.str_] | Listed) -> Places:
    """Where these ids stand among the sorted `items`, of listed ones rising and each once; unknown ids are left out."""
    if isinstance(ids, Listed):
        return ids.told(items, lambda own: np.unique(positions(items, own)))
    found, known = located(items, np.asarray(ids, dtype=np.str_))
    return found[known]


def pairs(items: NDArray[np.str_], each: Sequence[NDArray[np.str_]]) -> tuple[Places, Places]:
    """Rows and places of these ids, one array of ids a row; unknown ids are left out."""
    row = np.repeat(np.arange(len(each)), [len(ids) for ids in each])
    if not len(row):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    found, known = located(items, np.concatenate([np.asarray(some, dtype=np.str_) for some in each]))
    return row[known], found[known]


def shared(one: Places, other: Places) -> Places:
    """What both hold; both rise, each value once, and so does what comes out."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    return few[located(many, few)[1]]


def joined(one: Places, other: Places) -> Places:
    """What either holds; both rise, each value once, and so does what comes out."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    new = few[~located(many, few)[1]]
    return np.insert(many, many.searchsorted(new), new) if len(new) else many
