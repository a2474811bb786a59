"""Dual prices: what one more unit of each limit would earn, and the most that can be earned within the limits.

    profit of any plan within the limits  <=  D(prices) = sum over customers of max(0, best net) + prices x limits

for all prices >= 0 (Lagrange). D is convex; each evaluation gives a plane below it: the profit of the choice that these
prices make, plus prices x (limits - what it takes). The next prices are the nearest to the best ones at which all
planes lie below a level between the bounds (level bundle: Lemaréchal, Nemirovskii and Nesterov 1995).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog

from training.policies.allotment import Allotment, Array

LEVEL = 0.3  # between the bounds: lower steps further
EDGE = 1 + 1e-9  # a price this much above what the best customer is worth leaves nobody
CARRIES = 1e-6  # a plane this near to the lower bound carries it


@dataclass
class Dual:
    """The planes found so far; there each price lies between 0 and 1, its `top`, and the profit without limits is 1."""

    allotment: Allotment
    top: Array
    scale: float
    tried: list[Array] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    slopes: list[Array] = field(default_factory=list)
    best: Array = field(default_factory=lambda: np.zeros(0))
    upper: float = float("inf")

    @classmethod
    def of(cls, allotment: Allotment) -> Dual:
        """Starts with the planes of nobody and of no prices, and of the highest ones where a limit is 0."""
        free = np.zeros(len(allotment.limits))
        total, used = allotment.look(free)
        scale = total or 1.0
        dual = cls(allotment, _highest(allotment, scale), scale)
        dual._plane(free, 0.0, allotment.most)
        dual._keep(free, total, used)
        if not allotment.most.all():
            dual.look(np.where(allotment.most == 0, dual.top, 0.0))
        return dual

    def look(self, prices: Array) -> None:
        """Evaluates D at these prices and keeps its plane."""
        self._keep(prices, *self.allotment.look(prices))

    def _keep(self, prices: Array, total: float, used: Array) -> None:
        bound = total + float(prices @ self.allotment.most)
        if bound < self.upper:
            self.best, self.upper = prices, bound
        self._plane(prices, total + float(prices @ used), self.allotment.most - used)

    def descend(self, tolerance: float, steps: int) -> None:
        """Looks at better prices until the bounds are this close, at most so often."""
        for _ in range(steps):
            lowest, lower = self._lowest()
            gap = self.upper / self.scale - lower
            if gap <= tolerance:
                return
            at = self._nearest(lower + LEVEL * gap)
            self.look(np.clip(lowest if at is None else at, 0, 1) * self.top)

    def active(self) -> list[Array]:
        """The best prices, and those whose planes carry the lower bound: where to look first among more customers."""
        at, lower = self._lowest()
        carries = np.array(self.heights) + np.array(self.slopes) @ at >= lower - CARRIES
        return [prices for prices, one in zip(self.tried, carries, strict=True) if one or prices is self.best]

    def _plane(self, prices: Array, profit: float, left: Array) -> None:
        self.tried.append(prices)
        self.heights.append(profit / self.scale)
        self.slopes.append(left * self.top / self.scale)

    def _lowest(self) -> tuple[Array, float]:
        """Where the planes are lowest, and how low that is."""
        size = len(self.top)
        planes = np.column_stack([np.array(self.slopes).reshape(len(self.heights), size), -np.ones(len(self.heights))])
        cost, bounds = np.append(np.zeros(size), 1.0), [(0, 1)] * size + [(0, None)]
        found = linprog(cost, A_ub=planes, b_ub=-np.array(self.heights), bounds=bounds, method="highs")
        return np.asarray(found.x[:size]), float(found.x[size])

    def _nearest(self, level: float) -> Array | None:
        """The nearest point to the best one at which all planes lie below the level; None where there is none."""
        size = len(self.top)
        centre = np.divide(self.best, self.top, out=np.zeros(size), where=self.top > 0)
        far, eye = -np.ones((size, 1)), np.eye(size)
        planes = np.column_stack([np.array(self.slopes).reshape(len(self.heights), size), np.zeros(len(self.heights))])
        rows = np.vstack([planes, np.hstack([eye, far]), np.hstack([-eye, far])])
        sides = np.concatenate([level - np.array(self.heights), centre, -centre])
        cost, bounds = np.append(np.zeros(size), 1.0), [(0, 1)] * size + [(0, None)]
        found = linprog(cost, A_ub=rows, b_ub=sides, bounds=bounds, method="highs")
        return None if found.x is None else np.asarray(found.x[:size])


def _highest(allotment: Allotment, total: float) -> Array:
    """Per limit a price that is never exceeded: the best customer's worth per unit, and all of the profit over it."""
    worths = np.max(allotment.each(_per_unit), axis=0, initial=0.0)
    highest = []
    for limit in allotment.limits:
        worth = max((float(worths[int(limit.money), offer]) for offer in limit.offers), default=0.0)
        highest.append(worth * EDGE if worth * limit.most <= total else total / limit.most)
    return np.array(highest)


def _per_unit(block: Allotment) -> Array:
    """The best customer's profit of each offer, per contact and per unit of money."""
    profit, spend = block.profit, block.spend
    per_money = np.divide(profit, spend, out=np.zeros_like(profit), where=spend > 0)
    return np.array([profit.max(axis=1, initial=0.0), per_money.max(axis=1, initial=0.0)])
