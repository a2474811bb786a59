"""Fold-in: the factors of histories by least squares while the items' stay as they are, many histories at once.

    x = (G + Y'DY)^-1 Y'c       Y: the n x f factors of a history's items, D = c - 1, G: what fits all items
      = Z'(1 + DYZ')^-1 c       with Z = Y G^-1: a system of n equations instead of f (Woodbury 1950)

Histories of one length are solved together: a loop over customers in Python would cost more than the equations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from features.interactions import Interactions

Factors = NDArray[np.float32]
ONE = 2  # starts, of one history: what a service asks for
PAIRS = 50_000  # taken at once: 13 MB of 64 factors


@dataclass(frozen=True)
class FoldIn:
    """`factors` Y of all items (items, f), `gram` G (f, f) positive definite, `through` Y G^-1 (items, f)."""

    factors: Factors
    gram: Factors
    through: Factors

    @classmethod
    def of(cls, factors: Factors, gram: Factors) -> FoldIn:
        """With what all histories share worked out."""
        through = linalg.cho_solve(linalg.cho_factor(gram.astype(np.float64)), factors.T.astype(np.float64)).T
        return cls(factors, gram, np.ascontiguousarray(through, dtype=np.float32))

    def customers(self, histories: Interactions, confidence: Factors) -> Factors:
        """Per history (rows) its factors; zeros for an empty one. `confidence` c > 1 of every pair."""
        found = np.zeros((len(histories.customers), self.factors.shape[1]), np.float32)
        for rows, pairs in _alike(histories.starts):
            solve = self._by_items if pairs.shape[1] < len(self.gram) else self._by_factors
            found[rows] = solve(histories.item[pairs], confidence[pairs])
        return found

    def _by_items(self, item: NDArray[np.int32], confidence: Factors) -> Factors:
        through = self.through[item]
        matrix = (confidence - 1)[:, :, None] * (self.factors[item] @ through.transpose(0, 2, 1))
        every = np.arange(item.shape[1])
        matrix[:, every, every] += 1
        share = np.linalg.solve(matrix, confidence[:, :, None])
        return np.asarray((share.transpose(0, 2, 1) @ through)[:, 0], np.float32)

    def toward(self, item: NDArray[np.int32], confidence: Factors, places: NDArray[Any]) -> Factors:
        """What each item of one history adds to the scores of these places (history, places): c Y (G + Y'DY)^-1 Y_p'.

        By factors, or with n equations: Y (G + Y'DY)^-1 = (1 + ZY'D)^-1 Z
        """
        near, aim = self.factors[item], self.factors[places].T
        if len(item) < len(self.gram):
            through = self.through[item]
            matrix = (through @ near.T) * (confidence - 1)
            matrix.flat[:: len(item) + 1] += 1
            return np.asarray(confidence[:, None] * np.linalg.solve(matrix, through @ aim), np.float32)
        matrix = self.gram + (near * (confidence - 1)[:, None]).T @ near
        return np.asarray(confidence[:, None] * (near @ np.linalg.solve(matrix, aim)), np.float32)

    def toward_each(self, item: NDArray[np.int32], confidence: Factors, places: NDArray[Any]) -> Factors:
        """The same for histories of one length and as many places each (histories, history, places)."""
        near, aim = self.factors[item], self.factors[places].transpose(0, 2, 1)
        if item.shape[1] < len(self.gram):
            through = self.through[item]
            matrix = (through @ near.transpose(0, 2, 1)) * (confidence - 1)[:, None, :]
            every = np.arange(item.shape[1])
            matrix[:, every, every] += 1
            found = np.linalg.solve(matrix, through @ aim)
        else:
            matrix = self.gram + (near * (confidence - 1)[:, :, None]).transpose(0, 2, 1) @ near
            found = near @ np.linalg.solve(matrix, aim)
        return np.asarray(confidence[:, :, None] * found, np.float32)

    def _by_factors(self, item: NDArray[np.int32], confidence: Factors) -> Factors:
        near = self.factors[item]
        matrix = self.gram + (near * (confidence - 1)[:, :, None]).transpose(0, 2, 1) @ near
        toward = confidence[:, None, :] @ near
        return np.asarray(np.linalg.solve(matrix, toward.transpose(0, 2, 1))[:, :, 0], np.float32)


def shaped(
    starts: NDArray[np.int64], places: Sequence[NDArray[Any]]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[Any]]]:
    """As `_alike`, with the places (rows, count): rows whose histories have one length and as many places each."""
    counts = np.array([len(some) for some in places])
    for rows, pairs in _alike(starts):
        for count in np.unique(counts[rows][counts[rows] > 0]).tolist():
            here = counts[rows] == count
            yield rows[here], pairs[here], np.array([places[row] for row in rows[here].tolist()])


def _alike(starts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
    """Rows whose histories have one length, some at a time, and where their pairs stand (rows, length)."""
    if len(starts) == ONE:
        if starts[1]:
            yield np.zeros(1, np.intp), np.arange(starts[1])[None]
        return
    length = np.diff(starts)
    for each in np.unique(length[length > 0]).tolist():
        rows, step = np.flatnonzero(length == each), max(1, PAIRS // each)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            yield some, starts[some][:, None] + np.arange(each)
