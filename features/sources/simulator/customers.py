"""Customers of one chunk: tastes, activity, traits, and what each offer does to them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.sources.simulator.items import Floats, Ints
from features.sources.simulator.world import World

AGES = ("18-34", "35-54", "55+")
CITIES = ("Berlin", "Hamburg", "Lyon", "Torino", "Rural")
OFFERS = ("percent-10", "free-shipping")
WINDOW = 14  # days in which an order counts as the campaign's conversion


@dataclass(frozen=True)
class Customers:
    """One row per customer of the chunk; `joined` in days since the log's start."""

    first: int
    taste: Floats
    activity: Floats  # log of the rate of sessions against the mean customer
    joined: Floats
    age: Ints
    city: Ints
    newsletter: NDArray[np.bool_]
    opens: Floats
    machine: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.activity)

    @property
    def ids(self) -> list[str]:
        """Customer ids in order of position."""
        return [f"customer-{self.first + position:07d}" for position in range(len(self))]

    def rate(self, world: World) -> Floats:
        """Sessions per day."""
        return np.asarray(world.sessions / 180 * np.exp(self.activity - world.activity**2 / 2))

    def traits(self) -> list[str]:
        """The traits of each customer as JSON."""
        return [
            json.dumps({"age_group": AGES[age], "city": CITIES[city], "newsletter": bool(news)})
            for age, city, news in zip(self.age, self.city, self.newsletter, strict=True)
        ]

    def base(self, world: World) -> Floats:
        """Probability of an order within the window without an offer."""
        cart = 1 - np.exp(-world.views * world.cart)
        return np.asarray(1 - np.exp(-WINDOW * self.rate(world) * cart * world.order * world.base))

    def effects(self, world: World) -> Floats:
        """True change of that probability, customers x offers: steps and a hump, some below zero."""
        base = self.base(world)[:, None]
        wanted = np.stack([self._percent(), self._shipping()], axis=1) * world.offer_effect
        return np.asarray(np.clip(base + wanted, 0.005, 0.95) - base) * (world.offer_effect != 0)

    def _percent(self) -> Floats:
        keen = self.newsletter & (self.age == 0)
        loyal = (self.activity > 0.5) & ~self.newsletter
        return np.where(keen, 0.22, np.where(loyal, -0.06, 0.04))

    def _shipping(self) -> Floats:
        hump = 0.16 * np.exp(-((self.activity / 0.6) ** 2)) - 0.02
        return np.where(self.age == 2, -0.05, np.where(self.city == 4, hump + 0.08, hump))


def draw_customers(world: World, rng: np.random.Generator, first: int, count: int, days: int) -> Customers:
    """The customers `first`, `first + 1`, ... of a world."""
    late = rng.random(count) < 0.3
    return Customers(
        first=first,
        taste=rng.normal(size=(count, world.rank)),
        activity=world.activity * rng.normal(size=count),
        joined=np.where(late, rng.uniform(0, 0.75 * days, count), rng.uniform(0, 1, count)),
        age=rng.choice(3, size=count, p=[0.35, 0.4, 0.25]),
        city=rng.integers(len(CITIES), size=count),
        newsletter=rng.random(count) < 0.55,
        opens=rng.beta(2, 5, size=count),
        machine=rng.random(count) < world.machine_mail,
    )
