"""What each customer bought, one row per customer, as the models of lifetime value read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

FIRST_DAY = 0.5  # a repeat purchase on day 0 was half a day after the start: at 0 the likelihood has no bound

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Purchases:
    """What each customer bought: one row per customer, times in whole days.

    `repeats`: purchases after the clock started, which is the first purchase, or in an experiment the assignment;
    `recency`: days from the start to the last of them, 0 without; `age`: days from the start to the end of
    observation; `spend`: mean money of the repeat purchases, read where there are some; `arm`: 0, 1, ...
    """

    repeats: Ints
    recency: Array
    age: Array
    spend: Array
    arm: Ints

    @classmethod
    def of(
        cls, repeats: ArrayLike, recency: ArrayLike, age: ArrayLike, spend: ArrayLike, arm: ArrayLike | None = None
    ) -> Self:
        """The rows, checked; without `arm` all are in arm 0. Days are rounded, a repeat on day 0 is half a day old."""
        counts, last, until = (np.rint(np.asarray(each, float)) for each in (repeats, recency, age))
        money = np.asarray(spend, float)
        arms = np.zeros(len(counts), np.int64) if arm is None else np.asarray(arm, np.int64)
        lengths = [len(each) for each in (counts, last, until, money, arms)]
        if len(set(lengths)) > 1:
            raise ValueError(f"repeats, recency, age, spend and arm have {lengths} rows; they need one per customer")
        if arms.min(initial=0) < 0:
            raise ValueError(f"arm == {arms.min()}, must be 0, 1, ...")
        wrong = ~((counts >= 0) & (last >= 0) & (last <= until) & np.isfinite(until)) | ((counts == 0) & (last > 0))
        if wrong.any():
            raise ValueError(
                f"{wrong.sum()} of {len(wrong)} customers have impossible counts or days; "
                "needed are 0 <= recency <= age, and recency == 0 where repeats == 0"
            )
        unpaid = (counts > 0) & ~((money > 0) & np.isfinite(money))
        if unpaid.any():
            raise ValueError(
                f"{unpaid.sum()} of {(counts > 0).sum()} customers with repeat purchases have a mean spend that is not "
                "> 0; leave purchases out of repeats that were refunded or free"
            )
        last = np.where(counts > 0, np.maximum(last, FIRST_DAY), 0.0)
        paid = np.where(counts > 0, money, 0.0)
        return cls(counts.astype(np.int64), last, np.maximum(until, last), paid, arms)

    def at(self, rows: NDArray[np.bool_] | Ints) -> Purchases:
        """These customers."""
        return Purchases(self.repeats[rows], self.recency[rows], self.age[rows], self.spend[rows], self.arm[rows])

    @cached_property
    def by_arm(self) -> list[Purchases]:
        """The customers of each arm."""
        members = [self.arm == arm for arm in range(int(self.arm.max(initial=0)) + 1)]
        return [self.at(here) for here in members]

    @cached_property
    def groups(self) -> tuple[Ints, Ints, Ints]:
        """Of the customers with equal repeats, recency and age: the first; each customer's group; each group's size."""
        recency, age = (np.rint(days / FIRST_DAY).astype(np.int64) for days in (self.recency, self.age))
        key = (self.repeats * (age.max(initial=0) + 1) + recency) * (age.max(initial=0) + 1) + age
        _, first, group, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        return first, group, count

    @cached_property
    def kinds(self) -> tuple[Ints, Ints]:
        """Of the customers with equal repeats and age: the first, and each customer's kind."""
        key = self.repeats * (self.age.max(initial=0) + 1) + self.age
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        return first, kind

    @cached_property
    def total(self) -> Array:
        """Money of a customer's repeat purchases."""
        return self.repeats * self.spend
