"""Intervals over customers, by bootstrap or by each customer's influence, and what may be said about a difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DRAWS = 1000
CELLS = 4_000_000  # counts held at once: 32 MB
MIN_ROWS = 20  # below this a bootstrap interval is much too narrow: it is then said to be unbounded


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval; infinite ends where there are too few rows to say."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Influenced:
    """An estimate and each customer's influence on it: its error, and that of its difference to another one.

    `influence`: the estimate minus the truth is close to its sum (Hampel 1974); one number per customer.
    """

    value: float
    influence: NDArray[np.float64]

    def __sub__(self, other: Influenced) -> Influenced:
        """The paired difference: both are of the same customers."""
        return Influenced(self.value - other.value, self.influence - other.influence)

    def times(self, factor: float) -> Influenced:
        """The estimate in another unit."""
        return Influenced(factor * self.value, factor * self.influence)

    @property
    def standard_error(self) -> float:
        """Infinite of one customer, and where an influence is not known."""
        customers = len(self.influence)
        if customers < 2 or not np.isfinite(self.influence).all():
            return float("inf")
        return float(np.sqrt((self.influence**2).sum() * customers / (customers - 1)))

    @property
    def interval(self) -> Interval:
        """The 95 % interval, by Student's t with one degree of freedom less than there are customers."""
        reach = float(stats.t.ppf(0.975, max(len(self.influence) - 1, 1))) * self.standard_error
        if not np.isfinite(reach):
            return Interval(self.value, float("-inf"), float("inf"))
        return Interval(self.value, self.value - reach, self.value + reach)


def resampled(rows: int, draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Counts of how often each row is drawn, (some draws, rows) at a time, `draws` in all: each sums to `rows`."""
    size = max(1, CELLS // max(rows, 1))
    for start in range(0, draws, size):
        yield rng.multinomial(rows, np.full(rows, 1 / rows), size=min(size, draws - start)).astype(np.float64)


def mean_interval(
    values: NDArray[np.float64], rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Interval:
    """The mean over rows (one per customer) and its percentile bootstrap interval; NaN for no rows."""
    return mean_intervals(values[:, None], rng, draws=draws, level=level)[0]


def mean_intervals(
    columns: NDArray[np.float64], rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> list[Interval]:
    """As `mean_interval` per column over the rows where it is no NaN, all with the same draws of customers."""
    counted = ~np.isnan(columns)
    values, here = np.where(counted, columns, 0.0), counted.astype(np.float64)
    sums, sizes = (np.empty((draws, columns.shape[1])) for _ in range(2))
    start = 0
    for counts in resampled(len(columns), draws, rng) if len(columns) else ():
        rows = slice(start, start := start + len(counts))
        sums[rows], sizes[rows] = counts @ values, counts @ here
    found = []
    for place, size in enumerate(counted.sum(axis=0).tolist()):
        estimate = float(values[:, place].sum() / size) if size else float("nan")
        ends = (float("-inf"), float("inf"))
        if size >= MIN_ROWS:
            means = sums[:, place] / np.maximum(sizes[:, place], 1)
            ends = tuple(np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist())
        found.append(Interval(estimate, *ends))
    return found


def paired_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], rng: np.random.Generator, *, draws: int = DRAWS
) -> Interval:
    """The mean of ours minus theirs over the same customers, with its interval."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} values are paired with {len(theirs)}; one each per customer is needed")
    return mean_interval(ours - theirs, rng, draws=draws)


def verdict(difference: Interval) -> str:
    """`better`, `worse` or `not distinguishable`: the last whenever the interval holds 0."""
    if difference.lower > 0:
        return "better"
    if difference.upper < 0:
        return "worse"
    return "not distinguishable"
