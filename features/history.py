"""History: closed days as a Delta table; and the live events that wait in the ledger until their day closes.

The watermark is the last sequence of this ledger that history holds. It is committed in the same Delta transaction as
the rows, so that each event is read once: from history up to the watermark, from the ledger above it. It bears the
ledger's identity: another ledger, put under the same history, starts from none.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from sqlalchemy import Column, Connection, DateTime, LargeBinary, String, Table, Text, delete, select

from features.engine import connect
from features.events import KEY, SCHEMA, Event, Events, utc
from features.ledger import NUMBER, Ledger, add_rows, metadata, plain
from features.redemptions import redeem
from features.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

Row = Mapping[str, Any]  # of `SCHEMA`
SEQUENCE = pa.field("sequence", pa.int64())
REMEDY = "`attune restore` brings a backup back"
BATCH = 5_000  # SQLite takes 32,766 parameters in a statement

live_events = Table(
    "events",
    metadata,
    Column("sequence", NUMBER, primary_key=True),
    Column("received_at", DateTime, nullable=False),
    Column("customer", String(256), index=True),
    Column("body", Text, nullable=False),  # the row of events.SCHEMA as JSON
    sqlite_autoincrement=True,  # SQLite would give the numbers of deleted rows again, below the watermark
)
message_keys = Table(
    "message_keys",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),  # kept for ever, also after the day has closed
    sqlite_with_rowid=False,
)


def read_events(workspace: Workspace) -> Events:
    """Everything known: history, and the ledger's rows above the watermark.

    The ledger is read first and then one version of the history: a day that closes in between is in that version, and
    its watermark drops the rows that the ledger still had.
    """
    backend = connect()
    live, ledger = None, Ledger(workspace.ledger)
    if ledger.revision():  # no ledger is made by reading
        ledger.migrate()
        live = _waiting(ledger)
    version = newest_version(workspace)
    table = _of_version(workspace, version, backend)
    waiting = None if live is None else _above(live, _watermark(ledger, version))
    if waiting is not None and waiting.num_rows:
        table = table.union(_created(backend, "live", waiting))
    return Events.of(table)


def read_history(workspace: Workspace, backend: Backend) -> ir.Table:
    """The history's rows in this connection; read from the file list of one version, never from the folder."""
    return _of_version(workspace, newest_version(workspace), backend)


def waiting_keys(workspace: Workspace) -> pa.Table:
    """The keys of the live events that wait in the ledger."""
    return _waiting(Ledger.at(workspace.ledger)).select(KEY)


def newest_version(workspace: Workspace) -> DeltaTable | None:
    """The newest version of the history, or None before the first row."""
    try:
        exists = DeltaTable.is_deltatable(str(workspace.history))
        return DeltaTable(workspace.history) if exists else None
    except DeltaError as error:
        fault = str(error).partition("\n")[0][:300]  # Delta's own trace follows
        raise OSError(f"{workspace.history}: the history could not be read: {fault}; {REMEDY}") from error


def _of_version(workspace: Workspace, version: DeltaTable | None, backend: Backend) -> ir.Table:
    paths = [str(path) for path in files(workspace, version)] if version else []
    if not paths:
        return _created(backend, "history", SCHEMA.empty_table())
    return backend.read_parquet(paths, table_name="history")


def files(workspace: Workspace, version: DeltaTable) -> Iterator[Path]:
    """The version's files; refused where one is absent or not as long as the log says: DuckDB would not say why."""
    actions = version.get_add_actions()
    for name, size in zip(*(actions.column(column).to_pylist() for column in ("path", "size_bytes")), strict=True):
        path = workspace.history / name  # Delta's own addresses write a space as %20
        found = path.stat().st_size if path.exists() else 0
        if found != size:
            raise OSError(f"{path}: has {found:,} bytes, the history's log says {size:,}; {REMEDY}")
        yield path


def append(workspace: Workspace, rows: pa.Table) -> None:
    """Adds rows of `SCHEMA` to the history in one Delta transaction; the caller holds `locked`."""
    _write(workspace, rows, CommitProperties())


def record(ledger: Ledger, events: Sequence[Event]) -> int:
    """Stores live events durably and says how many were new: the same message from the same source is stored once."""
    with ledger.write() as connection:
        return record_in(connection, events)


