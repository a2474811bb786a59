"""Allotment: customers, offers and limits as arrays, and what a set of prices makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Choices = NDArray[np.int16]  # per customer the offer's number
NOBODY = -1  # no offer


@dataclass(frozen=True)
class Limit:
    """These offers (by number) together take at most so much: money where `money`, else contacts."""

    name: str
    most: float
    offers: tuple[int, ...]
    money: bool

    def __post_init__(self) -> None:
        if not 0 <= self.most < np.inf:
            raise ValueError(f"most == {self.most}, must be >= 0 and finite (limit {self.name!r})")


@dataclass(frozen=True)
class Allotment:
    """Profit and spend, offers x customers; a profit of -inf where the customer cannot have the offer.

    A price per limit turns into one per unit of money and one per contact of each offer: `charges`.
    """

    profit: Array
    spend: Array
    limits: tuple[Limit, ...]

    @cached_property
    def most(self) -> Array:
        return np.array([limit.most for limit in self.limits], dtype=np.float64)

    @cached_property
    def _over(self) -> tuple[Array, Array]:
        """Limits x offers: where money counts, and where contacts do."""
        held = np.zeros((2, len(self.limits), len(self.profit)))
        for number, limit in enumerate(self.limits):
            held[int(not limit.money), number, list(limit.offers)] = 1.0
        return held[0], held[1]

    def charges(self, prices: Array) -> tuple[Array, Array]:
        """Per offer the charge for a unit of money and for a contact."""
        money, contact = self._over
        return prices @ money, prices @ contact

    def net(self, prices: Array, offer: int) -> Array:
        """Per customer the profit of this offer less its charges."""
        money, contact = (charge[offer] for charge in self.charges(prices))
        net: Array = self.profit[offer] - money * self.spend[offer] - contact
        return net

    def best(self, prices: Array) -> tuple[Choices, Array]:
        """Per customer the offer that is worth most after charges, and its worth; nobody where none is worth more."""
        worth, number = np.zeros(self.profit.shape[1]), np.zeros(self.profit.shape[1], np.int16)
        for offer in range(len(self.profit)):  # without a mask, which takes twice the time
            net = self.net(prices, offer)
            np.maximum(number, (net > worth) * np.int16(offer + 1), out=number)
            np.maximum(worth, net, out=worth)
        return number + np.int16(NOBODY), worth

    def used(self, choice: Choices) -> Array:
        """What this choice takes of each limit."""
        given = [choice == offer for offer in range(len(self.profit))]
        spent = np.array([self.spend[offer] @ rows for offer, rows in enumerate(given)])
        money, contact = self._over
        taken: Array = money @ spent + contact @ np.array([rows.sum() for rows in given], dtype=np.float64)
        return taken

    def use(self, limit: int, choice: Choices) -> Array:
        """What each customer's choice takes of this limit."""
        money, contact = (part[limit] for part in self._over)
        use = np.zeros(len(choice))
        for offer in np.flatnonzero(money + contact):
            rows = choice == offer
            use[rows] = self.spend[offer][rows] if money[offer] else 1.0
        return use

    def earned(self, choice: Choices) -> float:
        """The profit of this choice."""
        return float(sum(self.profit[offer][choice == offer].sum() for offer in range(len(self.profit))))

    def take(self, rows: NDArray[np.intp]) -> Allotment:
        """The same offers for these customers; the limits stay."""
        return replace(self, profit=self.profit[:, rows], spend=self.spend[:, rows])

    def sample(self, size: int) -> Allotment:
        """Every n-th customer, at most `size`, with limits that shrink with them."""
        rows = np.arange(0, self.profit.shape[1], -(-self.profit.shape[1] // size))
        share = len(rows) / self.profit.shape[1]
        limits = tuple(replace(limit, most=limit.most * share) for limit in self.limits)
        return replace(self.take(rows), limits=limits)
