"""What a policy would have earned, from a log of another one: four estimates, each with an interval by customer.

w: the target's probability of the arm that was given over the logged one; r: the row's money; q(a): the money expected
in arm a, from models that did not see the row; pi(a): the target's probability of arm a.

| `ips` | mean of w r | Horvitz and Thompson 1952 |
| `snips` | sum of w r over sum of w | Hájek 1971; Swaminathan and Joachims 2015 |
| `direct` | mean of the sum of pi(a) q(a) | the outcome models' own word |
| `doubly_robust` | mean of the sum of pi(a) q(a), plus w (r - q(arm)) | Robins and others 1994; Dudík and others 2011 |

The first two need right probabilities, the third right models, the last either. All are functions of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.intervals import MIN_ROWS, Influenced

Array = NDArray[np.float64]
CHANCE = 3.0  # standard errors by which the mean weight falls short of 1 in one log of 700 that could give everything
CERTAIN = 1e-9  # rounding of sums that should be 1


@dataclass(frozen=True)
class Logged:
    """Per row: the arm that was given, its probability, the money it brought, and the customer; both numbered from 0.

    `people`: how many customers the row stands for. `money`: the outcome's value less the costs. `expected`: rows x
    arms, the money expected in each arm, from models of other customers; `direct` and `doubly_robust` need it.
    """

    arm: NDArray[np.intp]
    probability: Array
    money: Array
    customer: NDArray[np.intp]
    people: Array
    expected: Array | None = None

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in ("arm", "probability", "money", "customer", "people")}
        if len(set(sizes.values())) > 1 or not len(self.arm):
            raise ValueError(f"rows == {sizes}, must be the same number everywhere and at least 1 (policy value)")
        wrong = np.flatnonzero(~((self.probability > 0) & (self.probability <= 1 + CERTAIN)))
        if len(wrong):
            given = float(self.probability[wrong[0]])
            raise ValueError(f"probability == {given} in row {wrong[0]}, must be > 0 and <= 1 (policy value)")
        if not np.isfinite(self.money).all():
            row = int(np.flatnonzero(~np.isfinite(self.money))[0])
            raise ValueError(f"money == {self.money[row]} in row {row}, must be a number (policy value)")


@dataclass(frozen=True)
class Overlap:
    """How much of the log speaks of a target.

    `effective`: as many rows drawn from the target itself would say as much (Kish 1965). `largest`: the largest weight;
    `share`: its share of all weight. `outside`: the share of the target's probability on arms that the log could not
    give, which is what the mean weight lacks to 1; 0 where chance explains it.
    """

    rows: int
    effective: float
    largest: float
    share: float
    outside: float


def ips(logged: Logged, target: Array) -> Influenced:
    """Inverse propensity scoring: right with the right probabilities, and noisy where weights are large."""
    return mean(logged, weights(logged, target) * logged.money)


def snips(logged: Logged, target: Array) -> Influenced:
    """Self-normalised: as `ips` with weights that sum to 1, so that a shift of all money shifts the value as much."""
    weight = logged.people * weights(logged, target)
    total = float(weight.sum())
    if not total > 0:
        return _unknown(logged)
    value = float((weight * logged.money).sum() / total)
    return _told(logged, target, Influenced(value, _by_customer(logged, weight / total * (logged.money - value))))


def direct(logged: Logged, target: Array) -> Influenced:
    """What the outcome models say; its interval knows nothing of their own error."""
    expected = _expected(logged)
    return mean(logged, (_checked(logged, target) * expected).sum(axis=1))


def doubly_robust(logged: Logged, target: Array) -> Influenced:
    """The models' word, corrected by the weighted error that they made where the target agrees with the log."""
    return _told(logged, target, mean(logged, (_checked(logged, target) * scores(logged)).sum(axis=1)))


def scores(logged: Logged) -> Array:
    """Rows x arms: the models' word on each arm, corrected in the arm that was given; its mean is the arm's value."""
    found = _expected(logged).copy()
    rows = np.arange(len(found))
    found[rows, logged.arm] += (logged.money - found[rows, logged.arm]) / logged.probability
    return found


def in_force(logged: Logged) -> Influenced:
    """Of the logged policy itself: the mean of what it brought."""
    return mean(logged, logged.money)


def weights(logged: Logged, target: Array) -> Array:
    """The target's probability of the given arm over the logged one."""
    given = np.take_along_axis(_checked(logged, target), logged.arm[:, None], axis=1)[:, 0]
    result: Array = given / logged.probability
    return result


def mean(logged: Logged, score: Array) -> Influenced:
    """Over customers, of one score per row."""
    share = logged.people / logged.people.sum()
    value = float((share * score).sum())
    return Influenced(value, _by_customer(logged, share * (score - value)))


def overlap(logged: Logged, target: Array) -> Overlap:
    """How well the log covers the target."""
    weight = weights(logged, target)
    average = mean(logged, weight)
    missing = 1 - average.value
    error = float(np.sqrt((average.influence**2).sum()))
    return Overlap(
        rows=len(weight),
        effective=_effective(logged, weight),
        largest=float(weight.max()),
        share=float((logged.people * weight).max() / max((logged.people * weight).sum(), CERTAIN)),
        outside=missing if missing > max(CHANCE * error, CERTAIN) else 0.0,
    )


def _effective(logged: Logged, weight: Array) -> float:
    # (sum of w)^2 / sum of w^2: Kish 1965
    counted = logged.people * weight
    return float(counted.sum() ** 2 / max((counted**2).sum(), CERTAIN))


def _told(logged: Logged, target: Array, found: Influenced) -> Influenced:
    # An interval from a handful of rows is much too narrow: it is then said to be unbounded.
    if _effective(logged, weights(logged, target)) >= MIN_ROWS:
        return found
    return Influenced(found.value, np.full_like(found.influence, np.nan))


def _checked(logged: Logged, target: Array) -> Array:
    arms = int(logged.arm.max()) + 1
    if target.ndim != 2 or len(target) != len(logged.arm) or target.shape[1] < arms:
        raise ValueError(f"target has the shape {target.shape}, must be {len(logged.arm)} rows x {arms} arms or more")
    wrong = np.flatnonzero((target < 0).any(axis=1) | ~(np.abs(target.sum(axis=1) - 1) < 1e-6))
    if len(wrong):
        raise ValueError(f"target == {target[wrong[0]].tolist()} in row {wrong[0]}, must be >= 0 and sum to 1 (policy)")
    return target


def _expected(logged: Logged) -> Array:
    if logged.expected is None:
        raise ValueError("expected == None, must be the money expected in each arm, rows x arms (policy value)")
    return logged.expected


def _by_customer(logged: Logged, influence: Array) -> Array:
    result: Array = np.bincount(logged.customer, influence).astype(np.float64)
    return result


def _unknown(logged: Logged) -> Influenced:
    return Influenced(float("nan"), _by_customer(logged, np.full(len(logged.arm), np.nan)))
