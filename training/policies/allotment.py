"""Allotment: customers, offers and limits as arrays, and what a set of prices makes of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Choices = NDArray[np.int16]  # per customer the offer's number
NOBODY = -1  # no offer
BLOCK = 16_384  # customers whose numbers stay in the cache of a core while they are worked on
THREADS = 2
Found = TypeVar("Found")


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

    @cached_property
    def blocks(self) -> tuple[Allotment, ...]:
        """The same offers and limits for a few customers each: views, no copies."""
        starts = range(0, self.profit.shape[1], BLOCK)
        parts = [slice(start, start + BLOCK) for start in starts]
        return tuple(replace(self, profit=self.profit[:, part], spend=self.spend[:, part]) for part in parts)

    def look(self, prices: Array) -> tuple[float, Array]:
        """What the best offers at these prices are worth in all after charges, and what they take of each limit."""
        total, taken = 0.0, np.zeros(len(self.limits))
        for worth, used in self.each(lambda block: block.summed(prices)):
            total, taken = total + worth, taken + used
        return total, taken

    def summed(self, prices: Array) -> tuple[float, Array]:
        """As `look`, of a block."""
        choice, worth = self.best(prices)
        return float(worth.sum()), self.used(choice)

    def each(self, work: Callable[[Allotment], Found]) -> list[Found]:
        """What the work finds in each block, in their order, so that sums are the same however many threads there are.

        Numpy leaves the interpreter to the other thread while it reckons.
        """
        if len(self.blocks) <= 1:
            return [work(block) for block in self.blocks]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(work, self.blocks))

    def net(self, prices: Array, offer: int) -> Array:
        """Per customer the profit of this offer less its charges."""
        money, contact = (charge[offer] for charge in self.charges(prices))
        net: Array = self.profit[offer] - money * self.spend[offer] - contact
        return net

    def best(self, prices: Array) -> tuple[Choices, Array]:
        """Per customer the offer that is worth most after charges, and its worth; nobody where none is worth more."""
        if self.profit.shape[1] > BLOCK:
            parts = self.each(lambda block: block.best(prices))
            return np.concatenate([choice for choice, _ in parts]), np.concatenate([worth for _, worth in parts])
        worth, number = np.zeros(self.profit.shape[1]), np.zeros(self.profit.shape[1], np.int16)
        for offer in range(len(self.profit)):  # without a mask, which takes twice the time
            net = self.net(prices, offer)
            np.maximum(number, (net > worth) * np.int16(offer + 1), out=number)
            np.maximum(worth, net, out=worth)
        return number + np.int16(NOBODY), worth

    def margin(self, prices: Array) -> Array:
        """Per customer how much more the best option is worth than the next best, nobody included."""
        if self.profit.shape[1] > BLOCK:
            return np.concatenate(self.each(lambda block: block.margin(prices)))
        best, next_best = np.zeros(self.profit.shape[1]), np.full(self.profit.shape[1], -np.inf)
        for offer in range(len(self.profit)):
            net = self.net(prices, offer)
            np.maximum(next_best, np.minimum(best, net), out=next_best)
            np.maximum(best, net, out=best)
        margin: Array = best - next_best
        return margin

    def used(self, choice: Choices) -> Array:
        """What this choice takes of each limit."""
        given = [choice == offer for offer in range(len(self.profit))]
        # no inner product: BLAS would start threads of its own for it, and sum in another order
        spent = np.array([(self.spend[offer] * rows).sum() for offer, rows in enumerate(given)], dtype=np.float64)
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
