"""The Bayesian view: how likely an arm beats the control, and what is lost if it is shipped and does not.

Of means from sufficient statistics, whose posterior is normal; of shares from counts, with Beta(1, 1) before the first
customer, exactly. The lift of a mean is beforehand normal around 0, with `prior` as standard deviation (`weak_prior`:
in two of three tests it is within half of the control's mean); the control's mean may be anything.

What this does not protect against is looks. Who looks on 14 days and stops once the chance to beat is above 97.5 % or
below 2.5 % stops in a fifth of the tests in which the arms do not differ at all. Ship by the test and its bounds;
this says in other words what the data say today. Nor does it correct for many arms, metrics or segments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv, betaln, ndtr
from scipy.stats import norm

from training.intervals import Interval

Array = NDArray[np.float64]
Beta = tuple[int, int]
PRIOR = (
    0.5  # of the control's mean: far beyond what campaigns do, so that only an estimate from few customers gives way
)
DRAWS = 100_000  # a chance is then right to 0.003
LEVEL = 0.95
REACH = float(norm.ppf((1 + LEVEL) / 2))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(256)  # ends of an interval are then right to 0.0001


@dataclass(frozen=True)
class Summary:
    """An arm's mean per customer, and the variance of this mean."""

    customers: int
    mean: float
    variance: float

    def __post_init__(self) -> None:
        if self.customers < 2 or not self.variance > 0 or not math.isfinite(self.mean + self.variance):
            raise ValueError(f"{self}, needs two customers, a mean and a variance > 0 (Bayesian view)")


@dataclass(frozen=True)
class Counts:
    """How many of an arm's customers did it."""

    customers: int
    converted: int

    def __post_init__(self) -> None:
        if not 0 <= self.converted <= self.customers:
            raise ValueError(f"{self}, converted must be from 0 to the customers (Bayesian view)")

    @property
    def beta(self) -> Beta:
        return 1 + self.converted, 1 + self.customers - self.converted


@dataclass(frozen=True)
class Belief:
    """What is believed of an arm's lift (arm less control, per customer), with its 95 % credible interval.

    `beats`: the chance that it is above 0. `loss`: what shipping the arm loses per customer, over all that may be true
    (0 where it beats the control); `loss_of_control`: what staying with the control loses.
    """

    lift: Interval
    beats: float
    loss: float
    loss_of_control: float


@dataclass(frozen=True)
class Best:
    """The chance that an arm is the best of all, and what choosing it loses per customer against the best."""

    chance: float
    loss: float


def weak_prior(control: Summary) -> float:
    """The standard deviation of the lift before any data: half of the control's mean; infinite if that is 0."""
    return PRIOR * abs(control.mean) or math.inf


def lift_of_means(control: Summary, treated: Summary, prior: float) -> Belief:
    """Closed form: the lift's posterior is normal, shrunk towards 0 by its prior (Gelman and others 2013, 2.5)."""
    variance = control.variance + treated.variance
    kept = 1 / (1 + variance / prior**2)
    lift, error = kept * (treated.mean - control.mean), math.sqrt(kept * variance)
    reach = REACH * error
    loss = error * norm.pdf(lift / error) - lift * ndtr(-lift / error)  # of max(-lift, 0) the mean
    return Belief(
        Interval(lift, lift - reach, lift + reach), float(ndtr(lift / error)), float(loss), float(lift + loss)
    )


def lift_of_shares(control: Counts, treated: Counts) -> Belief:
    """Exact, by the law of two Beta shares (Miller 2015; the losses Stucchio 2015); the interval by quadrature."""
    before, after = control.beta, treated.beta
    means = [a / (a + b) for a, b in (before, after)]
    # The mean of p where p > q is that of p times the chance that p, seen to convert once more, is above q.
    gain = means[1] * _above(_once_more(after), before) - means[0] * (1 - _above(_once_more(before), after))
    lift = means[1] - means[0]
    lower, upper = _between(before, after)
    return Belief(Interval(lift, lower, upper), _above(after, before), max(gain - lift, 0.0), max(gain, 0.0))


def _once_more(share: Beta) -> Beta:
    return share[0] + 1, share[1]


def _above(one: Beta, other: Beta) -> float:
    """The chance that a share is above another one: a sum over the first one's conversions (Miller 2015, eq. 6)."""
    seen = np.arange(one[0])
    log = betaln(other[0] + seen, one[1] + other[1]) - np.log(one[1] + seen) - betaln(1 + seen, one[1])
    return min(float(np.exp(log - betaln(*other)).sum()), 1.0)


def _between(before: Beta, after: Beta) -> tuple[float, float]:
    """The ends of the credible interval of a share less another one."""
    if sum(before) < sum(after):  # nodes belong to the narrower one: the other's distribution is smooth between them
        lower, upper = _between(after, before)
        return -upper, -lower
    shares = betaincinv(*before, (NODES + 1) / 2)

    def missing(lift: float, chance: float) -> float:
        return float(WEIGHTS @ betainc(*after, np.clip(shares + lift, 0.0, 1.0)) / 2 - chance)

    lower, upper = (brentq(missing, -1, 1, ((1 + side * LEVEL) / 2,), xtol=1e-12) for side in (-1, 1))
    return lower, upper


def drawn_means(arms: Sequence[Summary], prior: float, rng: np.random.Generator) -> Array:
    """Draws x arms of what the means may be, the control first; the arms' lifts have the prior, each by itself."""
    design = np.eye(len(arms))
    design[:, 0] = 1
    weights = np.array([1 / arm.variance for arm in arms])
    precision = design.T * weights @ design + np.diag([0.0] + [prior**-2] * (len(arms) - 1))
    covariance = np.linalg.inv(precision)
    mean = covariance @ design.T @ (weights * [arm.mean for arm in arms])
    return np.asarray(rng.multivariate_normal(mean, covariance, DRAWS, method="cholesky") @ design.T)


def drawn_shares(arms: Sequence[Counts], rng: np.random.Generator) -> Array:
    """Draws x arms of what the shares may be."""
    return np.stack([rng.beta(*arm.beta, DRAWS) for arm in arms], axis=1)


def best(drawn: Array) -> list[Best]:
    """Per arm the chance to be the best of all, and the loss if it is chosen, from draws x arms."""
    chances = np.bincount(drawn.argmax(axis=1), minlength=drawn.shape[1]) / len(drawn)
    losses = (drawn.max(axis=1, keepdims=True) - drawn).mean(axis=0)
    return [Best(chance, loss) for chance, loss in zip(chances.tolist(), losses.tolist(), strict=True)]
