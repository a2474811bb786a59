"""Shop: the simulated log, chunk by chunk, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import events
from features.sources.simulator.campaign import Campaign, after, draw_campaign
from features.sources.simulator.choice import choice
from features.sources.simulator.customers import OFFERS, Customers, draw_customers
from features.sources.simulator.items import Items, draw_items
from features.sources.simulator.mail import draw_mail
from features.sources.simulator.rows import Labels, Rows, joined, rows, table
from features.sources.simulator.sessions import (
    EXPERIMENT,
    draw_browsing,
    draw_refunds,
    draw_repeats,
    draw_visits,
    once,
)
from features.sources.simulator.world import World

CHUNK = 1000  # customers drawn together; always all of them, so that a bigger shop begins with the smaller one
VARIATIONS = [json.dumps({"experiment_id": EXPERIMENT, "variation": arm}) for arm in ("control", "treatment")]


@dataclass(frozen=True)
class Shop:
    """One simulation: a world, a seed, and the days that end at `until`."""

    world: World
    seed: int
    until: datetime
    days: int

    def __post_init__(self) -> None:
        if self.days < 60:
            raise ValueError(f"days == {self.days}, must be at least 60: the experiment alone runs that long")
        if self.seed < 0:
            raise ValueError(f"seed == {self.seed}, must be >= 0")

    @property
    def start(self) -> datetime:
        """The first day, midnight UTC."""
        return self.until - timedelta(days=self.days)

    @property
    def first_day(self) -> float:
        """The first day's number in its year."""
        return float(self.start.timetuple().tm_yday)

    @property
    def items(self) -> Items:
        """The items of this world and seed."""
        return draw_items(self.world, self.seed)


@dataclass(frozen=True)
class Chunk:
    """The log and the truth of up to `CHUNK` customers."""

    events: pa.Table
    exposures: pa.Table
    effects: pa.Table
    tastes: pa.Table


def chunks(shop: Shop, customers: int) -> Iterator[Chunk]:
    """The first `customers` customers of the shop, `CHUNK` at a time."""
    if customers < 1:
        raise ValueError(f"customers == {customers}, must be at least 1")
    items, count = shop.items, -(-customers // CHUNK)
    return (_cut(_chunk(shop, items, number), number * CHUNK, customers) for number in range(count))


def simulate_events(world: World, customers: int, seed: int, until: datetime, days: int = 180) -> Iterator[pa.Table]:
    """The events alone, one table in the events' schema per chunk of customers."""
    return (chunk.events for chunk in chunks(Shop(world, seed, until, days), customers))


def _cut(chunk: tuple[Chunk, Rows], first: int, customers: int) -> Chunk:
    whole, drawn = chunk
    if first + CHUNK <= customers:
        return whole
    kept = pa.array(drawn.customer < customers - first)
    named = pa.array([f"customer-{number:07d}" for number in range(first, customers)])
    exposures, effects = (part.filter(pc.is_in(part["customer"], named)) for part in (whole.exposures, whole.effects))
    return Chunk(whole.events.filter(kept), exposures, effects, whole.tastes.slice(0, customers - first))


def _chunk(shop: Shop, items: Items, number: int) -> tuple[Chunk, Rows]:
    rng = np.random.default_rng([shop.seed, 1, number])
    customers = draw_customers(shop.world, rng, number * CHUNK, CHUNK, shop.days)
    campaign = draw_campaign(shop.world, customers, rng, shop.days)
    drawn = _rows(shop, items, customers, campaign, rng)
    drawn = drawn.take(np.lexsort((drawn.order, drawn.time)))
    texts = VARIATIONS + customers.traits()
    labels = Labels(number, shop.start, customers.ids, items.ids, items.price, texts)
    exposures = campaign.log(customers.ids, shop.start)
    return Chunk(table(drawn, labels), exposures, *_truth(shop.world, customers)), drawn


def _rows(shop: Shop, items: Items, customers: Customers, campaign: Campaign, rng: np.random.Generator) -> Rows:
    world, consumable = shop.world, ~np.isnan(items.cycle)
    pick = choice(world, items, customers, shop.days, shop.first_day)
    visits, exposed = draw_visits(world, customers, rng, shop.days, shop.first_day)
    browsing, lines = draw_browsing(world, visits, pick, rng)
    lines = once(lines, ~consumable)
    again = draw_repeats(world, items, lines.take(consumable[lines.item]), len(visits.time), rng)
    orders, carts = after(joined([lines, *again]), campaign, pick, consumable, rng)
    who = np.arange(len(customers))
    known = rows(events.IDENTIFIED, who, customers.joined, text=who + len(VARIATIONS))
    mail = draw_mail(world, customers, rng, shop.days)
    every = joined([known, exposed, browsing, carts, orders, draw_refunds(world, orders, shop.days, rng), mail])
    return every.take(every.time < shop.days)


def _truth(world: World, customers: Customers) -> tuple[pa.Table, pa.Table]:
    """True effects per customer and offer; tastes per customer."""
    ids, effect = customers.ids, customers.effects(world)
    effects = pa.table(
        {
            "customer": pa.array([name for name in ids for _ in OFFERS]),
            "offer": pa.array(list(OFFERS) * len(ids)),
            "base": np.repeat(customers.base(world), len(OFFERS)),
            "effect": effect.ravel(),
        }
    )
    tastes = {f"taste_{k}": customers.taste[:, k] for k in range(customers.taste.shape[1])}
    return effects, pa.table({"customer": pa.array(ids)} | tastes)
