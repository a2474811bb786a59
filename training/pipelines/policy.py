"""What an uplift run's choice would have earned, against simpler policies; nobody is valued on rows it learned from.

The choice gives each customer the offer with the highest expected profit (value x effect - cost - redemption cost x
outcome with the offer, when above 0), by effects out of fold. The best single offer is the one that earned most in the
other folds.

Money: an outcome in arm a earns value(a) - redemption cost(a), the arm costs cost(a). Where the values differ between
offers, an outcome that was to be expected without an offer counts with the largest of them, so that an offer's value is
of its extra outcomes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from features.exposures import CONTROL
from features.offers import Offer
from training.intervals import Influenced
from training.metrics.policy_value import (
    Array,
    Logged,
    Overlap,
    direct,
    doubly_robust,
    in_force,
    ips,
    overlap,
    scores,
    snips,
)
from training.pipelines.uplift_evaluation import CHOSEN
from training.uplift.out_of_fold import OutOfFold
from training.uplift.rows import is_binary

OURS, NOBODY, SINGLE, IN_FORCE = "by expected profit", "nobody", "the best single offer", "the rule in force"
UNLISTED = Offer(key="unlisted", name="unlisted")  # value 1, no cost


@dataclass(frozen=True)
class Worth:
    """Per offer of the log what an extra outcome is worth, and what a contact and an outcome with the offer cost.

    `unlisted` are not in the file; `limited` have a condition there that is not looked at here.
    """

    offers: tuple[str, ...]
    value: Array
    cost: Array
    redemption: Array
    unlisted: tuple[str, ...]
    limited: tuple[str, ...]

    @classmethod
    def of(cls, offers: Sequence[str], listed: Sequence[Offer]) -> Worth:
        """From `offers.yaml`; an offer that it does not name has value 1 and costs nothing."""
        known = {offer.key: offer for offer in listed}
        found = [known.get(key, UNLISTED) for key in offers]
        worth = [(offer.value, offer.cost, offer.redemption_cost) for offer in found]
        value, cost, redemption = np.array(worth, dtype=np.float64).T
        unlisted = tuple(key for key in offers if key not in known)
        limited = tuple(offer.key for offer in found if offer.eligible is not None)
        return cls(tuple(offers), value, cost, redemption, unlisted, limited)


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
        oof, worth, common = self.oof, self.worth, self.worth.value.max()
        earns, cost = np.append(common, worth.value - worth.redemption), np.append(0.0, worth.cost)
        base = np.append(0.0, common - worth.value) * oof.expected[:, :1]  # of outcomes that come without an offer
        arm = 1 + np.searchsorted(oof.offers, oof.arm)
        arm[oof.arm == CONTROL] = 0
        rows = np.arange(len(arm))
        money = earns[arm] * oof.outcome - cost[arm] + base[rows, arm]
        expected = earns * oof.expected - cost + base
        return Logged(arm, oof.people / oof.weight, money, oof.unit, oof.people, expected)

    @cached_property
    def spend(self) -> Array:
        """Rows x offers: the money that the offer is predicted to take."""
        ceiling = 1.0 if is_binary(self.oof.outcome) else np.inf
        outcome = np.clip(self.oof.expected[:, :1] + self.oof.prediction[CHOSEN], 0.0, ceiling)
        result: Array = self.worth.cost + self.worth.redemption * outcome
        return result

    @cached_property
    def profit(self) -> Array:
        """Rows x offers: the money that the offer is predicted to earn more than none."""
        result: Array = self.oof.prediction[CHOSEN] * self.worth.value - self.spend
        return result

    @cached_property
    def earned(self) -> Array:
        """Rows x offers: doubly robust scores of the money that the offer earned more than none."""
        found = scores(self.logged)
        result: Array = found[:, 1:] - found[:, :1]
        return result

    @cached_property
    def targets(self) -> dict[str, Array]:
        """Rows x arms of each policy but the one in force."""
        ours = greedy(self.oof.prediction[CHOSEN], self.worth.value, self.spend)
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


def greedy(effect: Array, value: Array, spend: Array) -> Array:
    """Rows x (none, offers): 1 for the highest value x effect - spend, and for none where all are 0 or less."""
    profit = np.column_stack([np.zeros(len(effect)), effect * value - spend])
    return constant(np.argmax(profit, axis=1), profit.shape[1])


def constant(arm: np.ndarray[Any, np.dtype[np.intp]], arms: int) -> Array:
    """Rows x arms: 1 for this arm."""
    result: Array = np.eye(arms)[arm]
    return result


def _means(logged: Logged, rows: np.ndarray[Any, np.dtype[np.bool_]], arms: int) -> Array:
    # Money per row of each arm, weighted by the inverse of its probability (Hájek); an arm without rows is never best.
    weight = (logged.people / logged.probability)[rows]
    arm = logged.arm[rows]
    total = np.bincount(arm, weight, minlength=arms)
    money = np.bincount(arm, weight * logged.money[rows], minlength=arms)
    result: Array = np.divide(money, total, out=np.full(arms, -np.inf), where=total > 0)
    return result
