"""A customer's row from the state is the row that the whole log gives as of the same moment.

A simulated shop of 30 customers. A file brings the events up to the last 120 days; the rest comes live, in the order of
its arrival: late by up to 40 days, some of it twice, some by machines, some from a clock that is fast. The states are
refreshed as it comes, days close in between, and another file comes in the middle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.customers import FAMILIES
from features.events import ENGAGED, PAGE, SCHEMA, VIEWED, Event
from features.history import append, close_days, read_events, record
from features.ledger import Ledger
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.states.refresh import refresh
from features.states.served import served
from features.table import FeatureTable
from features.workspace import Workspace

END = datetime(2025, 6, 1)  # tables keep UTC without a zone
LIVE = END - timedelta(days=120)
TRAITS = ("age_group", "city", "newsletter", "first_source", "last_source", "last_campaign")
STRANGER = "nobody knows"


@pytest.fixture(scope="module")
def log() -> pa.Table:
    shop = pa.concat_tables(list(simulate_events(world_named("shop"), 30, 3, END))).cast(SCHEMA)
    return pa.concat_tables([shop, pages(shop)]).sort_by("time")


@pytest.fixture
def lived(shop: Workspace, log: pa.Table) -> Workspace:
    """The shop of the docstring, at its end."""
    with (shop.folder / "attune.yaml").open("a") as settings:
        settings.write(f"traits: [{', '.join(TRAITS)}]\n")
    shop = Workspace.open(shop.folder)
    before = pc.less(log["time"], pa.scalar(LIVE, pa.timestamp("us")))
    append(shop, log.filter(before))
    refresh(shop, LIVE)
    ledger, live = Ledger.at(shop.ledger), arriving(log.filter(pc.invert(before)).to_pylist())
    for number, some in enumerate(np.array_split(np.array(live, dtype=object), 12)):
        day = LIVE + timedelta(days=10 * (number + 1))
        record(ledger, some.tolist())
        record(ledger, some[:10].tolist())  # sent again
        if number != 3:  # one delivery finds nobody who refreshes; its day closes all the same
            refresh(shop, day)
        if number % 2:
            close_days(shop, day)
        if number == 5:
            append(shop, from_a_file(log, day))
    ledger.close()
    return shop


def pages(shop: pa.Table) -> pa.Table:
    """The pages on which products were viewed: from where somebody came, and of every second customer how long."""
    viewed = pc.and_(pc.equal(shop["name"], VIEWED), pc.is_valid(shop["customer"]))
    rows, looked = shop.filter(viewed).to_pylist()[::3], []
    for place, row in enumerate(rows):
        came = {"context": {"campaign": {"name": f"mail {place % 5}", "source": f"letter {place % 3}"}}}
        page = row | {"source": "web", "message_id": f"page {place}", "name": PAGE, "item": None, "quantity": None}
        told = {"message_id": f"time {place}", "name": ENGAGED, "quantity": 1.0 + place % 50}
        looked.append(page | {"time": row["time"] + timedelta(seconds=place % 90), "properties": json.dumps(came)})
        looked += [page | told] if row["customer"] > "customer-0000015" else []
    return pa.Table.from_pylist(looked, schema=SCHEMA)


def arriving(rows: Sequence[dict[str, Any]]) -> list[Event]:
    """Live events by their arrival: one in seven is late, one in thirty is early, one in twenty is a machine's."""
    rng = np.random.default_rng(5)
    late = np.where(rng.random(len(rows)) < 1 / 7, rng.uniform(0, 40, len(rows)), 0)
    early, machine = rng.random(len(rows)) < 1 / 30, rng.random(len(rows)) < 1 / 20
    events = []
    for place, row in enumerate(rows):
        received = min(row["time"] + timedelta(days=late[place]), END - timedelta(seconds=1))
        ahead = {"time": received + timedelta(days=9)} if early[place] else {}
        said = {"live": True, "received_at": received, "machine": bool(machine[place])} | ahead
        events.append(Event(**(row | said)))
    return sorted(events, key=lambda event: event.received_at)


def from_a_file(log: pa.Table, day: datetime) -> pa.Table:
    """Twenty rows of the past once more, as another source tells them."""
    rows = log.slice(0, 20).to_pylist()
    known = {"source": "file", "received_at": day, "live": False}
    return pa.Table.from_pylist([row | known for row in rows], schema=SCHEMA)


def both(
    shop: Workspace, moment: datetime, customers: Sequence[str], families: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """The rows from the states, and those of the whole log."""
    settings, ledger = shop.settings, Ledger.at(shop.ledger)
    kept = served(ledger, settings, customers, moment, families=families)
    ledger.close()
    assert kept is not None
    traits = settings.traits if families is None or "profile" in families else ()
    whole = FeatureTable.build(
        read_events(shop), moment, customers=customers, traits=traits, currency=settings.currency, families=families
    )
    assert kept.features == whole.features
    assert kept.as_of == whole.as_of
    yield kept.to_pandas()
    yield whole.to_pandas()


def same(shop: Workspace, moment: datetime, customers: Sequence[str], families: Sequence[str] | None = None) -> None:
    kept, whole = both(shop, moment, customers, families)
    pd.testing.assert_frame_equal(kept, whole, rtol=1e-9, atol=1e-9)


def everybody(shop: Workspace) -> list[str]:
    table = read_events(shop).before(END + timedelta(days=1))
    return sorted(
        table.filter(table.customer.notnull()).select("customer").distinct().to_pyarrow()["customer"].to_pylist()
    )


def test_a_served_row_is_that_of_a_rebuild(lived: Workspace) -> None:
    """For every family alone and all together; at the end, in the middle of a day, and after a month of silence."""
    customers = [*everybody(lived), STRANGER]
    assert len(customers) >= 30
    for family in FAMILIES:
        same(lived, END, customers, [family])
    for moment in (END, END + timedelta(hours=7, seconds=11), END + timedelta(days=31), END + timedelta(days=400)):
        same(lived, moment, customers)
    same(lived, END, [customers[3], STRANGER, customers[0], customers[3]])


def test_events_that_nobody_refreshed_are_in_the_row_all_the_same(lived: Workspace) -> None:
    customers, ledger = everybody(lived), Ledger.at(lived.ledger)
    later = END + timedelta(hours=1)
    known = {"received_at": later, "customer": customers[0], "item": "tea"}
    order = {"order_id": "new", "price": 3.0, "quantity": 2.0}
    record(ledger, [Event("sdk", "n1", "Order Completed", later, **known, **order)])
    ledger.close()
    same(lived, later + timedelta(minutes=1), customers)


def test_states_are_made_once_and_then_only_written_for_those_with_new_events(lived: Workspace) -> None:
    refresh(lived, END)
    assert refresh(lived, END) == 0
    known = {"customer": "zoe", "item": "tea"}
    record(Ledger.at(lived.ledger), [Event("sdk", "z", "Product Viewed", END, END, **known)])
    assert refresh(lived, END + timedelta(seconds=10)) == 1
    same(lived, END + timedelta(seconds=10), ["zoe"])
