"""Moments: all that a test of means and ratios needs of the customers of an arm; nothing of any one of them.

Two parts of an arm, days or segments, add up to the whole (Chan, Golub & LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MIN_CUSTOMERS = 2  # per arm; a variance needs two
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, means and covariance (of a sample) of some columns: numerator, denominator, and what was before."""

    count: int
    mean: Array  # (columns,)
    covariance: Array  # (columns, columns)

    @classmethod
    def of(cls, columns: NDArray[Any]) -> Self:
        """Of customers x columns."""
        count = len(columns)
        mean = columns.mean(axis=0) if count else np.full(columns.shape[1], np.nan)
        apart = columns - mean
        return cls(count, mean, apart.T @ apart / max(count - 1, 1))

    def __add__(self, other: Self) -> Self:
        if not self.count or not other.count:
            return self if self.count else other
        count, apart = self.count + other.count, other.mean - self.mean
        squares = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        between = np.outer(apart, apart) * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return type(self)(count, mean, (squares + between) / (count - 1))

    def along(self, weights: Array) -> tuple[float, float]:
        """Mean and variance of the columns' sum under these weights."""
        return float(weights @ self.mean), float(weights @ self.covariance @ weights)
