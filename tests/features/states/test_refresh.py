"""The states and the mark: each event once, whoever writes, stops or closes days in between."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import func, select

from features.events import ORDERED, VIEWED, Event
from features.history import append, close_days, live_events, read_events, record
from features.ledger import Ledger
from features.states import refresh as refreshing
from features.states.refresh import refresh
from features.states.served import served, state_of
from features.states.state import CustomerState
from features.states.store import Mark, Stored, customer_states, forget, read_mark, write
from features.table import FeatureTable
from features.workspace import Workspace

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
LATER = NOON + timedelta(days=1)
FEATURES = Path(__file__).parents[3] / "docs" / "features.md"


def view(number: int, customer: str = "anna") -> Event:
    return Event("sdk", f"m{number}", VIEWED, NOON, NOON, customer=customer, item=f"tea {number}")


def views(shop: Workspace, ledger: Ledger, customer: str = "anna") -> float:
    table = served(ledger, shop.settings, [customer], LATER, families=["engagement"])
    assert table is not None
    return float(table.frame["views_7d"][0])


def waiting(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(live_events)).scalar_one()


def mark(ledger: Ledger) -> Mark:
    with ledger.read() as connection:
        found = read_mark(connection)
    assert found is not None
    return found


def test_nobody_keeps_states_before_the_first_refresh(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1)])
    assert served(ledger, shop.settings, ["anna"], LATER) is None
    assert refresh(shop, LATER) == 1
    assert views(shop, ledger) == 1


def test_a_day_that_closes_leaves_what_the_states_have_not_taken_over(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1)])
    refresh(shop, LATER)
    record(ledger, [view(2), view(3, "bob")])
    assert close_days(shop, LATER) == 3
    assert waiting(ledger) == 2
    assert read_events(shop).before(LATER).count().to_pyarrow().as_py() == 3
    assert refresh(shop, LATER) == 2
    assert close_days(shop, LATER) == 0
    assert waiting(ledger) == 0
    assert (views(shop, ledger), views(shop, ledger, "bob")) == (2, 1)


def test_without_states_a_day_closes_as_before(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1)])
    close_days(shop, LATER)
    assert waiting(ledger) == 0


def test_a_refresh_that_stops_while_it_makes_all_states_is_made_again(
    shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(ledger, [view(1), view(2, "bob")])

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("features.states.rebuild.read_known", dies)
        with pytest.raises(KeyboardInterrupt):
            refresh(shop, LATER)
    assert served(ledger, shop.settings, ["anna"], LATER) is None
    close_days(shop, LATER)
    assert waiting(ledger) == 2  # no event leaves while states are made
    assert refresh(shop, LATER) == 2
    assert (views(shop, ledger), views(shop, ledger, "bob")) == (1, 1)


def test_who_was_overtaken_writes_nothing(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1)])
    refresh(shop, LATER)
    before = mark(ledger)
    after = write(ledger, before, {})
    assert after is not None
    assert write(ledger, before, {"anna": Stored(CustomerState())}) is None
    assert views(shop, ledger) == 1


def test_what_is_forgotten_meanwhile_is_not_written_again(
    shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh has read the state; the customer is erased; then the refresh writes."""
    record(ledger, [view(1)])
    refresh(shop, LATER)
    record(ledger, [view(2)])
    look = refreshing.read_states

    def then_erased(*words: object) -> object:
        found = look(*words)
        with ledger.write() as connection:
            forget(connection, "anna")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(refreshing, "read_states", then_erased)
        assert refresh(shop, LATER) == 0
    with ledger.read() as connection:
        assert connection.execute(select(customer_states.c.customer)).all() == []


def test_other_traits_need_other_states(shop: Workspace, ledger: Ledger) -> None:
    told = Event("sdk", "m1", "Identify", NOON, NOON, customer="anna", properties='{"age": 30, "town": "Köln"}')
    record(ledger, [told])
    refresh(shop, LATER)
    with (shop.folder / "attune.yaml").open("a") as file:
        file.write("traits: [town, age]\n")
    other = Workspace.open(shop.folder)
    assert served(ledger, other.settings, ["anna"], LATER) is None
    refresh(other, LATER)
    table = served(ledger, other.settings, ["anna"], LATER)
    assert table is not None
    assert table.frame[["town", "age"]].to_numpy().tolist() == [["Köln", 30.0]]


def test_a_file_renews_only_the_states_of_its_customers(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1), view(2, "bob")])
    refresh(shop, LATER)
    append(shop, from_file(view(3)))
    assert refresh(shop, LATER) == 1
    assert (views(shop, ledger), views(shop, ledger, "bob")) == (2, 1)
    assert state_of(ledger, "nobody").state == CustomerState()


def from_file(event: Event) -> object:
    import pyarrow as pa

    from features.events import SCHEMA

    return pa.Table.from_pylist([event.row() | {"live": False}], schema=SCHEMA)


