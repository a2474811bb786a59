"""Time to conversion over ALL customers assigned: curves, restricted means, and the test of two arms.

S(t): the share that has not converted by t (Kaplan & Meier 1958; who converts at t was still at risk when others leave
unseen at t). The restricted mean up to tau is the area under S: how many of the first tau days a customer waits
(Royston & Parmar 2013). The mean time of those who did convert is no such thing: a campaign that wins late buyers
raises it.

Times are days since the assignment; functions of arrays, one row per customer, or per group of alike ones with
`people`. The end of what was seen has to tell nothing of the conversion, as when customers are assigned over time and
all are read on one day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from training.intervals import Interval

Array = NDArray[np.float64]
BOUND = float(norm.ppf(0.975))  # standard errors to either side: a fixed test at 5 %
STEPS = 200  # of a drawn curve: more than a picture shows
SHARE_AT_RISK = 0.1  # of an arm; beyond it the end of a curve is a few customers (Pocock, Clayton & Altman 2002)
MIN_AT_RISK = 20  # customers
MIN_EXPECTED = 1  # conversions in each arm; of fewer no correction makes a normal number
ALIKE = 1e-4  # skewness below which the series is more exact than the cube root
ROUNDING = 1e-9
EXACT = 1e-9  # of the hazards, where an end of an interval is sought


@dataclass(frozen=True)
class Curve:
    """One arm at its distinct times, rising: each of a conversion, or of the end of what was seen of a customer."""

    times: Array  # days
    at_risk: Array  # customers who are still seen and have not converted, just before
    conversions: Array
    survival: Array  # just after
    greenwood: Array  # the variance of the survival over its square (Greenwood 1926); infinite where all converted


@dataclass(frozen=True)
class Mean:
    """A restricted mean in days, and the variance of this estimate (not of the customers' times)."""

    estimate: float
    variance: float


@dataclass(frozen=True)
class Difference:
    """Treated less control, in days waited of the first tau: below 0 is sooner. One test gives all of it.

    `z`: its standard normal statistic, beyond the bound exactly when the interval leaves 0 out; `p_value`: of one look.
    """

    estimate: float
    lower: float
    upper: float
    z: float
    p_value: float


@dataclass(frozen=True)
class Drawn:
    """A curve for a picture: from each time on it stands at the survival, within the pointwise bounds."""

    times: Array  # days
    survival: Array
    lower: Array
    upper: Array


def curve(times: Array, converted: NDArray[np.bool_], people: NDArray[np.int64] | None = None) -> Curve:
    """The curve of an arm from each customer's time to the first conversion, or to the end of what was seen."""
    many = np.ones(len(times)) if people is None else np.asarray(people, np.float64)
    sizes = {"times": len(times), "converted": len(converted), "people": len(many)}
    if len(set(sizes.values())) > 1 or not many.sum() > 0:
        raise ValueError(f"rows == {sizes}, must be the same number and at least one customer (time to conversion)")
    wrong = np.flatnonzero(~((times >= 0) & np.isfinite(times)))
    if len(wrong):
        raise ValueError(f"time == {times[wrong[0]]} in row {wrong[0]}, must be >= 0 days (time to conversion)")
    if (many < 1).any():
        raise ValueError(f"people == {many.min():g}, must be >= 1 in each row (time to conversion)")
    return _counted(np.asarray(times, np.float64), many, many * converted)


def _counted(times: Array, left: Array, converted: Array) -> Curve:
    distinct, place = np.unique(times, return_inverse=True)
    conversions = np.bincount(place, converted).astype(np.float64)
    at_risk = np.cumsum(np.bincount(place, left)[::-1])[::-1].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(conversions > 0, conversions / (at_risk * (at_risk - conversions)), 0.0)
    survival = np.cumprod(1 - conversions / at_risk).astype(np.float64)
    return Curve(distinct, at_risk, conversions, survival, np.cumsum(terms))


def survival_bounds(found: Curve, bound: float = BOUND) -> tuple[Array, Array]:
    """Pointwise bounds of the survival, on the scale log(-log S) (Kalbfleisch & Prentice 1980); 1 while it is 1.

    Where all converted there is no error to go by: 0, and the last upper bound.
    """
    inside = (found.survival > 0) & (found.survival < 1)
    lower, upper = np.array(found.survival), np.array(found.survival)
    log = np.log(found.survival[inside])
    reach = bound * np.sqrt(found.greenwood[inside]) / -log
    lower[inside], upper[inside] = np.exp(log * np.exp(reach)), np.exp(log * np.exp(-reach))
    upper[found.survival <= 0] = upper[found.survival > 0][-1:].sum() if inside.any() else 1.0
    return lower, upper


def drawn(found: Curve, bound: float = BOUND) -> Drawn:
    """At most `STEPS` points of the curve, from 1 at day 0 to its last time; nowhere off by 1 % of its fall."""
    fall = 1 - found.survival
    marks = np.linspace(0, fall[-1], STEPS - 2)[1:]
    kept = np.unique(np.append(np.searchsorted(fall, marks - 1e-12), len(fall) - 1))
    lower, upper = survival_bounds(found, bound)
    rest = [np.concatenate([[1.0], values[kept]]) for values in (found.survival, lower, upper)]
    return Drawn(np.concatenate([[0.0], found.times[kept]]), *rest)


def at_risk(found: Curve, times: Array) -> Array:
    """How many customers are still seen and have not converted just before each of these times (days)."""
    return np.append(found.at_risk, 0.0)[np.searchsorted(found.times, times)]


def median(found: Curve, bound: float = BOUND) -> Interval:
    """The day by which half have converted, between the days at which the bounds pass a half; infinite if never."""
    lower, upper = survival_bounds(found, bound)
    return Interval(*(_first(found.times, values <= 0.5) for values in (found.survival, lower, upper)))


def _first(times: Array, reached: NDArray[np.bool_]) -> float:
    return float(times[np.argmax(reached)]) if reached.any() else math.inf


def horizon(arms: Sequence[Curve]) -> float:
    """The last day to which in each arm `MIN_AT_RISK` customers, and a tenth of the arm, would have been followed.

    Had nobody converted: an arm in which all have is known on every day, also after the last of them.
    """
    return min(*map(_horizon, arms), max(float(arm.times[-1]) for arm in arms))


def _horizon(arm: Curve) -> float:
    everybody = float(arm.at_risk[0])
    needed = max(MIN_AT_RISK, SHARE_AT_RISK * everybody) * (1 - ROUNDING)
    if everybody < needed:
        raise ValueError(f"an arm has {everybody:.0f} customers, needs {MIN_AT_RISK} (time to conversion)")
    stayed = -np.diff(arm.at_risk, append=0.0) - arm.conversions  # whose end was seen then
    followed = everybody * np.cumprod(1 - stayed / arm.at_risk)  # Kaplan & Meier's estimate of who is not out of sight
    before = np.concatenate([[everybody], followed[:-1]])
    return math.inf if followed[-1] >= needed else float(arm.times[before >= needed][-1])


def _refuse(arms: Sequence[Curve], tau: float) -> None:
    last = min(map(_horizon, arms))
    if not 0 < tau <= last:
        raise ValueError(f"tau == {tau:g} days, must be > 0 and <= {last:g}: too few are at risk later")


def restricted_mean(found: Curve, tau: float) -> Mean:
    """The area under the curve up to tau days (Klein & Moeschberger 2003, eq. 4.5.1), and its variance (4.5.2).

    Without their correction by the conversions over one less: right where all convert, it widens for nothing elsewhere
    (with 20 to expect of 2,000 customers, 3.1 % false alarms for 3.8) and does not help small arms; `difference` does.
    """
    _refuse([found], tau)
    area, after = _areas(found, tau)
    inside = after > 0  # where all have converted no area is left, and no error
    return Mean(area, float(after[inside] ** 2 @ np.diff(found.greenwood[: len(after)][inside], prepend=0.0)))


def _areas(found: Curve, tau: float) -> tuple[float, Array]:
    """The area up to tau, and what of it lies after each of the times before tau."""
    within = np.searchsorted(found.times, tau)
    edges = np.concatenate([[0.0], found.times[:within], [tau]])
    pieces = np.diff(edges) * np.concatenate([[1.0], found.survival[:within]])
    return float(pieces.sum()), np.cumsum(pieces[:0:-1])[::-1]


@dataclass(frozen=True)
class _Arm:
    """Of each conversion of both arms 1 over the arm's customers at risk then (0 where none is), and its share of the
    conversions if both were alike.
    """

    each: Array
    share: float


@dataclass(frozen=True)
class _Supposed:
    """The restricted mean of an arm, and the second and third cumulant of its estimate's negative."""

    mean: float
    variance: float
    third: float


@dataclass(frozen=True)
class _Null:
    """The estimated difference, and how it would vary if the truth were another one.

    The arms' own variances mislead: where a small arm happens to have few conversions its variance is small too, and
    the test finds a difference too often, on one side (of 5 % holdouts with four conversions to expect in 13 %). So the
    conversions of both say what an arm's hazard is, times less in one and more in the other until the means differ as
    supposed, while as many convert in all (as Miettinen & Nurminen 1985 for shares); and the skewness that few
    conversions have is taken out of the statistic (Gart & Nam 1988).
    """

    estimate: float
    widths: Array  # days before, between and after the conversions of both arms, up to tau
    kept: Array  # the logarithm of the share of those at risk who do not convert, at each
    treated: _Arm
    control: _Arm
    error: float  # of the logarithm of a hazard ratio

    def supposed(self, apart: float) -> tuple[float, float]:
        """The difference of the means where the hazards differ so much, and its z: the smaller the larger that is."""
        less = self._arm(max(0.0, 1 - apart * self.control.share), self.treated)
        more = self._arm(max(0.0, 1 + apart * self.treated.share), self.control)
        variance, delta = less.variance + more.variance, less.mean - more.mean
        return delta, _normal((self.estimate - delta) / math.sqrt(variance), (more.third - less.third) / variance**1.5)

    def _arm(self, times: float, arm: _Arm) -> _Supposed:
        """Conversions are binomial at each time; one more takes after / kept / seen of the restricted mean.

        So the cumulants are sums of after^2 odds / seen and after^3 odds (1 - odds) / seen^2, the odds those of
        converting.
        """
        kept = np.exp(times * self.kept)
        pieces = self.widths * np.append(1.0, np.cumprod(kept))
        after, odds = np.cumsum(pieces[:0:-1])[::-1], 1 / kept - 1
        own = after * arm.each
        parts = after * own * odds
        return _Supposed(float(pieces.sum()), float(parts.sum()), float((parts * own * (1 - odds)).sum()))

    def end(self, bound: float) -> float:
        """The difference at which z is the bound: looked for between 0 and twice what a hazard ratio's error says."""
        beyond = cache(lambda apart: self.supposed(apart)[1] - bound)  # each look is at all conversions
        here = beyond(0.0)
        far = math.copysign(min(1.0, 2 * abs(here) * self.error), here)
        low, high = (min(0.0, far), max(0.0, far)) if beyond(far) * here <= 0 else (-1.0, 1.0)
        while beyond(low) < 0:
            low *= 2
        while beyond(high) > 0:
            high *= 2
        return self.supposed(float(brentq(beyond, low, high, xtol=EXACT)))[0]


def _normal(x: float, skewness: float) -> float:
    """A standardised gamma-like number as a standard normal one (Wilson & Hilferty 1931)."""
    if abs(skewness) < ALIKE:
        return x - skewness * (x * x - 1) / 6
    return 6 / skewness * float(np.cbrt(1 + skewness * x / 2) - 1) + skewness / 6


def difference(treated: Curve, control: Curve, tau: float, bound: float = BOUND) -> Difference:
    """The difference of the restricted means up to tau days, from one score test that a small arm does not mislead.

    `bound`: standard errors to either side; at a look at a running test, that look's. Where alike arms would not have
    `MIN_EXPECTED` conversions each nothing is known: infinite ends and a p-value of 1. A million customers take 0.3 s
    when no two times are the same, and 2 ms when they are whole hours.
    """
    _refuse([treated, control], tau)
    estimate = _areas(treated, tau)[0] - _areas(control, tau)[0]
    null = _null(estimate, treated, control, tau)
    if null is None:
        return Difference(estimate, -math.inf, math.inf, 0.0, 1.0)
    z = null.supposed(0.0)[1]
    return Difference(estimate, null.end(bound), null.end(-bound), z, float(2 * norm.sf(abs(z))))


def _null(estimate: float, treated: Curve, control: Curve, tau: float) -> _Null | None:
    arms = (treated, control)
    inside = [np.flatnonzero((arm.conversions > 0) & (arm.times < tau)) for arm in arms]
    times = np.unique(np.concatenate([arm.times[places] for arm, places in zip(arms, inside, strict=True)]))
    conversions, seen = np.zeros(len(times)), [at_risk(arm, times) for arm in arms]
    for arm, places in zip(arms, inside, strict=True):
        conversions[np.searchsorted(times, arm.times[places])] += arm.conversions[places]
    hazard = conversions / sum(seen)
    expected = [float((each * hazard).sum()) for each in seen]
    if min(expected) < MIN_EXPECTED:
        return None
    treated_, control_ = (
        _Arm(np.divide(1.0, at, out=np.zeros(len(at)), where=at > 0), share / sum(expected))
        for at, share in zip(seen, expected, strict=True)
    )
    error = 1 / math.sqrt(sum(expected) * treated_.share * control_.share)
    kept = np.log1p(-np.minimum(hazard, 1 - EXACT))
    return _Null(estimate, np.diff(times, prepend=0.0, append=tau), kept, treated_, control_, error)
