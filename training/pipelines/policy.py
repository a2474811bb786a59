"""What an uplift run's choice would have earned, against simpler policies; nobody is valued on rows it learned from.

The choice gives each customer the offer with the highest expected profit (value x effect - cost, when above 0), by
effects out of fold. The best single offer is the one that earned most in the other folds.

Money: an outcome in arm a earns value(a), the arm costs cost(a). Where the values of offers differ, an outcome that was
to be expected without an offer counts with the largest of them, so that an offer's value is of its extra outcomes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from features.exposures import CONTROL
from features.offers import Offer
from training.intervals import Influenced, Interval, verdict
from training.metrics.policy_value import (
    Array,
    Logged,
    Overlap,
    direct,
    doubly_robust,
    in_force,
    ips,
    overlap,
    snips,
)
from training.metrics.price_of_knowing import SHARES, Noise, Price, exploration, holdout
from training.metrics.uplift import PER
from training.pipelines.uplift_evaluation import CHOSEN, OutOfFold, without_nan

OURS, NOBODY, SINGLE, IN_FORCE = "by expected profit", "nobody", "the best single offer", "the rule in force"
FEW = 100  # rows: below it a normal interval of money is not to be trusted
HEAVY = 0.05  # of all weight on one row: the estimate is that row's


@dataclass(frozen=True)
class Worth:
    """Per offer of the log what an extra outcome is worth and what a contact costs; `unlisted` are not in the file."""

    offers: tuple[str, ...]
    value: Array
    cost: Array
    unlisted: tuple[str, ...]

    @classmethod
    def of(cls, offers: Sequence[str], listed: Sequence[Offer]) -> Worth:
        """From `offers.yaml`; an offer that it does not name has value 1 and cost 0."""
        known = {offer.key: offer for offer in listed}
        worth = [(known[key].value, known[key].cost) if key in known else (1.0, 0.0) for key in offers]
        value, cost = np.array(worth, dtype=np.float64).T
        return cls(tuple(offers), value, cost, tuple(key for key in offers if key not in known))


@dataclass(frozen=True)
class Valued:
    """One policy: its value by each estimate, how well the log covers it, and to what share it gives an offer."""

    name: str
    value: Influenced  # doubly robust; of the rule in force the mean of what it brought
    beside: Mapping[str, Influenced]
    overlap: Overlap
    offered: float


@dataclass(frozen=True)
class PolicyLog:
    """An uplift run's rows as a log of decisions, and the policies that are valued on it."""

    oof: OutOfFold
    worth: Worth

    @cached_property
    def logged(self) -> Logged:
        """The rows in money; arm 0 is no offer."""
        oof, common = self.oof, self.worth.value.max()
        value, cost = np.append(common, self.worth.value), np.append(0.0, self.worth.cost)
        base = (common - value) * oof.expected[:, :1]  # of outcomes that come without an offer
        arm = 1 + np.searchsorted(oof.offers, oof.arm)
        arm[oof.arm == CONTROL] = 0
        rows = np.arange(len(arm))
        money = value[arm] * oof.outcome - cost[arm] + base[rows, arm]
        expected = value * oof.expected - cost + base
        return Logged(arm, oof.people / oof.weight, money, oof.unit, oof.people, expected)

    @cached_property
    def targets(self) -> dict[str, Array]:
        """Rows x arms of each policy but the one in force."""
        ours = greedy(self.oof.prediction[CHOSEN], self.worth.value, self.worth.cost)
        return {OURS: ours, NOBODY: constant(np.zeros(len(ours), dtype=np.intp), ours.shape[1]), SINGLE: self.single}

    @cached_property
    def single(self) -> Array:
        """For each fold the offer that earned most per row in the other folds."""
        arms = len(self.worth.offers) + 1
        chosen = np.empty(len(self.oof.fold), dtype=np.intp)
        for fold in np.unique(self.oof.fold):
            chosen[self.oof.fold == fold] = 1 + np.argmax(_means(self.logged, self.oof.fold != fold, arms)[1:])
        return constant(chosen, arms)

    @cached_property
    def valued(self) -> dict[str, Valued]:
        """Every policy by name."""
        found = {name: self.value(name, target) for name, target in self.targets.items()}
        return found | {IN_FORCE: self._in_force()}

    def value(self, name: str, target: Array) -> Valued:
        """This policy on all rows."""
        logged = self.logged
        beside = {"ips": ips(logged, target), "snips": snips(logged, target), "direct": direct(logged, target)}
        return Valued(name, doubly_robust(logged, target), beside, overlap(logged, target), self.offered(target))

    def offered(self, target: Array) -> float:
        """The share of customers to whom the policy gives an offer."""
        return float(np.average(1 - target[:, 0], weights=self.logged.people))

    def _in_force(self) -> Valued:
        logged = self.logged
        rows = len(logged.arm)
        people = logged.people
        covered = Overlap(
            rows, float(people.sum() ** 2 / (people**2).sum()), 1.0, float(people.max() / people.sum()), 0
        )
        return Valued(IN_FORCE, in_force(logged), {}, covered, float(np.average(logged.arm > 0, weights=people)))


