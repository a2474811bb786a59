"""Profit against the share of customers who are given an offer, the best ranked first, and where it is highest.

The top of a curve is flattered by luck. So the best share comes as all shares that cannot be shown to be worse than
another one (the best among many: Hsu 1984; the critical values by bootstrap over customers), and what it earns as what
the share that is best in the other folds earns in each fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.intervals import Influenced
from training.metrics.policy_value import Array, Logged, mean
from training.metrics.uplift import interval

SHARES = np.linspace(0, 1, 51)
DRAWS = 300  # the ends of a 95 % band are then the 8th draw from either side


@dataclass(frozen=True)
class Profit:
    """Money per customer at each of `SHARES`, its 95 % band, and between which shares the best one lies."""

    value: Array
    lower: Array
    upper: Array
    best: float
    between: tuple[float, float]


def profit(predicted: Array, earned: Array, logged: Logged, rng: np.random.Generator) -> Profit:
    """Of giving the offer by `predicted`, the highest first; `earned`: doubly robust scores of the same rows."""
    ranked = _Ranked.of(predicted, earned, logged.people)
    value, customers = ranked.at(np.ones(len(earned))), int(logged.customer.max()) + 1
    draws = np.array([ranked.at(rng.poisson(1.0, customers)[logged.customer].astype(np.float64)) for _ in range(DRAWS)])
    bands = np.array([interval(column) for column in draws.T])
    alike = SHARES[_among_best(value, draws)]
    return Profit(value, bands[:, 0], bands[:, 1], float(SHARES[np.argmax(value)]), (alike.min(), alike.max()))


def at_best(predicted: Array, earned: Array, logged: Logged, fold: NDArray[np.intp]) -> tuple[Influenced, Influenced]:
    """What the share that is best in the other folds earns in each fold; and how much more than giving to everybody."""
    given = np.empty(len(earned), dtype=bool)
    for number in np.unique(fold):
        rows = fold == number
        given[rows] = predicted[rows] >= _threshold(predicted[~rows], earned[~rows], logged.people[~rows])
    chosen = mean(logged, given * earned)
    return chosen, chosen - mean(logged, earned)


def _threshold(predicted: Array, earned: Array, people: Array) -> float:
    share = SHARES[np.argmax(_Ranked.of(predicted, earned, people).at(np.ones(len(earned))))]
    return {0.0: np.inf, 1.0: -np.inf}.get(float(share), float(np.quantile(predicted, 1 - share)))


def _among_best(value: Array, draws: Array) -> NDArray[np.bool_]:
    """The shares that no other is shown to be better than, 95 times in 100 for the best one."""
    error = draws[:, :, None] - draws[:, None, :] - (value[:, None] - value[None, :])  # draws x shares x shares
    spread = np.sqrt((error**2).mean(axis=0))
    moved = np.divide(error, spread, out=np.zeros_like(error), where=spread > 0)
    critical = np.quantile(moved.max(axis=1), 0.95, axis=0)
    ahead = value[:, None] - value[None, :]
    found: NDArray[np.bool_] = (ahead <= critical * spread).all(axis=0)
    return found


@dataclass(frozen=True)
class _Ranked:
    """Rows with the highest prediction first; rows with equal predictions enter together, at `ends`."""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    people: Array
    earned: Array

    @classmethod
    def of(cls, predicted: Array, earned: Array, people: Array) -> _Ranked:
        order = np.argsort(-predicted, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(predicted[order])), len(order) - 1)
        return cls(order, ends, people[order], earned[order])

    def at(self, draws: Array) -> Array:
        """Money per customer at each of `SHARES`, with these weights of the rows."""
        people = self.people * draws[self.order]
        share, money = (np.append(0.0, np.cumsum(one)[self.ends]) for one in (people, people * self.earned))
        result: Array = np.interp(SHARES, share / share[-1], money / share[-1])
        return result
