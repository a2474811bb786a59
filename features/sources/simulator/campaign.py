"""The randomised campaign of one chunk: who got which arm, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import events
from features.exposures import CONTROL
from features.sources.simulator.choice import Choice
from features.sources.simulator.customers import OFFERS, WINDOW, Customers
from features.sources.simulator.items import Floats, Ints
from features.sources.simulator.rows import CODE, Rows, joined, rows
from features.sources.simulator.world import World

DAYS_BEFORE_END = 21
SHARES = (0.4, 0.3, 0.3)  # none, then the offers


@dataclass(frozen=True)
class Campaign:
    """Arm per customer (0 is none, -1 not exposed) and whether the customer orders within the window."""

    day: float
    arm: Ints
    converted: NDArray[np.bool_]

    def log(self, customers: list[str], start: datetime) -> pa.Table:
        """The exposures: customer, arm, time and the probability of the arm that was given."""
        exposed = np.flatnonzero(self.arm >= 0)
        arms = np.array([CONTROL, *OFFERS])[self.arm[exposed]]
        moment = pa.repeat(pa.scalar(start + timedelta(days=self.day), pa.timestamp("us")), len(exposed))
        names = pa.array(customers, pa.string()).take(pa.array(exposed))
        probability = pa.array(np.array(SHARES)[self.arm[exposed]])
        return (
            pa.table({"customer": names, "arm": pa.array(arms.tolist(), pa.string())})
            .append_column("time", moment)
            .append_column("probability", probability)
        )


def draw_campaign(world: World, customers: Customers, rng: np.random.Generator, days: int) -> Campaign:
    """Arms by chance among the customers who had joined; P(order in the window) = base + true effect."""
    day = float(days - DAYS_BEFORE_END)
    arm = np.where(customers.joined < day, rng.choice(3, size=len(customers), p=SHARES), -1)
    effect = np.concatenate([np.zeros((len(customers), 1)), customers.effects(world)], axis=1)
    chance = customers.base(world) + effect[np.arange(len(customers)), np.maximum(arm, 0)]
    return Campaign(day, arm, rng.random(len(customers)) < chance)


def after(
    orders: Rows, campaign: Campaign, pick: Choice, consumable: NDArray[np.bool_], rng: np.random.Generator
) -> list[Rows]:
    """Orders as the campaign made them: within the window those order who converted, and nobody else."""
    inside = (
        (orders.time >= campaign.day) & (orders.time < campaign.day + WINDOW) & (campaign.arm >= 0)[orders.customer]
    )
    dropped = inside & ~campaign.converted[orders.customer]
    carts = orders.take(dropped)
    carts = replace(
        carts,
        name=np.full(len(carts), CODE[events.ADDED]),
        order=np.full(len(carts), -1),
        quantity=np.full(len(carts), np.nan),
    )
    wanted = (campaign.arm >= 0) & campaign.converted
    wanted[orders.customer[inside]] = False
    first = int(orders.order.max(initial=0)) + 1
    extra = _extra(np.flatnonzero(wanted), campaign.day, pick, consumable, rng)
    extra = replace(extra, order=first + np.arange(len(extra)))
    return [joined([orders.take(~dropped), extra]), carts]


def _extra(who: Ints, day: float, pick: Choice, consumable: NDArray[np.bool_], rng: np.random.Generator) -> Rows:
    time: Floats = day + rng.uniform(0.02, WINDOW - 0.02, len(who))
    item = pick.draw_among(rng, who, time, consumable)
    return rows(events.ORDERED, who, time, item=item, quantity=np.ones(len(who)))
