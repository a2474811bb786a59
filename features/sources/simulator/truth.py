"""The oracle: who knows the items' true parameters and infers taste from the same history as everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from features.sources.simulator.choice import appeal
from features.sources.simulator.items import Floats, Ints, Items
from features.sources.simulator.world import World

STEPS = 30  # Newton steps from zero; the posterior is concave, so few are needed


@dataclass(frozen=True)
class History:
    """What the log says before a moment: choices seen per customer x item, and the age in days of the last order.

    `seen` counts views (carts and orders follow views and add nothing on taste); `age` is infinite where never bought.
    """

    seen: Floats
    age: Floats


def infer_taste(world: World, items: Items, seen: Floats, day_of_year: float) -> Floats:
    """The most probable taste per customer: choices are softmax in the items' appeal, tastes are standard normal."""
    base, factors = items.seasonal(world, day_of_year), world.taste * items.factors
    total, target = seen.sum(axis=1), seen @ factors
    taste = np.zeros((len(seen), factors.shape[1]))
    for _ in range(STEPS):
        share = _softmax(base + taste @ factors.T)
        mean = share @ factors
        gradient = target - total[:, None] * mean - taste
        second = np.einsum("ci,ij,ik->cjk", share, factors, factors, optimize=True)
        spread = second - mean[:, :, None] * mean[:, None, :]
        curvature = np.eye(taste.shape[1]) + total[:, None, None] * spread
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        taste = taste + np.clip(step, -1, 1)
    return taste


def expected_orders(
    world: World, items: Items, history: History, days: tuple[float, float], sessions: Floats
) -> Floats:
    """Expected order lines, customers x items, from a day of the year on for some days: new choices and returns.

    `days`: the day of the year, and how many days. `sessions`: per day and customer.
    """
    first, length = days
    taste = infer_taste(world, items, history.seen, first)
    share = _softmax(appeal(world, items, taste, first + length / 2))
    fresh = share * (sessions * length * world.views * world.cart * world.order)[:, None]
    durable = np.isnan(items.cycle)
    fresh[:, durable] *= np.isinf(history.age[:, durable])
    return np.asarray(fresh + _returns(world, items.cycle, history.age, length))


def _returns(world: World, cycle: Floats, age: Floats, length: float) -> Floats:
    """P(bought again within `length` days | bought `age` days ago and not since): log-normal cycles."""
    before, within = _reached(world, cycle, age), _reached(world, cycle, age + length)
    due = world.repeat * (within - before) / (1 - world.repeat * before)
    return np.where(np.isinf(age) | np.isnan(cycle), 0.0, due)


def _reached(world: World, cycle: Floats, age: Floats) -> Floats:
    return np.asarray(ndtr(np.log(np.maximum(age, 1e-9) / cycle) / world.cycle_noise))


def _softmax(value: Floats) -> Floats:
    weight = np.exp(value - value.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def recall(score: Floats, bought: NDArray[np.bool_], k: int = 10) -> float:
    """Mean share of what each customer bought that stands among the k best scores; customers who bought only."""
    best: Ints = np.argpartition(-score, k, axis=1)[:, :k]
    hit = np.take_along_axis(bought, best, axis=1).sum(axis=1)
    count = bought.sum(axis=1)
    return float((hit[count > 0] / count[count > 0]).mean())
