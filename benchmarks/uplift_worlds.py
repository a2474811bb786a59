"""Six worlds in which the effect of an offer on each customer is known: one offer against none, twelve features.

Eight features are normal and correlated (0.3), two are flags, two are skewed like money. Where nothing else is said a
coin gives the offer and the log knows it. `confounded`: who buys anyway gets the offer more often, and the log does not
know how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.exposures import CONTROL, Exposures
from features.table import Feature, FeatureTable

OFFER = "offer"
SPREAD = 1.3  # of the logarithm of an amount: the top 1 % of buyers bring 13 % of the revenue
Array = NDArray[np.float64]
Chances = tuple[Array, Array]  # of an outcome, without the offer and with it


@dataclass(frozen=True)
class World:
    """The chances of an outcome; the money that one is worth and that a contact costs; the chance of the offer.

    `amount`: the mean of the outcome where there is one; None where it is 1. `customers`: how many times as many a
    replication needs.
    """

    chances: Callable[[Array], Chances]
    value: float
    cost: float
    offered: Callable[[Array], Array] | None = None
    amount: Callable[[Array], Array] | None = None
    customers: int = 1

    def effect(self, X: Array) -> Array:
        """The true effect on each customer, in units of the outcome."""
        without, given = self.chances(X)
        return (given - without) * (1.0 if self.amount is None else self.amount(X))

    def earned(self, effect: Array, predicted: Array) -> float:
        """Net money per customer when those are treated whose predicted effect is worth more than it costs."""
        return float(((effect * self.value - self.cost) * (predicted * self.value > self.cost)).mean())


@dataclass(frozen=True)
class Log:
    """Customers, what they were given and did, and the true effects; `probability`: of the offer, NaN where unknown."""

    X: Array
    treated: NDArray[np.bool_]
    outcome: Array
    probability: Array
    effect: Array

    @property
    def table(self) -> FeatureTable:
        names = [f"feature_{number}" for number in range(self.X.shape[1])]
        features = tuple(Feature(name, "own", "number", f"{name}.") for name in names)
        return FeatureTable(pd.DataFrame(self.X, columns=names), features)

    @property
    def exposures(self) -> Exposures:
        given = np.where(self.treated, self.probability, 1 - self.probability)
        return Exposures(np.where(self.treated, OFFER, CONTROL).astype(np.str_), given, np.ones(len(given)))


def drawn(world: World, customers: int, rng: np.random.Generator) -> Log:
    """A log of so many customers."""
    X = people(customers, rng)
    chance = np.full(customers, 0.5) if world.offered is None else world.offered(X)
    treated = rng.random(customers) < chance
    without, given = world.chances(X)
    outcome = (rng.random(customers) < np.where(treated, given, without)).astype(np.float64)
    if world.amount is not None:
        outcome *= world.amount(X) * np.exp(SPREAD * rng.normal(size=customers) - SPREAD**2 / 2)
    known = chance if world.offered is None else np.full(customers, np.nan)
    return Log(X, treated, outcome, known, world.effect(X))


def people(customers: int, rng: np.random.Generator) -> Array:
    """The features of so many customers."""
    shared = rng.normal(size=(customers, 1))
    normal = np.sqrt(0.3) * shared + np.sqrt(0.7) * rng.normal(size=(customers, 8))
    flags = (rng.random((customers, 2)) < (0.3, 0.5)).astype(np.float64)
    return np.column_stack([normal, flags, np.minimum(rng.exponential(size=(customers, 2)), 8.0)])


def linear(X: Array) -> Chances:
    """Effects are a line: about 0.04 on average, as much apart."""
    return _raised(
        _logistic(-2 + 0.5 * X[:, 0] + 0.3 * X[:, 3]), 0.03 + 0.03 * X[:, 1] - 0.02 * X[:, 2] + 0.03 * X[:, 8]
    )


def nonlinear(X: Array) -> Chances:
    """Effects are steps where two things meet."""
    both = 0.09 * (X[:, 1] > 0) * (X[:, 2] > 0) + 0.06 * (X[:, 10] > 1) * X[:, 9]
    return _raised(_logistic(-2 + 0.8 * np.sin(2 * X[:, 0]) + 0.5 * X[:, 8] * X[:, 3]), both - 0.02)


def confounded(X: Array) -> Chances:
    """Who buys anyway is offered more, and gains from a threshold on."""
    return _raised(_logistic(-2 + 0.7 * X[:, 0] + 0.5 * X[:, 1]), 0.08 * (X[:, 1] > 0) + 0.02 * X[:, 2] - 0.03)


def targeted(X: Array) -> Array:
    """The chance of the offer in the confounded world."""
    return np.clip(_logistic(0.8 * X[:, 0] - 0.6 * X[:, 1] + 0.5 * X[:, 8]), 0.05, 0.95)


def constant(X: Array) -> Chances:
    """Everybody gains the same."""
    return _raised(np.minimum(_logistic(-2 + 0.5 * X[:, 0] + 0.3 * X[:, 3]), 0.9), np.full(len(X), 0.03))


def rare(X: Array) -> Chances:
    """One outcome in 200 without the offer, multiplied by it."""
    without = np.minimum(0.005 * np.exp(0.5 * X[:, 0] - 0.125), 0.2)
    return without, np.minimum(without * np.exp(0.3 + 0.5 * X[:, 1]), 0.9)


def bought(X: Array) -> Chances:
    """One in nine buys."""
    return _raised(_logistic(-2.2 + 0.4 * X[:, 0]), 0.04 + 0.04 * X[:, 1])


def basket(X: Array) -> Array:
    """The mean amount of who buys."""
    return 40 * np.exp(0.3 * X[:, 3] - 0.045)


def _raised(without: Array, effect: Array) -> Chances:
    return without, np.clip(without + effect, 0.001, 0.999)


def _logistic(value: Array) -> Array:
    return 1 / (1 + np.exp(-value))


WORLDS = {
    "linear": World(linear, 10.0, 0.3),
    "non-linear": World(nonlinear, 10.0, 0.2),
    "confounded": World(confounded, 10.0, 0.2, offered=targeted),
    "constant effect": World(constant, 10.0, 0.2),
    "rare outcome": World(rare, 100.0, 0.2, customers=2),
    "heavy-tailed revenue": World(bought, 0.3, 0.3, amount=basket),
}
WITHOUT_SIGNAL = ("constant effect",)  # nothing tells customers apart there, so that a slope means nothing
