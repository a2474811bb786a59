"""A simulated shop for experiments: what customers do in the two weeks after they are assigned, and before.

Customers are assigned over `DAYS` days. Tastes differ: who opens (Beta), who buys (Gamma), who spends (log-normal), so
that a few bring most of the money. `lift` multiplies, in the treatment, how often it is opened, clicked and bought.

Lifetime value is of customers who may leave for good, which those above do not: of `LEAVING`, as many to begin with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments_lifetime import World
from serving.experiments.metrics import standard
from serving.experiments.worth import Bought

Array = NDArray[np.float64]
CUSTOMERS, DAYS, WINDOW = 4_000, 14, 14.0
BUYS = 0.012  # orders a day of the mean customer
SHAPE = 0.7  # of the Gamma that they differ by
SPREAD = 1.0  # of the logarithm of what an order brings; a tail like that of shops
CLICKS, REFUNDS = 0.15, 0.05
LEAVING = World(r=SHAPE, alpha=SHAPE / BUYS)  # when they leave, and what they spend, is as of CDNOW's
MEANS = ("open-rate", "click-through-rate", "conversion-rate", "revenue", "repeat-purchase-rate")


@dataclass(frozen=True)
class Shop:
    """Per customer the day of the assignment, the bucket of the hash, and per metric its columns."""

    day: NDArray[np.intp]
    bucket: Array
    columns: dict[str, Array]
    first: Array  # days until the first order, infinite where none came
    bought: Bought  # by those who may leave

    def arm(self, share: float) -> NDArray[np.bool_]:
        """True in the treatment, which has this share."""
        return self.bucket < share


def drawn(rng: np.random.Generator, *, customers: int = CUSTOMERS, lift: float = 0.0, share: float = 0.5) -> Shop:
    """One shop; with a lift, that of the treatment in it."""
    bucket, day = rng.random(customers), rng.integers(DAYS, size=customers)
    more = np.where(bucket < share, 1 + lift, 1.0)
    rate = BUYS * rng.gamma(SHAPE, 1 / SHAPE, customers)
    spend = np.exp(0.5 * rng.standard_normal(customers) + 3.0)
    past, _ = _money(rng, rng.poisson(90 * rate), spend)
    orders = rng.poisson(WINDOW * rate * more)
    money, _ = _money(rng, orders, spend)
    mails = 1 + rng.poisson(3.0, customers)
    opened = rng.binomial(mails, np.minimum(rng.beta(2.0, 5.0, customers) * more, 1.0))
    clicked = rng.binomial(opened, CLICKS)
    first = np.where(orders > 0, WINDOW * (1 - rng.random(customers) ** (1 / np.maximum(orders, 1))), np.inf)
    bought, before = (orders > 0).astype(float), (past > 0).astype(float)
    columns = {
        "open-rate": np.c_[opened, mails],
        "click-through-rate": np.c_[clicked, mails],
        "conversion-rate": np.c_[bought, before],
        "revenue": np.c_[money, past],
        "repeat-purchase-rate": (orders >= 2).astype(float)[:, None],
    }
    kept, last, mean = LEAVING.purchases(np.full(customers, int(WINDOW)), (more, np.ones(customers)), rng)
    bought = Bought(kept * mean, kept.astype(float), last, kept * mean)
    return Shop(day, bucket, {name: part.astype(float) for name, part in columns.items()}, first, bought)


def capped(columns: Array, key: str) -> Array:
    """As `values.capped` does: above the metric's quantile of what is not 0 counts as it."""
    if (cap := standard()[key].cap) is None:
        return columns
    limits = [np.quantile(one[one != 0], cap) if (one != 0).any() else np.inf for one in columns.T]
    return np.minimum(columns, limits)


def _money(rng: np.random.Generator, orders: NDArray[np.int64], spend: Array) -> tuple[Array, Array]:
    """What the orders bring less what comes back, and how often it was bought."""
    who = np.repeat(np.arange(len(orders)), orders)
    each = spend[who] * np.exp(SPREAD * rng.standard_normal(len(who)) - SPREAD**2 / 2)
    kept = np.where(rng.random(len(who)) < REFUNDS, 0.0, each)
    return np.bincount(who, kept, len(orders)), orders.astype(float)
