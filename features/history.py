"""History: closed days as a Delta table; and the live events that wait in the ledger until their day closes.

The watermark is the last ledger sequence that history holds. It is committed in the same Delta transaction as the rows,
so that each event is read once: from history up to the watermark, from the ledger above it.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from sqlalchemy import Column, DateTime, Integer, LargeBinary, String, Table, Text, delete, insert, select

from features.engine import connect
from features.events import SCHEMA, Event, Events
from features.ledger import Ledger, metadata
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

WATERMARK = "ledger"  # the name under which Delta keeps the last sequence taken over

live_events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("received_at", DateTime, nullable=False),
    Column("customer", String(256), index=True),
    Column("body", Text, nullable=False),  # the row of events.SCHEMA as JSON
)
message_keys = Table(
    "message_keys",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),  # kept for ever, also after the day has closed
    sqlite_with_rowid=False,
)


def read_events(workspace: Workspace) -> Events:
    """Everything known: history, and the ledger's rows above the watermark."""
    backend = connect()
    table = read_history(workspace, backend)
    if workspace.ledger.exists():
        waiting = _waiting(Ledger.at(workspace.ledger), _watermark(workspace), None)
        if waiting.num_rows:
            table = table.union(_created(backend, "live", waiting))
    return Events.of(table)


def read_history(workspace: Workspace, backend: Backend) -> ir.Table:
    """The history's rows in this connection; read from the file list of one version, never from the folder."""
    exists = DeltaTable.is_deltatable(str(workspace.history))
    files = DeltaTable(workspace.history).file_uris() if exists else []
    if not files:
        return _created(backend, "history", SCHEMA.empty_table())
    return backend.read_parquet(files, table_name="history")


def append(workspace: Workspace, rows: pa.Table) -> None:
    """Adds rows of `SCHEMA` to the history in one Delta transaction; the caller holds `locked`."""
    _write(workspace, rows, CommitProperties())


def record(ledger: Ledger, events: Sequence[Event]) -> int:
    """Stores live events durably and says how many were new: the same message from the same source is stored once."""
    rows = {_key(event): event for event in events}
    with ledger.write() as connection:
        known = select(message_keys.c.key).where(message_keys.c.key.in_(rows))
        for (key,) in connection.execute(known):
            del rows[key]
        if rows:
            connection.execute(insert(message_keys), [{"key": key} for key in rows])
            connection.execute(insert(live_events), [_live_row(event) for event in rows.values()])
    return len(rows)


def close_days(workspace: Workspace, until: datetime) -> int:
    """Moves the live events received before `until` into the history; how many were moved."""
    ledger = Ledger.at(workspace.ledger)
    with locked(workspace):
        rows, last = _waiting_until(ledger, _watermark(workspace), until)
        if last is not None:
            transaction = Transaction(WATERMARK, last)
            _write(workspace, rows, CommitProperties(app_transactions=[transaction]))
        with ledger.write() as connection:
            connection.execute(delete(live_events).where(live_events.c.sequence <= _watermark(workspace)))
    return int(rows.num_rows)


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """One writer of the history at a time, over all processes of this host."""
    with (workspace.state / "history.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _created(backend: Backend, name: str, rows: pa.Table) -> ir.Table:
    backend.con.register(name, rows)
    return backend.table(name)


def _write(workspace: Workspace, rows: pa.Table, commit: CommitProperties) -> None:
    write_deltalake(str(workspace.history), rows, mode="append", commit_properties=commit)


def _watermark(workspace: Workspace) -> int:
    if not DeltaTable.is_deltatable(str(workspace.history)):
        return 0
    return DeltaTable(workspace.history).transaction_version(WATERMARK) or 0


def _waiting(ledger: Ledger, after: int, last: int | None) -> pa.Table:
    query = select(live_events.c.body).where(live_events.c.sequence > after).order_by(live_events.c.sequence)
    if last is not None:
        query = query.where(live_events.c.sequence <= last)
    with ledger.read() as connection:
        rows = [orjson.loads(body) for (body,) in connection.execute(query)]
    for row in rows:
        row |= {name: datetime.fromisoformat(row[name]) for name in ("time", "received_at")}
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _waiting_until(ledger: Ledger, after: int, until: datetime) -> tuple[pa.Table, int | None]:
    """The rows above the watermark up to the first one received at `until` or later, and their last sequence."""
    columns = (live_events.c.sequence, live_events.c.received_at)
    query = select(*columns).where(live_events.c.sequence > after).order_by(live_events.c.sequence)
    last = None
    with ledger.read() as connection:
        for sequence, received_at in connection.execute(query):
            if received_at >= until:
                break
            last = sequence
    return (SCHEMA.empty_table(), None) if last is None else (_waiting(ledger, after, last), last)


def _key(event: Event) -> bytes:
    return hashlib.blake2b(f"{event.source}\0{event.message_id}\0{event.line}".encode(), digest_size=16).digest()


def _live_row(event: Event) -> dict[str, object]:
    row = event.row()
    return {"received_at": row["received_at"], "customer": event.customer, "body": orjson.dumps(row).decode()}
