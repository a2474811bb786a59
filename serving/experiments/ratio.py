"""Sample ratio mismatch: whether the arms are as large as their shares say, once, per cell, and day after day.

A split that is off means that some customers were lost in one arm, and that no other number of the test may be
believed. An arm of share 0, or one that the plan does not know, must be empty: people in it are an alarm of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, xlogy
from scipy.stats import binomtest, chisquare

from features.words import many

Array = NDArray[np.float64]
Counts = Mapping[str, int]  # per arm its customers
Shares = Mapping[str, float]  # per arm its planned share; they need not sum to 1

# A false alarm over the split stops a good test, so it has to be rarer: of right splits that are read on each of 28
# days 0.6 % alarm in all, on a day or day after day (20,000 tests each of 50/50 and 95/5); with 0.001 it were 1.1 %.
RATIO_ALPHA = 0.0005
FEW = 500  # expected in the smallest arm: below this chi-square's far tail is too thin, in 95/5 by a multiple
FACTOR = (
    100.0  # the Bayes factor of an alarm: with a right split at most 1 % of tests ever reach it, however many looks
)
# The shares as they may really be: Dirichlet around the plan, so many customers firm, with its weight. 10,000: half a
# point off in 50/50, the size of bugs that last; a test of 100,000 to 300,000 finds them soonest with n / 12. 100: five
# points off, which a test of 1,000 must find and the firm one would not. A gross error can bear the small weight.
PRIORS = ((10_000.0, 0.9), (100.0, 0.1))


@dataclass(frozen=True, slots=True)
class Ratio:
    """The split of a cell: a day, a segment, or all.

    `adjusted`: the p-value among all the cells looked at with it. `strangers`: customers in arms that should have none.
    """

    cell: str
    counts: dict[str, int]
    expected: dict[str, float]
    p_value: float
    adjusted: float
    strangers: dict[str, int]

    @property
    def alarm(self) -> bool:
        """The split is not as planned."""
        return bool(self.strangers) or self.adjusted < RATIO_ALPHA

    @property
    def why(self) -> str:
        """What is wrong, in words; empty without an alarm."""
        found = [f"arm {arm!r} has share 0 and {many(count, 'customer')}" for arm, count in self.strangers.items()]
        if self.adjusted < RATIO_ALPHA:
            arm = max(self.counts, key=lambda name: abs(self.counts[name] - self.expected[name]))
            planned = f"{many(self.counts[arm], 'customer')}, {self.expected[arm]:,.0f} planned"
            found.append(f"arm {arm!r} has {planned} (p = {self.adjusted:.1g})")
        return "; ".join(found)


@dataclass(frozen=True, slots=True)
class Watch:
    """The split day after day. `log_factors`: the evidence against the plan at each day's end, natural logarithm."""

    since: str | None  # the first day with an alarm, which stays
    log_factors: dict[str, float]

    @property
    def p_value(self) -> float:
        """One over the highest factor so far, at most 1: valid at any moment (Ville 1939)."""
        return math.exp(-max([0.0, *self.log_factors.values()]))


def chi_square(counts: Counts, shares: Shares, cell: str = "all") -> Ratio:
    """The split against the planned shares, by chi-square over all arms; exact where few are expected.

    Without any customer p is 1.
    """
    invited = _invited(shares)
    here = {arm: int(counts.get(arm, 0)) for arm in invited}
    total, weight = sum(here.values()), math.fsum(invited.values())
    expected = {arm: total * share / weight for arm, share in invited.items()}
    p_value = _p_value(list(here.values()), list(expected.values()))
    strangers = {arm: int(count) for arm, count in counts.items() if arm not in invited and count}
    return Ratio(cell, here, expected, p_value, p_value, strangers)


def cells(counts: Mapping[str, Counts], shares: Shares) -> list[Ratio]:
    """A row per cell (days, segments or both), in the order given, adjusted for their number (Holm 1979).

    Holm and not a false discovery rate: one alarm is enough to stop a test, so that not one of them may be false.
    """
    rows = [chi_square(arms, shares, cell) for cell, arms in counts.items()]
    adjusted = holm(np.array([row.p_value for row in rows])).tolist()
    return [replace(row, adjusted=p_value) for row, p_value in zip(rows, adjusted, strict=True)]


def holm(p_values: Array) -> Array:
    """Adjusted p-values: the smallest times their number, the next times one less, never falling; at most 1."""
    order = np.argsort(p_values, kind="stable")
    risen = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(risen, 1.0)
    return adjusted


def watch(days: Mapping[str, Counts], shares: Shares) -> Watch:
    """The sequential test over days in their order; `days` holds the customers who are new on each."""
    arms = [*shares, *sorted({arm for counts in days.values() for arm in counts} - set(shares))]
    new = np.array([[counts.get(arm, 0) for arm in arms] for counts in days.values()], np.float64)
    planned = np.array([shares.get(arm, 0.0) for arm in arms])
    factors = log_bayes_factor(new.reshape(-1, len(arms)).cumsum(axis=0), planned).tolist()
    found = dict(zip(days, factors, strict=True))
    return Watch(next((day for day, factor in found.items() if factor > math.log(FACTOR)), None), found)


def log_bayes_factor(counts: Array, shares: Array) -> Array:
    """The evidence against the planned shares, natural logarithm; `counts` (..., arms) since the start of the test.

    Dirichlet-multinomial over multinomial (Lindon & Malek 2022), mixed over `PRIORS`. Under the plan it is a
    martingale that starts at 1, so that it ever exceeds 100 in at most 1 % of tests. Infinite with people in an arm of
    share 0.
    """
    counts, planned = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    if not (planned >= 0).all() or not planned.sum() > 0:
        raise ValueError(f"shares == {planned.tolist()}, must be >= 0 and not all 0")
    invited = planned > 0
    theta, here = planned[invited] / planned[invited].sum(), counts[..., invited]
    factors = [_log_factor(here, theta, firm) + math.log(weight) for firm, weight in PRIORS]
    return np.where(counts[..., ~invited].any(axis=-1), np.inf, logsumexp(factors, axis=0))


def _log_factor(counts: Array, theta: Array, firm: float) -> Array:
    prior = firm * theta
    ours = gammaln(firm) - gammaln(firm + counts.sum(axis=-1)) + (gammaln(prior + counts) - gammaln(prior)).sum(axis=-1)
    return np.asarray(ours - xlogy(counts, theta).sum(axis=-1), np.float64)


def _invited(shares: Shares) -> dict[str, float]:
    """The arms that may have people."""
    if not all(share >= 0 for share in shares.values()) or not any(shares.values()):
        raise ValueError(f"shares == {dict(shares)}, must be >= 0 and not all 0")
    return {arm: share for arm, share in shares.items() if share > 0}


def _p_value(counts: list[int], expected: list[float]) -> float:
    """Chi-square, or the least likely arm's exact binomial test times the number of arms that can differ."""
    if len(counts) < 2 or not sum(counts):
        return 1.0
    if min(expected) >= FEW:
        return float(chisquare(counts, expected).pvalue)
    total = sum(counts)
    each = [binomtest(count, total, share / total).pvalue for count, share in zip(counts, expected, strict=True)]
    return min(1.0, float(min(each)) * (len(counts) if len(counts) > 2 else 1))
