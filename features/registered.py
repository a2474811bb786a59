"""Registered files: what a user asked for that holds customers, so that an erasure can name it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Column, DateTime, String, Table, Text, delete, insert, select

from features.events import utc
from features.ledger import Ledger, metadata

files = Table(
    "files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("time", DateTime, nullable=False),
)


def register_file(ledger: Ledger, path: Path, *, kind: str, time: datetime) -> None:
    """Remembers that this file holds customers; written again, it is remembered once, with the newest time."""
    place = str(path.resolve())
    with ledger.write() as connection:
        connection.execute(delete(files).where(files.c.path == place))
        connection.execute(insert(files).values(path=place, kind=kind, time=utc(time)))


def registered_files(ledger: Ledger) -> list[tuple[str, str]]:
    """Path and kind of every registered file, by path."""
    with ledger.read() as connection:
        rows = connection.execute(select(files.c.path, files.c.kind).order_by(files.c.path))
        return [(path, kind) for path, kind in rows]