def greedy(effect: Array, value: Array, cost: Array) -> Array:
    """Rows x (none, offers): 1 for the highest value x effect - cost, and for none where all are 0 or less."""
    profit = np.column_stack([np.zeros(len(effect)), effect * value - cost])
    return constant(np.argmax(profit, axis=1), profit.shape[1])


def constant(arm: np.ndarray[Any, np.dtype[np.intp]], arms: int) -> Array:
    """Rows x arms: 1 for this arm."""
    result: Array = np.eye(arms)[arm]
    return result


def policy_figures(oof: OutOfFold, listed: Sequence[Offer], currency: str) -> dict[str, Any]:
    """All numbers of the policy value table, in money per 1,000 customers, ready for JSON."""
    log = PolicyLog(oof, Worth.of(oof.offers, listed))
    found: dict[str, Any] = without_nan(
        {
            "currency": currency,
            "offers": _offers(log),
            "unlisted": list(log.worth.unlisted),
            "policies": [_policy(log, one) for one in log.valued.values()],
            "price": _prices(log),
        }
    )
    return found


def _offers(log: PolicyLog) -> list[dict[str, Any]]:
    # `folds`: in how many it was the best single offer
    best = {fold: int(np.argmax(log.single[log.oof.fold == fold][0])) for fold in np.unique(log.oof.fold)}
    worth = zip(log.worth.offers, log.worth.value.tolist(), log.worth.cost.tolist(), strict=True)
    return [
        {"offer": offer, "value": value, "cost": cost, "folds": list(best.values()).count(place)}
        for place, (offer, value, cost) in enumerate(worth, start=1)
    ]


def _policy(log: PolicyLog, one: Valued) -> dict[str, Any]:
    ours = log.valued[OURS]
    covered = one.overlap
    return {
        "policy": one.name,
        "offered": one.offered,
        **_per(one.value.interval),
        "gain": None if one.name == OURS else _gain(ours.value - one.value),
        "beside": {name: _per(found.interval) for name, found in one.beside.items()},
        "rows": covered.rows,
        "effective": covered.effective,
        "largest": covered.largest,
        "largest_share": covered.share,
        "outside": covered.outside,
        "poor": covered.outside > 0 or covered.effective < FEW or covered.share > HEAVY,
    }


def _gain(difference: Influenced) -> dict[str, Any]:
    return _per(difference.interval) | {"verdict": verdict(difference.interval)}


def _prices(log: PolicyLog) -> list[dict[str, Any]]:
    logged, ours = log.logged, log.valued[OURS]
    target, arms = log.targets[OURS], len(log.worth.offers) + 1
    noise = Noise.of(logged, target, log.targets[NOBODY])
    evenly = doubly_robust(logged, np.full_like(target, 1 / arms))
    over_nobody, over_even = ours.value - log.valued[NOBODY].value, ours.value - evenly
    kept = [_price("holdout", holdout(share, over_nobody, noise)) for share in SHARES]
    explored = (exploration(s, over_even, noise, offered=ours.offered, arms=arms) for s in SHARES)
    return kept + [_price("exploration", one) for one in explored]


def _price(kind: str, one: Price) -> dict[str, Any]:
    cost = _per(one.cost.interval)
    return {"kind": kind, "share": one.share, **cost, "width": PER * one.width}


def _per(found: Interval) -> dict[str, float]:
    return {"value": PER * found.estimate, "lower": PER * found.lower, "upper": PER * found.upper}


def _means(logged: Logged, rows: np.ndarray[Any, np.dtype[np.bool_]], arms: int) -> Array:
    # Money per row of each arm, weighted by the inverse of its probability (Hájek); an arm without rows is never best.
    weight = (logged.people / logged.probability)[rows]
    arm = logged.arm[rows]
    total = np.bincount(arm, weight, minlength=arms)
    money = np.bincount(arm, weight * logged.money[rows], minlength=arms)
    result: Array = np.divide(money, total, out=np.full(arms, -np.inf), where=total > 0)
    return result