def test_many_events_are_folded_part_by_part(shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "TOGETHER", 3)
    refresh(shop, LATER)
    record(ledger, [view(number, "anna" if number % 2 else "bob") for number in range(10)])
    refresh(shop, LATER)
    assert (views(shop, ledger), views(shop, ledger, "bob")) == (5, 5)
    assert refresh(shop, LATER) == 0


def test_a_robots_views_are_thinned_when_no_window_counts_them(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(number % 3 + number * 10) for number in range(30)])
    again = [Event("sdk", f"o{n}", ORDERED, NOON, NOON, customer="anna", item="tea", order_id=f"{n}") for n in range(9)]
    record(ledger, again)
    refresh(shop, NOON + timedelta(days=1))
    full = len(state_of(ledger, "anna").state.rows)
    record(ledger, [Event("sdk", "late", "Page Viewed", NOON, NOON, customer="anna")])
    moment = NOON + timedelta(days=100)
    refresh(shop, moment)
    assert (full, len(state_of(ledger, "anna").state.rows)) == (39, 30 + 1 + 1)  # an item each, the order, the page
    table = served(ledger, shop.settings, ["anna"], moment)
    whole = FeatureTable.build(read_events(shop), moment, customers=["anna"], traits=shop.settings.traits)
    assert table is not None
    assert table.frame.equals(whole.frame)


def test_the_example_of_the_docs_runs(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [view(1, "c001")])
    refresh(shop, LATER)
    (code,) = re.findall(r"```python\n(.*?)```", FEATURES.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"ledger": ledger, "workspace": shop, "now": LATER}
    exec(code, names)  # noqa: S102  # our own page
    assert isinstance(names["table"], FeatureTable)
    assert len(names["table"]) == 2


def on(device: str, number: int, customer: str | None = None, name: str = VIEWED, **fields: object) -> Event:
    moment = NOON + timedelta(minutes=number)
    known = {"customer": customer, "anonymous": device, "item": f"tea {number}"} | fields
    return Event("sdk", f"{device}-{number}", name, moment, moment, **known)


def rows_are_those_of_a_rebuild(shop: Workspace, ledger: Ledger, *customers: str) -> None:
    table = served(ledger, shop.settings, customers, LATER)
    whole = FeatureTable.build(read_events(shop), LATER, customers=customers, traits=shop.settings.traits)
    assert table is not None
    pd.testing.assert_frame_equal(table.frame, whole.frame, rtol=1e-9, atol=1e-9)


def test_what_was_done_on_a_device_comes_to_who_identifies_there(shop: Workspace, ledger: Ledger) -> None:
    """Two views of nobody, one of them closed; anna identifies; one more of nobody; then bob on the same device."""
    refresh(shop, NOON)
    record(ledger, [on("phone", 1), view(1)])
    refresh(shop, LATER)
    close_days(shop, LATER)
    record(ledger, [on("phone", 2), on("phone", 3, "anna", "Identify")])
    refresh(shop, LATER)
    assert views(shop, ledger) == 3
    record(ledger, [on("phone", 4), on("phone", 5, "anna"), on("phone", 6)])
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "bob")
    record(ledger, [on("phone", 7, "bob"), on("tablet", 8), view(9, "carl")])
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "bob", "carl")
    assert views(shop, ledger, "bob") == 2


def test_what_comes_late_from_a_device_comes_to_who_identified_after_it(shop: Workspace, ledger: Ledger) -> None:
    """A page sends its calls at once, and a retry arrives after what was done since: each event by its time."""
    refresh(shop, NOON)
    record(ledger, [on("phone", 2, "anna", "Identify"), on("phone", 5, "bob")])
    refresh(shop, LATER)
    record(ledger, [on("phone", 1), on("phone", 4)])
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "bob")
    assert (views(shop, ledger), views(shop, ledger, "bob")) == (1, 2)
    record(ledger, [on("phone", 8)])
    refresh(shop, LATER)
    record(ledger, [on("phone", 7, "carl", "Identify")])
    refresh(shop, LATER)
    record(ledger, [on("phone", 9, "carl")])
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "bob", "carl")
    assert views(shop, ledger, "carl") == 2


def test_a_file_may_bring_what_a_device_did(shop: Workspace, ledger: Ledger) -> None:
    refresh(shop, NOON)
    append(shop, from_file(on("phone", 1)))
    refresh(shop, LATER)
    record(ledger, [on("phone", 2, "anna")])
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna")
    assert views(shop, ledger) == 2


def test_merged_ids_have_one_state_under_the_id_that_the_person_bears(shop: Workspace, ledger: Ledger) -> None:
    refresh(shop, NOON)
    record(ledger, [view(1, "old"), view(2), view(3, "bob")])
    refresh(shop, LATER)
    merged = Event("sdk", "a1", "Alias", NOON, NOON, customer="anna", properties='{"previous_id": "old"}')
    record(ledger, [merged])
    refresh(shop, LATER)
    record(ledger, [view(4, "old")])
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "old", "bob")
    refresh(shop, LATER)
    rows_are_those_of_a_rebuild(shop, ledger, "anna", "old", "bob")
    assert views(shop, ledger) == 3
