"""Rejects: live events that were not taken, each with its reason; the newest are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, DateTime, String, Table, Text, delete, func, insert, select

from features.erased import erased_among
from features.ledger import NUMBER, metadata

KEPT = 10_000  # whoever sends nothing but rejects must not fill the disk
MAX_BODY = 4_096  # characters of what was given

rejects = Table(
    "rejects",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("received_at", DateTime, nullable=False),
    Column("source", String(64), nullable=False),
    Column("customer", String(256), index=True),  # where it could be read: erasure finds it by this
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),  # what was given, cut
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Reject:
    """One event that was not taken."""

    received_at: datetime
    source: str
    customer: str | None
    reason: str
    body: str


def keep(connection: Connection, found: Sequence[Reject]) -> None:
    """Adds these, but for those of erased customers, and drops the oldest above `KEPT`; the caller holds the lock."""
    gone = erased_among(connection, {reject.customer for reject in found})
    kept = [asdict(reject) for reject in found[-KEPT:] if reject.customer not in gone]
    if not kept:
        return
    connection.execute(insert(rejects), kept)
    last = connection.execute(select(func.max(rejects.c.id))).scalar_one()
    connection.execute(delete(rejects).where(rejects.c.id <= last - KEPT))
