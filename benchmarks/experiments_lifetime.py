"""Lifetime value by arm: the size of its test, whether its intervals hold the truth, and how fast it fits.

Customers are drawn from BG/NBD and Gamma-Gamma with the parameters of CDNOW in days; they are 4 to 26 weeks old. The
truth of an arm is the expected number of purchases from the start to the horizon's end times the expected spend.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import hyp2f1

from serving.experiments.fitting import fit_spend, fit_transactions
from serving.experiments.lifetime import value_by_arm
from serving.experiments.purchases import Purchases

YOUNGEST, OLDEST = 28, 182  # days since the first purchase
HORIZON = 182.0  # days of forecast
Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How customers differ; `alpha` in days, `gamma` in money."""

    r: float = 0.243
    a: float = 0.793
    b: float = 2.426
    alpha: float = 30.9
    p: float = 6.25
    q: float = 3.74
    gamma: float = 15.44

    def purchases(
        self, ages: NDArray[np.int64], lifts: tuple[Array, Array], rng: np.random.Generator
    ) -> tuple[Array, Array, Array]:
        """Repeats, recency (days), mean spend of customers of these ages; `lifts` multiply each customer's two."""
        rate = rng.gamma(self.r, 1 / self.alpha, len(ages)) * lifts[0]
        stop = rng.beta(self.a, self.b, len(ages))
        repeats, recency = np.zeros(len(ages), np.int64), np.zeros(len(ages))
        going, clock = np.arange(len(ages)), np.zeros(len(ages))
        while len(going):
            clock = clock + rng.standard_exponential(len(going)) / np.maximum(rate[going], 1e-300)
            inside = clock <= ages[going]
            going, clock = going[inside], clock[inside]
            repeats[going] += 1
            recency[going] = clock
            stays = rng.random(len(going)) > stop[going]
            going, clock = going[stays], clock[stays]
        nu = rng.gamma(self.q, 1 / self.gamma, len(ages)) / lifts[1]
        total = rng.gamma(self.p * np.maximum(repeats, 1)) / nu
        return repeats, recency, np.where(repeats > 0, total / np.maximum(repeats, 1), 0.0)

    def value(self, ages: NDArray[np.int64], lift: tuple[float, float], horizon: float = HORIZON) -> float:
        """Expected money per customer from the start to `horizon` days after observation (FHL 2005, equation 9)."""
        kinds, counts = np.unique(ages, return_counts=True)
        alpha, days = self.alpha / lift[0], kinds + horizon
        left = (alpha / (alpha + days)) ** self.r
        left = left * hyp2f1(self.r, self.b, self.a + self.b - 1, days / (alpha + days))
        purchases = (self.a + self.b - 1) / (self.a - 1) * (1 - left)
        return float(counts @ purchases / counts.sum() * lift[1] * self.p * self.gamma / (self.q - 1))


def compared(seed: int, customers: int, share: float, lift: tuple[float, float]) -> tuple[float, float, float]:
    """One experiment: the difference of arm 1 (of this share of the customers) to arm 0, its error, and the truth."""
    world, rng = World(), np.random.default_rng(seed)
    arm = (rng.random(customers) < share).astype(np.int64)
    ages = rng.integers(YOUNGEST, OLDEST + 1, customers)
    lifts = (np.where(arm == 1, lift[0], 1.0), np.where(arm == 1, lift[1], 1.0))
    repeats, recency, spend = world.purchases(ages, lifts, rng)
    found = value_by_arm(Purchases.of(repeats, recency, ages, spend, arm), repeats * spend, HORIZON)
    every = np.arange(YOUNGEST, OLDEST + 1)
    return *found.difference(1, 0), world.value(every, lift) - world.value(every, (1.0, 1.0))


def rates(runs: int, customers: int, share: float, lift: tuple[float, float]) -> dict[str, float]:
    """Over seeds 0, 1, ...: how often the 95 % interval misses the truth, above and below it, and the errors' ratio."""
    rows = np.array([compared(seed, customers, share, lift) for seed in range(runs)])
    z = (rows[:, 0] - rows[:, 2]) / rows[:, 1]
    edge = stats.norm.ppf(0.975)
    return {
        "missed": float((np.abs(z) > edge).mean()),
        "too_high": float((z > edge).mean()),
        "too_low": float((z < -edge).mean()),
        "bias": float((rows[:, 0] - rows[:, 2]).mean()),
        "truth": float(rows[:, 2].mean()),
        "spread": float(rows[:, 0].std()),
        "error": float(np.sqrt((rows[:, 1] ** 2).mean())),
    }


def clv_1m_s(seed: int, customers: int = 1_000_000) -> float:
    """Wall seconds to fit both models to customers up to a year old."""
    rng, ones = np.random.default_rng(seed), np.ones(customers)
    ages = rng.integers(1, 366, customers)
    repeats, recency, spend = World().purchases(ages, (ones, ones), rng)
    start = time.perf_counter()
    purchases = Purchases.of(repeats, recency, ages, spend)
    fit_transactions(purchases)
    fit_spend(purchases)
    return time.perf_counter() - start
