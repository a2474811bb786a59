"""The past over a hand-drawn log: ann views tea on day 1 and coffee on day 3; the moments are days 2 and 4."""

from __future__ import annotations

import gc
import time
from datetime import datetime, timedelta

import pyarrow as pa

from features.engine import connect
from features.events import CODE, SCHEMA, VIEWED, Event, Events

DAY0 = datetime(2024, 1, 1)  # tables keep UTC without a zone


def view(day: int, item: str) -> Event:
    moment = DAY0 + timedelta(days=day)
    return Event("test", item, VIEWED, moment, moment, customer="ann", item=item, live=False)


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


def test_as_many_names_as_events_cost_what_their_number_costs() -> None:
    count = 20_000
    rows = [view(1, str(number)).row() | {"name": f"Event {number}"} for number in range(count)]
    events, started = Events.of(pa.Table.from_pylist(rows, schema=SCHEMA)), time.process_time()
    past = events.past(DAY0 + timedelta(days=2))
    coded = past.rows.select("item", "name").to_pyarrow().to_pylist()
    assert {past.names[row["name"]] for row in coded} == {f"Event {number}" for number in range(count)}
    assert all(past.names[row["name"]] == f"Event {past.items[row['item']]}" for row in coded)
    assert time.process_time() - started < 20  # a look at each name for each event takes minutes
