"""Budget: for every customer an offer or none, so that they earn the most within all limits.

The dual prices choose; what they give too much is taken from those who lose least, what they leave is given to those
who gain most. The prices come from a sample first. The result never exceeds a limit, and the gap to the bound is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.policies.allotment import NOBODY, Allotment, Array, Choices
from training.policies.dual import Dual

SAMPLE = 50_000  # customers from whom the prices are learned first
FINE, STEPS = 1e-7, 200  # relative gap between the bounds in the sample
CLOSE, LOOKS = 1e-5, 20  # the same among all customers, where each look costs
GOOD = 5e-5  # relative gap to the bound beyond which it was not enough to look at a few customers
RISES = np.logspace(-9, 0, 10)  # of prices, the smallest that keeps to the limits
TIE = 1 - 1e-9  # of the prices: whom they leave indifferent is taken first, and given up where there are too many


@dataclass(frozen=True)
class Plan:
    """Who gets what, what that takes of each limit, what it earns, and the most that any plan could earn."""

    choice: Choices
    prices: Array  # of each limit
    used: Array  # of each limit
    spend: float
    profit: float
    bound: float

    @property
    def gap(self) -> float:
        """How much more any plan could earn, as a share of the bound."""
        return (self.bound - self.profit) / self.bound if self.bound > 0 else 0.0


def plan(allotment: Allotment) -> Plan:
    """The plan for these customers and limits."""
    dual = _prices(allotment)
    choice = _choice(allotment, dual)
    spend = sum(float(allotment.spend[offer][choice == offer].sum()) for offer in range(len(allotment.spend)))
    return Plan(choice, dual.best, allotment.used(choice), spend, allotment.earned(choice), dual.upper)


def cautious(allotment: Allotment, prices: Array) -> Array:
    """Prices a little higher, by which customers who are decided one by one, also many alike, keep to the limits."""
    raised = prices
    for more in RISES.tolist():
        raised = prices * (1 + more)
        if (allotment.look(raised)[1] <= allotment.most).all():
            break
    return raised


def _prices(allotment: Allotment) -> Dual:
    dual = Dual.of(allotment)
    if allotment.profit.shape[1] <= SAMPLE:
        dual.descend(FINE, STEPS)
        return dual
    few = Dual.of(allotment.sample(SAMPLE))
    few.descend(FINE, STEPS)
    for prices in few.active():
        dual.look(prices)
    dual.descend(CLOSE, LOOKS)
    return dual


def _choice(allotment: Allotment, dual: Dual) -> Choices:
    """What the prices choose, put right among those whom they leave nearly indifferent; where that is not enough, all.

    Few of many customers are near a tie, and no other can be given more at so small a loss.
    """
    if allotment.profit.shape[1] > SAMPLE:
        choice = allotment.best(dual.best * TIE)[0]
        near = np.sort(np.argpartition(allotment.margin(dual.best), SAMPLE)[:SAMPLE])
        few = _rest(allotment, choice, near)
        if few is not None:
            choice[near] = _filled(few, dual.best, _within(few, dual.best))
            if dual.upper - allotment.earned(choice) <= GOOD * dual.upper:
                return choice
    return _filled(allotment, dual.best, _within(allotment, dual.best))


def _within(allotment: Allotment, prices: Array) -> Choices:
    """What the prices choose, less whom it costs least to leave out while a limit is exceeded."""
    choice = allotment.best(prices * TIE)[0]
    for number, limit in enumerate(allotment.limits):
        while (over := (use := allotment.use(number, choice)).sum() - limit.most) > 0:
            rows = np.flatnonzero(use)
            loss = _loss(allotment, prices, choice, limit.offers)[rows] / use[rows]
            order = rows[np.argsort(loss, kind="stable")]
            choice[order[: int(np.searchsorted(np.cumsum(use[order]), over)) + 1]] = NOBODY
    return choice


def _loss(allotment: Allotment, prices: Array, choice: Choices, offers: tuple[int, ...]) -> Array:
    """Per customer what is lost by the best option beside these offers."""
    other = np.zeros(len(choice))
    for offer in set(range(len(allotment.profit))) - set(offers):
        np.maximum(other, allotment.net(prices, offer), out=other)
    loss: Array = _held(allotment, prices, choice)[1] - other
    return loss


def _filled(allotment: Allotment, prices: Array, choice: Choices) -> Choices:
    """The choice with better offers for those who gain most by them, while something of the limits is left."""
    while True:
        rows, better = _upgrades(allotment, prices, choice)
        if not len(rows):
            return choice
        changed = choice.copy()
        changed[rows] = better
        fits = _fitting(allotment, choice, changed, rows)
        before = allotment.earned(choice)
        choice[rows[:fits]] = changed[rows[:fits]]
        if allotment.earned(choice) - before <= FINE * before:
            return choice


def _rest(allotment: Allotment, choice: Choices, near: NDArray[np.intp]) -> Allotment | None:
    """These customers with what the others leave of each limit; None where the others exceed one alone."""
    few = allotment.take(near)
    most = allotment.most - allotment.used(choice) + few.used(choice[near])
    limits = zip(few.limits, most.tolist(), strict=True)
    return None if (most < 0).any() else replace(few, limits=tuple(replace(one, most=left) for one, left in limits))


def _upgrades(allotment: Allotment, prices: Array, choice: Choices) -> tuple[NDArray[np.intp], Choices]:
    """Who could have an offer that earns more and fits in what is left, most gain after charges first; and which."""
    left = _left(allotment, choice)
    earns, worth = _held(allotment, prices, choice)
    gain, better = np.full(len(choice), -np.inf), choice.copy()
    used = [allotment.use(number, choice) for number in range(len(left))]
    for offer in range(len(allotment.profit)):
        fits = allotment.profit[offer] > earns
        for number, limit in enumerate(allotment.limits):
            if offer in limit.offers:
                fits &= (allotment.spend[offer] if limit.money else 1.0) - used[number] <= left[number]
        more = np.where(fits, allotment.net(prices, offer) - worth, -np.inf)
        np.copyto(better, np.int16(offer), where=more > gain)
        np.maximum(gain, more, out=gain)
    rows = np.flatnonzero(gain > -np.inf)
    order = rows[np.argsort(-gain[rows], kind="stable")]
    return order, better[order]


def _fitting(allotment: Allotment, choice: Choices, changed: Choices, rows: NDArray[np.intp]) -> int:
    """How many of the changes, in the order of these rows, fit in what is left."""
    fits = len(rows)
    for number, left in enumerate(_left(allotment, choice)):
        more = (allotment.use(number, changed) - allotment.use(number, choice))[rows]
        beyond = np.cumsum(more) > left
        fits = min(fits, int(beyond.argmax()) if beyond.any() else fits)
    return fits


def _left(allotment: Allotment, choice: Choices) -> Array:
    left: Array = allotment.most - allotment.used(choice)
    return left


def _held(allotment: Allotment, prices: Array, choice: Choices) -> tuple[Array, Array]:
    """Per customer what the choice earns, and what it is worth after charges."""
    earns, worth = np.zeros(len(choice)), np.zeros(len(choice))
    for offer in range(len(allotment.profit)):
        held = choice == offer
        np.copyto(earns, allotment.profit[offer], where=held)
        np.copyto(worth, allotment.net(prices, offer), where=held)
    return earns, worth
