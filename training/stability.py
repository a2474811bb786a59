"""Stability: how features were distributed, kept as counts of bins, and how far from that they are now.

By the population stability index (Siddiqi 2006): sum over bins of (now - then) x ln(now / then), shares of either time.
What is kept names no customer: a bin of numbers is a tenth of the customers, a word is told that ten of them share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from features.table import FeatureTable

LEAST = 100  # customers or decisions of a time: below, chance alone moves the index
BINS, NAMED = 10, 50  # deciles of then; the names that were most frequent, and the rest together
SHARED = 10  # customers: a word that fewer have may name one of them
SHIFTED, DRIFTED = 0.1, 0.25  # what is usual: below the first stable, above the second another population
DECIMALS = 6  # a sum of money in another order differs in the 13th, and the same log must give the same counts
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """How one feature was distributed: numbers by `edges`, each of which is a bin of its own; words by `names`."""

    feature: str
    sentence: str
    edges: tuple[float, ...] | None
    names: tuple[str, ...] | None  # the last bin is of all others
    counts: tuple[int, ...]
    unknown: int
    mean: float | None

    @classmethod
    def of(cls, values: Numbers, feature: str = "", sentence: str = "") -> Self:
        """Of numbers, by their deciles; NaN is unknown."""
        known = values[~np.isnan(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
        return cls(feature, sentence, tuple(edges.tolist()), None, *_counted(values, edges))

    @classmethod
    def of_words(cls, words: pd.Series[Any], feature: str, sentence: str) -> Self:
        """Of words, by the most frequent."""
        found = words.dropna().astype(str).value_counts()
        found = found[found >= SHARED].sort_index().sort_values(ascending=False, kind="stable")
        names = tuple(found.index[:NAMED].tolist())
        return cls(feature, sentence, None, names, *_named(words, names))

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """From JSON."""
        edges, names = (None if kept[part] is None else tuple(kept[part]) for part in ("edges", "names"))
        rest = kept["counts"], kept["unknown"], kept["mean"]
        return cls(kept["feature"], kept["sentence"], edges, names, tuple(rest[0]), *rest[1:])

    def of_now(self, column: pd.Series[Any]) -> Self:
        """How this column is distributed over the same bins."""
        edges = None if self.edges is None else np.asarray(self.edges)
        counts = _named(column, self.names or ()) if edges is None else _counted(_floats(column), edges)
        return type(self)(self.feature, self.sentence, self.edges, self.names, *counts)

    @property
    def customers(self) -> int:
        return sum(self.counts) + self.unknown

    def index_to(self, now: Self) -> float | None:
        """The index of now against this; None where one of the two is of too few."""
        if min(self.customers, now.customers) < LEAST:
            return None
        return index(*self._beside(now))

    def by_chance(self, now: Self) -> float:
        """What the index reaches 95 times in 100 where nothing has changed (Yurdakul 2018)."""
        # bins that hold anybody
        bins = np.count_nonzero(np.sum(self._beside(now), axis=0))
        return float(stats.chi2.ppf(0.95, max(bins - 1, 1)) * (1 / self.customers + 1 / now.customers))

    def _beside(self, now: Self) -> tuple[list[int], list[int]]:
        """The counts of both; who is unknown is in a bin where there is such a customer."""
        some = self.unknown + now.unknown > 0
        ours, theirs = ([*one.counts, *([one.unknown] if some else [])] for one in (self, now))
        return ours, theirs


def shapes(table: FeatureTable) -> list[dict[str, Any]]:
    """Those of the table's features, ready for JSON; none where too few customers are in it to compare them ever."""
    if len(table) < LEAST:
        return []
    return [asdict(_shape(table.frame[one.name], one.name, one.sentence)) for one in table.features]


def index(then: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index of two rows of counts over the same bins; an empty bin counts half."""
    before, after = (np.maximum(np.asarray(counts, float), 0.5) for counts in (then, now))
    old, new = before / before.sum(), after / after.sum()
    return float(((new - old) * np.log(new / old)).sum())


def says(found: float | None, by_chance: float = 0.0) -> str:
    """The index in words; up to what chance alone reaches it is stable."""
    if found is None:
        return f"fewer than {LEAST} of a time: not known"
    return "stable" if found < max(SHIFTED, by_chance) else "shifted" if found < DRIFTED else "drifted: train again"


def _shape(column: pd.Series[Any], feature: str, sentence: str) -> Shape:
    if pd.api.types.is_numeric_dtype(column):
        return Shape.of(_floats(column), feature, sentence)
    return Shape.of_words(column, feature, sentence)


def _floats(column: pd.Series[Any]) -> Numbers:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).round(DECIMALS)
    return np.where(np.isfinite(values), values, np.nan)


def _counted(values: Numbers, edges: Numbers) -> tuple[tuple[int, ...], int, float | None]:
    known = values[~np.isnan(values)]
    place = np.searchsorted(edges, known) + np.searchsorted(edges, known, "right")  # on an edge is a bin of its own
    counts = np.bincount(place, minlength=2 * len(edges) + 1)
    mean = round(float(known.mean()), DECIMALS) if len(known) else None
    return tuple(counts.tolist()), len(values) - len(known), mean


def _named(words: pd.Series[Any], names: Sequence[str]) -> tuple[tuple[int, ...], int, float | None]:
    found = words.dropna().astype(str).value_counts()
    counts = [int(found.get(name, 0)) for name in names]
    return (*counts, int(found.sum()) - sum(counts)), int(words.isna().sum()), None
