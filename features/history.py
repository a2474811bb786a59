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
from dataclasses import dataclass
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)

from features import preferences
from features.bodies import parsed
from features.engine import connect, created
from features.erased import erased_among
from features.events import KEY, SCHEMA, Event, Events, utc
from features.identity import Alias, Identity, named_by, note, read_aliases
from features.ledger import NUMBER, Ledger, metadata
from features.many import add, add_new
from features.redemptions import redeem
from features.states.store import taken_over
from features.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

Row = Mapping[str, Any]  # of `SCHEMA`
SEQUENCE = pa.field("sequence", pa.int64())
REMEDY = "`attune restore` brings a backup back"
PART = 50_000  # events that are read, and moved into the history, at once: about 100 MB of memory
SLICE = 5_000  # events that are deleted in one transaction: a writer waits a few hundredths of a second for it

live_events = Table(
    "events",
    metadata,
    Column("sequence", NUMBER, primary_key=True),
    Column("received_at", DateTime, nullable=False),
    Column("customer", String(256), index=True),
    Column("anonymous", Text, index=True),
    Column("body", Text, nullable=False),  # the row of events.SCHEMA as JSON
    sqlite_autoincrement=True,  # SQLite would give the numbers of deleted rows again, below the watermark
)
LIVE = tuple(
    live_events.c[name] for name in ("received_at", "customer", "anonymous", "body")
)  # what `store` writes of a row
message_keys = Table(
    "message_keys",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),  # kept for ever, also after the day has closed
    sqlite_with_rowid=False,
)


@dataclass(frozen=True)
class Known:
    """Everything known: history, and the ledger's rows above the watermark; and whose they are.

    `version` is the history's (-1: none yet), `sequence` the last of this ledger's that is in `events`.
    """

    events: Events
    version: int
    sequence: int


def read_events(workspace: Workspace) -> Events:
    """Everything known."""
    return read_known(workspace).events


def read_known(workspace: Workspace) -> Known:
    """Everything known, and up to where.

    The ledger is read first and then one version of the history: a day that closes in between is in that version, and
    its watermark drops the rows that the ledger still had.
    """
    backend = connect()
    live, ledger = None, Ledger(workspace.ledger)
    aliases: tuple[Alias, ...] = ()
    if ledger.is_made():  # no ledger is made by reading
        live, aliases = _waiting(ledger), read_aliases(ledger)
    version = newest_version(workspace)
    table, devices, sequence = _of_version(workspace, version, backend), _has_devices(version), 0
    if live is not None:
        sequence = _watermark(ledger, version)
        waiting = _above(live, sequence)
        devices = devices or _told(waiting)
        if waiting.num_rows:
            table = table.union(created(backend, "live", waiting.drop_columns(SEQUENCE.name)))
            sequence = waiting[SEQUENCE.name][-1].as_py()
    events = Events.of(table, Identity(aliases, devices=devices))
    return Known(events, version.version() if version else -1, sequence)


def read_history(workspace: Workspace, backend: Backend) -> ir.Table:
    """The history's rows in this connection; read from the file list of one version, never from the folder."""
    return _of_version(workspace, newest_version(workspace), backend)


def read_closed(workspace: Workspace) -> Known:
    """The history alone, and whose its rows are; what the ledger holds above its `sequence` is not in it."""
    version, ledger = newest_version(workspace), Ledger.at(workspace.ledger)
    identity = Identity(read_aliases(ledger), devices=_has_devices(version))
    events = Events.of(_of_version(workspace, version, connect()), identity)
    return Known(events, version.version() if version else -1, _watermark(ledger, version))


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
        return created(backend, "history", SCHEMA.empty_table())
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


def _has_devices(version: DeltaTable | None) -> bool:
    """Whether a row of the version may name a device, by the log's own counts: no row is read."""
    if version is None:
        return False
    actions = version.get_add_actions(flatten=True)
    if "null_count.anonymous" not in actions.schema.names:
        return True
    counts = (actions.column(name).to_pylist() for name in ("num_records", "null_count.anonymous"))
    return any(rows is None or rows != empty for rows, empty in zip(*counts, strict=True))


def _told(rows: pa.Table | None) -> bool:
    return rows is not None and rows["anonymous"].null_count < rows.num_rows


def append(workspace: Workspace, rows: pa.Table) -> None:
    """Adds rows of `SCHEMA` to the history in one Delta transaction; the caller holds `locked`."""
    _write(workspace, rows, CommitProperties())


def record(ledger: Ledger, events: Sequence[Event]) -> int:
    """Stores live events durably and says how many were new: the same message from the same source is stored once."""
    with ledger.write() as connection:
        return record_in(connection, events)


def record_in(connection: Connection, events: Sequence[Event]) -> int:
    """The same in the caller's transaction."""
    rows: dict[bytes, Row] = {}
    for event in events:
        row = event.row()
        rows.setdefault(key_of(row), row)
    return len(store(connection, rows))


