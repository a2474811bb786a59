"""Folds: rows dealt by what they hold, all of a customer into one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.exposures import Exposures
from features.table import FeatureTable


def fold_numbers(
    table: FeatureTable, exposures: Exposures, outcome: NDArray[np.float64], *, folds: int, seed: int
) -> NDArray[np.intp]:
    """A fold per row: all rows of a customer share one, and the order of the rows does not matter."""
    if table.customers is not None:
        customers, position = np.unique(table.customers.astype(str), return_inverse=True)
        keys = np.asarray(pd.util.hash_array(customers.astype(object)), dtype=np.uint64)
        return _dealt(keys, np.zeros(len(keys)), folds, seed)[position]
    content = table.frame.assign(arm=exposures.arm, outcome=outcome, weight=exposures.weight)
    keys = np.asarray(pd.util.hash_pandas_object(content, index=False), dtype=np.uint64)
    return _dealt(keys, np.unique(exposures.arm, return_inverse=True)[1], folds, seed)


def _dealt(keys: NDArray[np.uint64], group: NDArray[np.generic], folds: int, seed: int) -> NDArray[np.intp]:
    # Shuffled by a hash of what the row holds and dealt like cards within each group; equal rows are interchangeable.
    mixed = pd.util.hash_array(keys ^ np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64))
    order = np.lexsort((mixed, group))
    dealt = np.empty(len(keys), dtype=np.intp)
    dealt[order] = np.arange(len(keys)) % folds
    return dealt
