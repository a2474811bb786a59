"""Seen: what customers did, as far as the conditions of offers ask for it and this service knows.

    seen at start   the history's rows that a condition of `offers.yaml` can count, held in memory by customer
    seen since      the live events that wait in the ledger: one query by index

Of each customer and event the newest `LOOKED` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from sqlalchemy import select

from features.conditions.grammar import Happened, Last, Trait, leaves
from features.engine import connect
from features.events import IDENTIFIED, SCHEMA
from features.history import live_events, read_history
from features.ledger import Ledger
from features.offers import Offer
from features.past import people
from features.workspace import Workspace

LOOKED = 1_000  # bounds what an answer costs; a condition that counts further is not written
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Seen:
    """Rows of the history, sorted by customer."""

    rows: pa.Table = field(default_factory=SCHEMA.empty_table)

    @classmethod
    def of(cls, workspace: Workspace, offers: Sequence[Offer]) -> Seen:
        """What the conditions of these offers ask of the history; nothing is read where they ask nothing."""
        import ibis

        names = asked(offers)
        if not names:
            return cls()
        rows = people(read_history(workspace, connect()))
        rows = rows.filter(rows.name.isin(sorted(names)))
        newest = ibis.row_number().over(group_by=["customer", "name"], order_by=ibis.desc("time"))
        kept = rows.mutate(place=newest).filter(ibis._.place < LOOKED).drop("place")
        return cls(kept.order_by("customer").to_pyarrow())

    def of_customer(self, customer: str) -> Rows:
        """The customer's rows."""
        start, count = self._places.get(customer, (0, 0))
        rows: Rows = self.rows.slice(start, count).to_pylist()
        return rows

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        runs = self.rows["customer"].combine_chunks().value_counts()  # in the order of the rows
        counts = runs.field("counts").to_numpy()
        starts = np.cumsum(counts) - counts
        return dict(
            zip(runs.field("values").to_pylist(), zip(starts.tolist(), counts.tolist(), strict=True), strict=True)
        )


def asked(offers: Sequence[Offer]) -> set[str]:
    """The names of the events that the offers' conditions look at."""
    parts = [leaf for offer in offers if offer.eligible is not None for leaf in leaves(offer.eligible)]
    told = {IDENTIFIED for leaf in parts if isinstance(leaf, Trait)}
    counted = [leaf for leaf in parts if isinstance(leaf, Happened)]
    after = {leaf.since.event for leaf in counted if isinstance(leaf.since, Last)}
    return told | after | {leaf.event for leaf in counted}


def since(ledger: Ledger | None, customer: str) -> Rows:
    """The newest live events of this customer that wait in the ledger."""
    if ledger is None:
        return []
    newest = select(live_events.c.body).where(live_events.c.customer == customer)
    with ledger.read() as connection:
        bodies = connection.execute(newest.order_by(live_events.c.sequence.desc()).limit(LOOKED)).scalars().all()
    rows = [orjson.loads(body) for body in bodies]
    return [row | {name: datetime.fromisoformat(row[name]) for name in ("time", "received_at")} for row in rows]
