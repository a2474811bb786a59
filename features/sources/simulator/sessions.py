"""Sessions of one chunk: visits, what is viewed, put into the cart, ordered, and bought again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import events
from features.assignment import arm
from features.sources.simulator.choice import Choice
from features.sources.simulator.customers import Customers
from features.sources.simulator.items import YEAR, Floats, Ints, Items
from features.sources.simulator.rows import EXPERIMENT_VIEWED, Rows, joined, rows
from features.sources.simulator.world import World

SECOND = 1 / 86_400
EXPERIMENT = "checkout-badge"
ARMS = {"control": 0.5, "treatment": 0.5}
EXPERIMENT_DAYS = 60  # before the end of the log
BUSIEST = 350  # day of the year: the weeks before Christmas


@dataclass(frozen=True)
class Visits:
    """One row per session; `lift` multiplies the chance that its cart is ordered."""

    customer: Ints
    time: Floats
    lift: Floats


def draw_visits(
    world: World, customers: Customers, rng: np.random.Generator, days: int, first_day: float
) -> tuple[Visits, Rows]:
    """The chunk's sessions, and the experiment's exposures among them."""
    customer = np.repeat(np.arange(len(customers)), rng.poisson(customers.rate(world) * days))
    wave = world.traffic_season * np.cos(2 * np.pi * (first_day + np.arange(days) - BUSIEST) / YEAR)
    share = np.cumsum(1 + wave)
    day = np.searchsorted(share / share[-1], rng.random(len(customer)), side="right")
    time = np.minimum(day, days - 1) + rng.uniform(0.25, 0.95, len(customer))
    kept = time >= customers.joined[customer] + 0.01
    customer, time = customer[kept], time[kept]
    treated = np.array([arm(EXPERIMENT, name, ARMS) == "treatment" for name in customers.ids])
    inside = time >= days - EXPERIMENT_DAYS
    lift = 1 + world.experiment_lift * (inside & treated[customer])
    return Visits(customer, time, lift), _experiment(customer[inside], time[inside], treated)


def _experiment(customer: Ints, time: Floats, treated: NDArray[np.bool_]) -> Rows:
    """The first session of each customer within the experiment; texts 0 and 1 are its arms."""
    order = np.lexsort((time, customer))
    who, first = np.unique(customer[order], return_index=True)
    return rows(EXPERIMENT_VIEWED, who, time[order][first], text=treated[who].astype(np.int64))


def draw_browsing(world: World, visits: Visits, pick: Choice, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Views and carts; and the lines that are ordered (before durables are bought only once)."""
    count = 1 + rng.poisson(world.views - 1, len(visits.time))
    session = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    customer, start = visits.customer[session], visits.time[session]
    item, time = pick.draw(rng, customer, start), start + step * 45 * SECOND
    carted = rng.random(len(session)) < world.cart
    ordered = carted & (rng.random(len(count)) < world.order * visits.lift)[session]
    unknown = (~np.isin(session, session[carted])) & (rng.random(len(count)) < world.anonymous)[session]
    views = rows(events.VIEWED, customer, time, item=item, anonymous=np.where(unknown, session, -1))
    carts = rows(events.ADDED, customer[carted], time[carted] + 15 * SECOND, item=item[carted])
    end = (start + (count[session] + 1) * 45 * SECOND)[ordered]
    lines = _lines(world, customer[ordered], end, item[ordered], session[ordered], rng)
    return joined([views, carts]), lines


def draw_repeats(world: World, items: Items, orders: Rows, first_order: int, rng: np.random.Generator) -> list[Rows]:
    """Consumables bought again, and again, one noisy cycle after the last time, each an order of its own."""
    repeated, last = [], orders
    horizon = float(np.ceil(orders.time.max(initial=0.0)))
    while len(last):
        cycle = items.cycle[last.item] * np.exp(world.cycle_noise * rng.normal(size=len(last)))
        again = (rng.random(len(last)) < world.repeat) & (last.time + cycle < horizon)
        number = first_order + np.arange(int(again.sum()))
        last = _lines(world, last.customer[again], (last.time + cycle)[again], last.item[again], number, rng)
        first_order += len(last)
        repeated.append(last)
    return repeated


def once(orders: Rows, durable: NDArray[np.bool_]) -> Rows:
    """The lines, where a customer buys a durable the first time only."""
    orders = orders.take(np.argsort(orders.time, kind="stable"))
    pair = orders.customer * len(durable) + orders.item
    first = np.zeros(len(orders), dtype=bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return orders.take(first | ~durable[orders.item])


def draw_refunds(world: World, orders: Rows, days: int, rng: np.random.Generator) -> Rows:
    """Lines that come back, whole, some days later."""
    chosen = orders.take(rng.random(len(orders)) < world.refund)
    late = chosen.time + rng.uniform(2, 20, len(chosen))
    back = rows(events.REFUNDED, chosen.customer, late, item=chosen.item, quantity=chosen.quantity, order=chosen.order)
    return back.take(late < days)


def _lines(world: World, customer: Ints, time: Floats, item: Ints, order: Ints, rng: np.random.Generator) -> Rows:
    quantity = np.minimum(np.floor((1 - rng.random(len(item))) ** (-1 / world.quantity_tail)), 200.0)
    return rows(events.ORDERED, customer, time, item=item, quantity=quantity, order=order)
