"""Fold-in: the factors of histories by least squares while the items' stay as they are, many histories at once.

    x = (G + Y'DY)^-1 Y'c       Y: the n x f factors of a history's items, D = c - 1, G: what fits all items
      = Z'(1 + DYZ')^-1 c       with Z = Y G^-1: a system of n equations instead of f (Woodbury 1950)

Histories of one length are solved together: a loop over customers in Python would cost more than the equations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from features.interactions import Interactions

Factors = NDArray[np.float32]
PAIRS = 50_000  # taken at once: 13 MB of 64 factors, 26 in double precision


@dataclass(frozen=True, eq=False)
class FoldIn:
    """`factors` Y of all items (items, f), `gram` G (f, f) positive definite, `through` Y G^-1 (items, f)."""

    factors: Factors
    gram: Factors
    through: Factors

    @classmethod
    def of(cls, factors: Factors, gram: Factors) -> FoldIn:
        """With what all histories share worked out, some items at a time: in double precision all would be large."""
        inverse, through = linalg.inv(gram.astype(np.float64)), np.empty_like(factors)
        for start in range(0, len(factors), PAIRS):
            through[start : start + PAIRS] = factors[start : start + PAIRS] @ inverse
        return cls(factors, gram, through)

    def customers(self, histories: Interactions, confidence: Factors) -> Factors:
        """Per history (rows) its factors; zeros for an empty one. `confidence` c > 1 of every pair."""
        found = np.zeros((len(histories.customers), self.factors.shape[1]), np.float32)
        for rows, pairs in _alike(histories.starts):
            found[rows] = self.folded(histories.item[pairs], confidence[pairs]).customers()
        return found

    def folded(self, item: NDArray[np.int32], confidence: Factors) -> Folded:
        """Histories of one length, their equations written down; both arrays are (histories, length)."""
        near = self.factors.take(item, axis=0)
        if item.shape[1] < len(self.gram):
            through = self.through.take(item, axis=0)
            matrix = (confidence - 1)[:, :, None] * (near @ through.transpose(0, 2, 1))
            every = np.arange(item.shape[1])
            matrix[:, every, every] += 1
            return ByItems(self.factors, confidence, matrix, through)
        whole = np.asarray(self.gram + (near * (confidence - 1)[:, :, None]).transpose(0, 2, 1) @ near, np.float32)
        return ByFactors(self.factors, confidence, whole, near)


@dataclass(frozen=True, slots=True)
class Folded(ABC):
    """Histories of one length, folded in: who the customers are, and what each item adds to a score."""

    factors: Factors
    confidence: Factors  # (histories, length)
    matrix: Factors  # of the equations

    @abstractmethod
    def customers(self) -> Factors:
        """The factors of each (histories, f)."""

    def toward(self, places: NDArray[Any]) -> Factors:
        """What each item adds to the scores of these places, as many for each history (histories, length, places)."""
        aim = self.factors.take(places, axis=0).transpose(0, 2, 1)
        return np.asarray(self.confidence[:, :, None] * self._added(aim), np.float32)

    @abstractmethod
    def _added(self, aim: Factors) -> Factors:
        """Y (G + Y'DY)^-1 Y_p' for the factors (histories, f, places) that are aimed at."""


@dataclass(frozen=True, slots=True)
class ByItems(Folded):
    """As many equations as items: the matrix is 1 + DYZ', and its transpose 1 + ZY'D, as YZ' is symmetric."""

    through: Factors

    def customers(self) -> Factors:
        share = np.linalg.solve(self.matrix, self.confidence[:, :, None])
        return np.asarray((share.transpose(0, 2, 1) @ self.through)[:, 0], np.float32)

    def _added(self, aim: Factors) -> Factors:
        """Y (G + Y'DY)^-1 = (1 + ZY'D)^-1 Z"""
        return np.linalg.solve(self.matrix.transpose(0, 2, 1), self.through @ aim)


@dataclass(frozen=True, slots=True)
class ByFactors(Folded):
    """As many equations as factors: the matrix is G + Y'DY."""

    near: Factors

    def customers(self) -> Factors:
        toward = self.confidence[:, None, :] @ self.near
        return np.asarray(np.linalg.solve(self.matrix, toward.transpose(0, 2, 1))[:, :, 0], np.float32)

    def _added(self, aim: Factors) -> Factors:
        return np.asarray(self.near @ np.linalg.solve(self.matrix, aim))


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
    length = np.diff(starts)
    for each in np.unique(length[length > 0]).tolist():
        rows, step = np.flatnonzero(length == each), max(1, PAIRS // each)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            yield some, starts[some][:, None] + np.arange(each)
