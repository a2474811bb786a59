"""Choice: which item a customer of the chunk takes at a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.sources.simulator.customers import Customers
from features.sources.simulator.items import MONTH, Floats, Ints, Items
from features.sources.simulator.world import World


@dataclass(frozen=True)
class Choice:
    """Cumulated probabilities of the items, one stretch of a chunk's customers per month."""

    cumulated: Floats  # months x customers x items, each row + its number: one increasing line
    customers: int
    items: int

    def draw(self, rng: np.random.Generator, customer: Ints, time: Floats) -> Ints:
        """An item per customer and time (days since the start)."""
        row = (time // MONTH).astype(np.int64) * self.customers + customer
        wanted = row + rng.random(len(row))
        order = np.argsort(wanted)  # near searches stay in the cache
        found = np.empty(len(row), dtype=np.int64)
        found[order] = np.searchsorted(self.cumulated, wanted[order], side="right")
        return np.minimum(found - row * self.items, self.items - 1)

    def draw_among(self, rng: np.random.Generator, customer: Ints, time: Floats, allowed: NDArray[np.bool_]) -> Ints:
        """An item per customer and time, the first allowed one of 20 draws; else any allowed one."""
        item = self.draw(rng, customer, time)
        for _ in range(20):
            wrong = np.flatnonzero(~allowed[item])
            item[wrong] = self.draw(rng, customer[wrong], time[wrong])
        return np.where(allowed[item], item, np.flatnonzero(allowed)[0])


def appeal(world: World, items: Items, taste: Floats, day_of_year: float) -> Floats:
    """Log appeal, customers x items: what everybody likes now, and what this one likes."""
    return np.asarray(items.seasonal(world, day_of_year) + world.taste * taste @ items.factors.T)


def choice(world: World, items: Items, customers: Customers, days: int, first_day: float) -> Choice:
    """The choice of these customers in every month of the log."""
    months, count = int(days // MONTH) + 1, len(customers)
    cumulated = np.empty((months, count, world.items))
    for month in range(months):
        weight = np.exp(appeal(world, items, customers.taste, first_day + (month + 0.5) * MONTH))
        np.cumsum(weight, axis=1, out=cumulated[month])
    cumulated /= cumulated[..., -1:]
    cumulated += np.arange(months * count).reshape(months, count, 1)
    return Choice(cumulated.ravel(), count, world.items)