def record_in(connection: Connection, events: Sequence[Event]) -> int:
    """Stores live events in the caller's transaction; how many were new."""
    rows: dict[bytes, Row] = {}
    for event in events:
        row = event.row()
        rows.setdefault(key_of(row), row)
    return len(store(connection, rows))


def store(connection: Connection, rows: Mapping[bytes, Row]) -> set[bytes]:
    """Adds the live events, by their `key_of`, that were never stored; their keys. The caller holds the write lock."""
    fresh = _fresh(connection, list(rows))
    if fresh:
        new = [row for key, row in rows.items() if key in fresh]
        times = {row["received_at"] for row in new}
        written = {time: plain(connection, live_events.c.received_at, time) for time in times}
        lines = [(written[row["received_at"]], row["customer"], orjson.dumps(row).decode()) for row in new]
        add_rows(connection, live_events, ("received_at", "customer", "body"), lines)
        redeem(connection, new)
    return fresh


def _fresh(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of the keys that were not known; from here on they are.

    As a rule all are new, which costs no query; where one is not, they are looked up and added again.
    """
    if not keys:
        return set()
    with connection.begin_nested() as point:
        if add_rows(connection, message_keys, ("key",), [(key,) for key in keys]) == len(keys):
            return set(keys)
        point.rollback()
    fresh = set(keys)
    for part in _batched(keys):
        fresh.difference_update(
            connection.execute(select(message_keys.c.key).where(message_keys.c.key.in_(part))).scalars()
        )
    if fresh:
        add_rows(connection, message_keys, ("key",), [(key,) for key in fresh])
    return fresh


def close_days(workspace: Workspace, until: datetime) -> int:
    """Moves the live events received before `until` into the history; how many were moved."""
    ledger = Ledger.at(workspace.ledger)
    with locked(workspace):
        rows, last = _waiting_until(ledger, _watermark(ledger, newest_version(workspace)), utc(until))
        if last is not None:
            transaction = Transaction(watermark_name(ledger), last)
            _write(workspace, rows, CommitProperties(app_transactions=[transaction]))
        taken = _watermark(ledger, newest_version(workspace))
        with ledger.write() as connection:
            connection.execute(delete(live_events).where(live_events.c.sequence <= taken))
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
    try:
        write_deltalake(str(workspace.history), rows, mode="append", commit_properties=commit)
    except DeltaError as error:
        fault = " ".join(str(error).split())[:300]
        raise OSError(f"{workspace.history}: of {rows.num_rows:,} rows none could be written: {fault}") from error


def watermark_name(ledger: Ledger) -> str:
    """The name under which Delta keeps the last sequence taken over from this ledger."""
    return f"ledger {ledger.identity()}"


def _watermark(ledger: Ledger, version: DeltaTable | None) -> int:
    return (version.transaction_version(watermark_name(ledger)) if version else None) or 0


def _waiting(ledger: Ledger) -> pa.Table:
    """The ledger's events with their `sequence`, in its order."""
    query = select(live_events.c.sequence, live_events.c.body).order_by(live_events.c.sequence)
    with ledger.read() as connection:
        rows = [orjson.loads(body) | {SEQUENCE.name: sequence} for sequence, body in connection.execute(query)]
    for row in rows:
        row |= {name: datetime.fromisoformat(row[name]) for name in ("time", "received_at")}
    return pa.Table.from_pylist(rows, schema=SCHEMA.append(SEQUENCE))


def _above(live: pa.Table, watermark: int) -> pa.Table:
    return live.filter(pc.greater(live[SEQUENCE.name], watermark)).drop_columns(SEQUENCE.name)


def _waiting_until(ledger: Ledger, watermark: int, until: datetime) -> tuple[pa.Table, int | None]:
    """The rows above the watermark up to the first one received at `until` or later, and their last sequence."""
    live = _waiting(ledger)
    live = live.filter(pc.greater(live[SEQUENCE.name], watermark))
    late = pc.index(pc.greater_equal(live["received_at"], pa.scalar(until, pa.timestamp("us"))), True).as_py()
    closed = live if late < 0 else live.slice(0, late)
    last = closed[SEQUENCE.name][-1].as_py() if closed.num_rows else None
    return closed.drop_columns(SEQUENCE.name), last


def _batched(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The keys in parts that fit into one statement."""
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def key_of(row: Row) -> bytes:
    """By what a row is known for ever."""
    name = f"{row['source']}\0{row['message_id']}\0{row['line']}"
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
