"""Cost: what offers took in the period, from the journal: each contact, and each code that an order redeemed.

A contact costs what `offers.yaml` says today; a redemption what it said when the code was given. What a message costs
beside its offer is not known to Attune.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import select

from features.codes import codes
from features.decisions import NOTHING, decisions
from features.events import ORDERED, utc
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.offers import read_offers
from features.redemptions import COUPON, NEEDED, by_coupon
from features.workspace import Workspace
from serving.impact.period import Period

if TYPE_CHECKING:
    import ibis.expr.types as ir

GONE = "unknown"  # the channel of an offer that offers.yaml no longer has
COSTS = pa.schema({"customer": pa.string(), "month": pa.int64(), "channel": pa.string(), "cost": pa.float64()}.items())
Spent = tuple[str | None, datetime, str, float]  # customer, moment, channel, money


def costs(workspace: Workspace, rows: ir.Table, when: Period, now: datetime) -> pa.Table:
    """Each contact and redemption that cost something, as rows of `COSTS`; a device's has no customer.

    `rows` are the events: of a redemption that costs a share of the revenue, they say what was ordered.
    """
    told = [
        (who, when.place(time), channel, money)
        for who, time, channel, money in spent(workspace, rows, when.start, when.until, now)
    ]
    return pa.Table.from_pylist([dict(zip(COSTS.names, row, strict=True)) for row in told], schema=COSTS)


def spent(workspace: Workspace, rows: ir.Table, start: datetime, until: datetime, now: datetime) -> list[Spent]:
    """The same from a moment to another, each with its own; whose each was is told by what is known `now`."""
    ledger = Ledger.at(workspace.ledger)
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(now))
    found = [*_contacts(workspace, ledger, start, until), *_redemptions(workspace, ledger, rows, start, until)]
    return [(merged.get(str(who), who), time, channel, money) for who, time, channel, money in found]


def _contacts(workspace: Workspace, ledger: Ledger, start: datetime, until: datetime) -> Iterator[Spent]:
    dear = {offer.key: offer for offer in read_offers(workspace.folder) if offer.cost}
    query = select(decisions.c.customer, decisions.c.time, decisions.c.kind, decisions.c.chosen).where(
        decisions.c.kind.in_(["offer", "decide"]),
        decisions.c.time >= start,
        decisions.c.time < until,
        decisions.c.chosen != json.dumps([NOTHING]),
    )
    if not dear:
        return
    with ledger.read() as connection:
        for customer, time, kind, chosen in connection.execute(query):
            for key in json.loads(chosen):
                named = key if kind == "offer" else key.removeprefix("offer:") if key.startswith("offer:") else None
                if named in dear:
                    yield customer, time, dear[named].channel, dear[named].cost


def _redemptions(
    workspace: Workspace, ledger: Ledger, rows: ir.Table, start: datetime, until: datetime
) -> Iterator[Spent]:
    channels = {offer.key: offer.channel for offer in read_offers(workspace.folder)}
    query = select(codes).where(codes.c.redeemed_at >= start, codes.c.redeemed_at < until)
    with ledger.read() as connection:
        used = connection.execute(query).mappings().all()
    shares = any(row["of_revenue"] for row in used)
    revenue = by_coupon(_with_coupons(rows)) if shares else {}
    for row in used:
        many = revenue.get(row["code"], (None, 0.0))[1] if row["of_revenue"] else 1.0
        channel = channels.get(row["offer"], GONE)
        yield row["customer"], row["redeemed_at"], channel, many * row["redemption_cost"]


def _with_coupons(rows: ir.Table) -> list[dict[str, Any]]:
    """The lines of orders that name a coupon."""
    named = rows.filter(rows.name == ORDERED, rows.properties.contains(f'"{COUPON}"'))
    found: list[dict[str, Any]] = named.select(*NEEDED).to_pyarrow().to_pylist()
    return found
