"""The past over a hand-drawn log: ann views tea on day 1 and coffee on day 3; the moments are days 2 and 4."""

from __future__ import annotations

import gc
from datetime import datetime, timedelta

import pyarrow as pa

from features.engine import connect
from features.events import CODE, SCHEMA, VIEWED, Event, Events

DAY0 = datetime(2024, 1, 1)  # tables keep UTC without a zone


def view(day: int, item: str) -> Event:
    time = DAY0 + timedelta(days=day)
    return Event("test", item, VIEWED, time, time, customer="ann", item=item, live=False)


def test_each_moment_has_its_own_past_made_once_and_dropped_with_the_events() -> None:
    backend = connect()
    rows = [view(1, "tea").row(), view(3, "coffee").row()]
    backend.con.register("log", pa.Table.from_pylist(rows, schema=SCHEMA))
    events = Events.of(backend.table("log"))
    early = events.past(DAY0 + timedelta(days=2))
    assert early is events.past(DAY0 + timedelta(days=2))
    (row,) = early.rows.to_pyarrow().to_pylist()
    named = early.customers[row["customer"]].as_py(), early.items[row["item"]].as_py(), row["name"]
    assert named == ("ann", "tea", CODE[VIEWED])
    assert events.past(DAY0 + timedelta(days=4)).rows.count().to_pyarrow().as_py() == 2
    del events, early
    gc.collect()
    assert backend.con.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []
