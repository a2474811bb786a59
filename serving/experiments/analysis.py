"""The tests of an experiment, through tea-tasting: interval and p-value come from one test and never disagree.

The unit is the customer: outcomes are summed per customer before anything is averaged, and a test sees an arm's moments
only. tea-tasting takes seconds to import, so nothing that the service runs imports this module.

    mean     Student's t with one variance for both arms
    ratio    the same of each customer's share in it, by the delta method (Deng, Knoblich & Lu 2018)
    before   what a customer's own past explains is taken off first: CUPED (Deng, Xu, Kohavi & Walker 2013), of several
             things of the past by one regression

One variance for both: where a holdout is small and money has a heavy tail, that of the small arm alone comes out too
small whenever its few large customers are missing, and the difference looks certain (docs/decisions/0008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import tea_tasting as tt
from numpy.typing import NDArray
from scipy import stats
from scipy.special import stdtrit
from tea_tasting.aggr import Aggregates

from serving.experiments.metrics import Metric
from serving.experiments.moments import MIN_CUSTOMERS, Moments

ALPHA = 0.05
Z = float(stats.norm.isf(ALPHA / 2))
ALIKE = 1e-9  # columns of the past that are each other but for so much are one
FAR = 10.0  # means are moved away from 0 before they are tested: tea-tasting takes logarithms, which we do not use
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """What the columns of a metric's moments are: the numerator, a denominator, last so many of the customers' past."""

    ratio: bool = False
    before: int = 0

    @classmethod
    def of(cls, metric: Metric) -> Self:
        return cls(metric.denominator is not None, len(metric.past))

    def mean(self, arm: Moments) -> float:
        """The metric's value in the arm, as it is told: nothing taken off."""
        if not self.ratio:
            return float(arm.mean[0])
        return float(arm.mean[0] / arm.mean[1]) if arm.mean[1] else math.nan

    def weights(self, arm: Moments) -> Array:
        """What of its columns makes a customer's share in the metric, but for a constant."""
        found = np.zeros(len(arm.mean))
        if self.ratio:
            found[:2] = 1 / arm.mean[1], -arm.mean[0] / arm.mean[1] ** 2
        else:
            found[0] = 1
        return found

    def explained(self, total: Moments) -> Array:
        """What one more in each column of the past says of a customer's share: least squares over all arms together.

        Columns that say the same share it; one in which nobody differs says nothing.
        """
        start = len(total.mean) - self.before
        among, along = total.covariance[start:, start:], total.covariance[start:] @ self.weights(total)
        spread = np.sqrt(np.diag(among))
        spread[spread == 0] = 1
        found, *_ = np.linalg.lstsq(among / np.outer(spread, spread), along / spread, rcond=ALIKE)
        return np.asarray(found / spread)

    def rest(self, arm: Moments, factors: Array) -> Array:
        """The weights of a customer's share less what the past explains of it."""
        weights = self.weights(arm)
        weights[len(weights) - self.before :] = -factors
        return weights


@dataclass(frozen=True)
class Told:
    """A difference to the control with the interval and the p-value of its test; `lift`: relative to the control."""

    difference: float
    lower: float
    upper: float
    p_value: float
    lift: float
    lift_lower: float
    lift_upper: float
    error: float  # standard error of the difference

    @property
    def verdict(self) -> str:
        return verdict(self.lower, self.upper)


def verdict(lower: float, upper: float) -> str:
    """An interval in words; within noise it is `not distinguishable`."""
    return "higher than control" if lower > 0 else "lower than control" if upper < 0 else "not distinguishable"


def compare(control: Moments, treatment: Moments, shape: Shape, *, bound: float | None = None) -> Told | None:
    """The treatment less the control; None where there are too few customers, or nobody differs from anybody.

    `bound`: how many standard errors the interval reaches (of a look, `bounds`); without one it is the 95 % of Student.
    """
    arms = (control, treatment)
    if min(arm.count for arm in arms) < MIN_CUSTOMERS or (shape.ratio and not all(arm.mean[1] > 0 for arm in arms)):
        return None
    (before, _), (after, _) = made = _adjusted(arms, shape)
    far = FAR * (abs(before) + abs(after) + math.sqrt(max(variance for _, variance in made)))
    both = [Aggregates(arm.count, {"m": far + mean}, {"m": of}) for arm, (mean, of) in zip(arms, made, strict=True)]
    if not sum(one.var("m") for one in both) > 0:
        return None
    found = _test(use_t=bound is None).analyze_aggregates(*both)
    reach = (found.effect_size_ci_upper - found.effect_size_ci_lower) / 2
    freedom = control.count + treatment.count - 2
    error = float(reach / (Z if bound is not None else stats.t.isf(ALPHA / 2, freedom)))
    reach = float(reach if bound is None else bound * error)
    difference = after - before
    spread = (reach / math.sqrt(1 / control.count + 1 / treatment.count)) ** 2
    least, most = _quotient((after, spread / treatment.count), (before, spread / control.count))
    return Told(
        difference=difference,
        lower=difference - reach,
        upper=difference + reach,
        p_value=float(found.pvalue),
        lift=after / before - 1 if before > 0 else math.nan,
        lift_lower=least - 1,
        lift_upper=most - 1,
        error=error,
    )


def apart(control: Moments, treatment: Moments, shape: Shape) -> bool:
    """Whether the interval that `compare` gives leaves out 0: without the rest, some thirty times as fast."""
    arms = (control, treatment)
    if min(arm.count for arm in arms) < MIN_CUSTOMERS or (shape.ratio and not all(arm.mean[1] > 0 for arm in arms)):
        return False
    (before, theirs), (after, ours) = _adjusted(arms, shape)
    freedom = control.count + treatment.count - 2
    pooled = ((control.count - 1) * theirs + (treatment.count - 1) * ours) / freedom
    error = math.sqrt(pooled * (1 / control.count + 1 / treatment.count))
    return bool(abs(after - before) > stdtrit(freedom, 1 - ALPHA / 2) * error)


@cache
def _test(*, use_t: bool) -> tt.Mean:
    return tt.Mean("m", confidence_level=1 - ALPHA, equal_var=True, use_t=use_t)


def _quotient(over: tuple[float, float], under: tuple[float, float]) -> tuple[float, float]:
    """Between which quotients the two means lie, each given with its squared reach: Fieller (1954).

    It holds 1 exactly when the interval of the difference holds 0. Infinite on one side where the control's mean may be
    0, on both where the other's may be too.
    """
    (top, far), (mean, near) = over, under
    lead = mean * mean - near
    inner = (top * mean) ** 2 - lead * (top * top - far)
    if lead == 0 or mean <= 0 or (lead < 0 and inner <= 0):
        return -math.inf, math.inf
    half = math.sqrt(max(inner, 0.0))
    least, most = sorted(((top * mean - half) / lead, (top * mean + half) / lead))
    if lead > 0:
        return least, most
    ray = (most, math.inf) if top / mean >= most else (-math.inf, least)
    alike = not least < 1 < most  # equal means are not ruled out, if by quotients of the other ray only
    return (-math.inf, math.inf) if alike and not ray[0] <= 1 <= ray[1] else ray


def _adjusted(arms: tuple[Moments, Moments], shape: Shape) -> list[tuple[float, float]]:
    """Mean and variance per arm, less what the customers' own past explains of it."""
    total = arms[0] + arms[1]
    factors, start = shape.explained(total), len(total.mean) - shape.before
    return [
        (
            shape.mean(arm) - float(factors @ (arm.mean - total.mean)[start:]),
            max(arm.along(shape.rest(arm, factors))[1], 0.0),
        )
        for arm in arms
    ]