def store(connection: Connection, rows: Mapping[bytes, Row]) -> set[bytes]:
    """Adds the live events, by their `key_of`, that were never stored; their keys. The caller holds the write lock.

    What an erased customer does is not stored; its key is, so that a retry is known.
    """
    new = add_new(connection, message_keys.c.key, rows)
    fresh = _not_erased(connection, [row for key, row in rows.items() if key in new])
    columns = ("received_at", "customer", "anonymous")
    add(connection, LIVE, [(*(row[name] for name in columns), orjson.dumps(row).decode()) for row in fresh])
    redeem(connection, fresh)
    note(connection, fresh)
    preferences.keep(connection, fresh)
    return new


def _not_erased(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
    named = [named_by(row) for row in rows]
    gone = erased_among(connection, set().union(*named))
    return [row for row, ids in zip(rows, named, strict=True) if not ids & gone] if gone else rows


def longest_waiting(ledger: Ledger) -> datetime | None:
    """When the event that waits longest in the ledger was received."""
    with ledger.read() as connection:
        first = select(live_events.c.received_at).order_by(live_events.c.sequence).limit(1)
        return connection.execute(first).scalar()


def close_days(workspace: Workspace, until: datetime, *, linger: float = 0.0) -> int:
    """Moves the live events received before `until` into the history; how many were moved.

    Part by part, each committed with its watermark, so that memory is bounded and others write in between. They leave
    the ledger `linger` seconds after the last part: who holds some of it in memory has read it again by then.
    """
    ledger = Ledger.at(workspace.ledger)
    moved = sum(iter(lambda: _close_part(workspace, ledger, utc(until)), 0))
    if moved:
        sleep(linger)
    with locked(workspace):
        _drop(ledger, _watermark(ledger, newest_version(workspace)))  # also what a crash left in both
    return moved


def _close_part(workspace: Workspace, ledger: Ledger, until: datetime) -> int:
    with locked(workspace):
        taken = _watermark(ledger, newest_version(workspace))
        last = _last_closed(ledger, taken, until)
        rows = _part(ledger, taken, last)
        if rows.num_rows:
            commit = CommitProperties(app_transactions=[Transaction(watermark_name(ledger), last)])
            _write(workspace, rows.drop_columns(SEQUENCE.name), commit)
    return int(rows.num_rows)


def _last_closed(ledger: Ledger, taken: int, until: datetime) -> int:
    """The last sequence of the next part: the last one there that was received before `until`.

    Writers at once may be numbered in another order than they received; a few events of the next day may go along.
    """
    part = select(live_events.c.sequence, live_events.c.received_at).where(live_events.c.sequence > taken)
    next_ = part.order_by(live_events.c.sequence).limit(PART).subquery()
    with ledger.read() as connection:
        last = connection.execute(select(func.max(next_.c.sequence)).where(next_.c.received_at < until)).scalar()
    return taken if last is None else int(last)


def _drop(ledger: Ledger, taken: int) -> None:
    """Deletes the events up to `taken`, which history holds, in slices between which others may write."""
    while True:
        with ledger.read() as connection:
            held = live_events.c.sequence <= _free(connection, taken)
            some = select(live_events.c.sequence).where(held).order_by(live_events.c.sequence).limit(SLICE).subquery()
            end = connection.execute(select(func.max(some.c.sequence))).scalar()
        if end is None:
            return
        with ledger.write() as connection:
            last = min(end, _free(connection, taken))
            connection.execute(delete(live_events).where(live_events.c.sequence <= last))


def _free(connection: Connection, taken: int) -> int:
    """The last event that may leave the ledger: history holds it, and so do the states where somebody keeps them."""
    states = taken_over(connection)
    return taken if states is None else min(taken, states)


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """One writer of the history at a time, over all processes of this host."""
    with (workspace.state / "history.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    with ledger.read() as connection:
        return pa.concat_tables(_parts(connection))


def _parts(connection: Connection) -> Iterator[pa.Table]:
    last = 0
    while True:
        part = _rows(connection, live_events.c.sequence > last)
        yield part
        if not part.num_rows:
            return
        last = part[SEQUENCE.name][-1].as_py()


def _part(ledger: Ledger, taken: int, last: int) -> pa.Table:
    with ledger.read() as connection:
        return _rows(connection, live_events.c.sequence.between(taken + 1, last))


def _rows(connection: Connection, which: ColumnElement[bool]) -> pa.Table:
    """The first `PART` of these events with their `sequence`, in its order."""
    query = select(live_events.c.sequence, live_events.c.body).where(which)
    found = connection.execute(query.order_by(live_events.c.sequence).limit(PART)).all()
    rows = parsed([body for _, body in found])
    return rows.append_column(SEQUENCE, pa.array([sequence for sequence, _ in found], SEQUENCE.type))


def _above(live: pa.Table, watermark: int) -> pa.Table:
    return live.filter(pc.greater(live[SEQUENCE.name], watermark))


def key_of(row: Row) -> bytes:
    """By what a row is known for ever."""
    name = f"{row['source']}\0{row['message_id']}\0{row['line']}"
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
