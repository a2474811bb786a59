"""Cost: what offers took in the period, from the journal: each contact, and each code that an order redeemed.

A contact costs what `offers.yaml` says today; a redemption what it said when the code was given. What a message costs
beside its offer is not known to Attune.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
from sqlalchemy import select

from features.codes import codes
from features.decisions import NOTHING, decisions
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.offers import read_offers
from features.workspace import Workspace
from serving.impact.period import Period

COSTS = pa.schema({"customer": pa.string(), "month": pa.int64(), "channel": pa.string(), "cost": pa.float64()}.items())
Spent = tuple[str | None, int, str, float]  # customer, month, channel, money


def costs(workspace: Workspace, when: Period) -> pa.Table:
    """Each contact and redemption that cost something, as rows of `COSTS`; a device's has no customer."""
    ledger = Ledger.at(workspace.ledger)
    merged = persons(read_aliases(ledger))
    rows = [*_contacts(workspace, ledger, when), *_redemptions(workspace, ledger, when)]
    told = [(merged.get(str(who), who), *rest) for who, *rest in rows]
    return pa.Table.from_pylist([dict(zip(COSTS.names, row, strict=True)) for row in told], schema=COSTS)


def _contacts(workspace: Workspace, ledger: Ledger, when: Period) -> Iterator[Spent]:
    dear = {offer.key: offer for offer in read_offers(workspace.folder) if offer.cost}
    query = select(decisions.c.customer, decisions.c.time, decisions.c.kind, decisions.c.chosen).where(
        decisions.c.kind.in_(["offer", "decide"]),
        decisions.c.time >= when.start,
        decisions.c.time < when.until,
        decisions.c.chosen != json.dumps([NOTHING]),
    )
    if not dear:
        return
    with ledger.read() as connection:
        for customer, time, kind, chosen in connection.execute(query):
            for key in json.loads(chosen):
                named = key if kind == "offer" else key.removeprefix("offer:") if key.startswith("offer:") else None
                if named in dear:
                    yield customer, when.place(time), dear[named].channel, dear[named].cost


def _redemptions(workspace: Workspace, ledger: Ledger, when: Period) -> Iterator[Spent]:
    """Of those that cost a sum per order; a share of the revenue is not kept per code."""
    channels = {offer.key: offer.channel for offer in read_offers(workspace.folder)}
    query = select(codes.c.customer, codes.c.redeemed_at, codes.c.offer, codes.c.redemption_cost).where(
        codes.c.redeemed_at >= when.start, codes.c.redeemed_at < when.until, codes.c.of_revenue.is_(False)
    )
    with ledger.read() as connection:
        for customer, time, offer, money in connection.execute(query):
            yield customer, when.place(time), channels.get(offer, "unknown"), money
