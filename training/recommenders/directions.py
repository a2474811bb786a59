"""Directions: what models share that put items at vectors: a history is a mean of its items', likeness a cosine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import Interactions

Matrix = NDArray[np.float32]
TINY = np.float32(1e-12)  # the length of an item without a vector, so that nothing is divided by 0


def shares(histories: Interactions, damping: float) -> sparse.csr_matrix:
    """Histories x items: each item's share of the history's weight^damping; a row sums to 1."""
    shares = histories.matrix.power(damping)
    total = np.repeat(shares.sum(axis=1).A1, np.diff(shares.indptr))
    shares.data = (shares.data / total).astype(np.float32)
    return shares


def lengths(rows: Matrix, *, least: np.float32 = TINY) -> Matrix:
    """The rows' lengths, `least` where they are shorter."""
    found: Matrix = np.maximum(np.linalg.norm(rows, axis=1), least)
    return found


def of_length_1(rows: Matrix, *, least: np.float32 = TINY) -> Matrix:
    """The rows divided by their length, or by `least` where they are shorter."""
    return np.ascontiguousarray(rows / lengths(rows, least=least)[:, None], dtype=np.float32)


def cosines(rows: Matrix, columns: Matrix) -> Matrix:
    """Per row and column whether the two vectors point the same way."""
    cosines: Matrix = of_length_1(rows) @ of_length_1(columns).T
    return cosines
