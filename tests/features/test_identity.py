"""Identity: anonymous events go to who identified next on the device; known ids merge by `Alias` only.

minute          1     2               3     4               5
phone           view  Identify(anna)  view  Identify(bert)  view
whose           anna  anna            bert  bert            nobody's
"""

from datetime import datetime, timedelta

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from features.consent import Basis, allows, consented, consented_customers, grant, say, withdraw
from features.engine import connect
from features.events import SCHEMA, Event, Events
from features.history import append, close_days, read_events, read_history, record
from features.identity import Alias, Identity, alias_rows, ids_of, persons
from features.ledger import Ledger
from features.table import FeatureTable
from features.workspace import Workspace

DAY = datetime(2026, 3, 1)  # UTC without a zone, as the tables keep it
LATER = DAY + timedelta(days=1)
BASIS = Basis(("personalisation",), "a box ticked")


def event(minute: int, name: str, customer: str | None = None, device: str | None = None, **more: str) -> Event:
    time = DAY + timedelta(minutes=minute)
    properties = orjson.dumps(more).decode() if more else None
    return Event("web", f"{minute}", name, time, time, customer=customer, anonymous=device, properties=properties)


SHARED = [
    event(1, "Product Viewed", device="phone"),
    event(2, "Identify", "anna", "phone"),
    event(3, "Product Viewed", device="phone"),
    event(4, "Identify", "bert", "phone"),
    event(5, "Product Viewed", device="phone"),
]


def alias(minute: int, previous: str, customer: str) -> Event:
    return event(minute, "Alias", customer, previous_id=previous)


def whose(events: Events, as_of: datetime = LATER) -> list[str | None]:
    rows = events.before(as_of).order_by("time").to_pyarrow()
    return list(rows["customer"].to_pylist())


def test_an_anonymous_event_belongs_to_who_identified_next_on_the_device(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED)
    assert whose(read_events(shop)) == ["anna", "anna", "bert", "bert", None]


def test_what_was_not_known_yet_is_nobodys(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED)
    assert whose(read_events(shop), DAY + timedelta(minutes=4)) == ["anna", "anna", None]


def test_history_and_ledger_resolve_as_one_log(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED[:1])
    close_days(shop, LATER)
    record(ledger, SHARED[1:])
    assert whose(read_events(shop)) == ["anna", "anna", "bert", "bert", None]
    close_days(shop, LATER)
    assert whose(read_events(shop)) == ["anna", "anna", "bert", "bert", None]


def test_the_stored_rows_stay_as_they_came(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED)
    close_days(shop, LATER)
    stored = read_history(shop, connect()).order_by("time").to_pyarrow()
    assert stored["customer"].to_pylist() == [None, "anna", None, "bert", None]


def test_two_known_ids_merge_by_alias_only(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [event(1, "Product Viewed", "old", "tab"), event(2, "Product Viewed", "new", "tab")])
    assert whose(read_events(shop)) == ["old", "new"]
    record(ledger, [alias(3, "old", "new")])
    assert whose(read_events(shop)) == ["new", "new", "new"]
    assert whose(read_events(shop), DAY + timedelta(minutes=3)) == ["old", "new"]


def test_an_alias_from_a_device_takes_what_nobody_else_identified_for(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [event(1, "Product Viewed", device="tab"), alias(2, "tab", "anna")])
    record(ledger, [event(3, "Product Viewed", device="tab")])
    assert whose(read_events(shop)) == ["anna", "anna", None]


def test_features_count_what_was_done_before_identifying(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED)
    table = FeatureTable.build(read_events(shop), LATER, families=["engagement"])
    assert table.customers is not None
    views = dict(zip(table.customers, table.frame["views_30d"], strict=True))
    assert views == {"anna": 1, "bert": 1}


def test_a_chain_of_aliases_is_one_person_who_bears_the_newest_name() -> None:
    chain = [Alias("a", "b", DAY), Alias("c", "d", DAY), Alias("b", "c", LATER)]
    assert persons(chain) == dict.fromkeys("abcd", "c")
    assert persons([Alias("a", "b", DAY), Alias("b", "a", LATER)]) == {"a": "a", "b": "a"}


@given(st.lists(st.tuples(*[st.sampled_from("abcdefgh")] * 2), max_size=12))
def test_who_is_joined_by_aliases_bears_the_name_of_the_newest_of_them(edges: list[tuple[str, str]]) -> None:
    people: list[tuple[set[str], str]] = []
    for edge in edges:
        joined = [one for one in people if one[0] & set(edge)]
        people = [one for one in people if one not in joined] + [
            (set(edge).union(*(ids for ids, _ in joined)), edge[1])
        ]
    found = persons(Alias(*edge, DAY) for edge in edges)
    assert found == {one: name for ids, name in people for one in ids}


def test_many_aliases_are_joined_in_a_moment() -> None:
    chain = [Alias(f"c{number}", f"c{number + 1}", DAY) for number in range(100_000)]
    assert set(persons(chain).values()) == {"c100000"}


def test_a_persons_ids_are_found_from_any_of_them(ledger: Ledger) -> None:
    record(ledger, [alias(1, "a", "b"), alias(2, "b", "c"), alias(3, "x", "y")])
    with ledger.read() as connection:
        assert ids_of(connection, "a") == ids_of(connection, "c") == ["c", "a", "b"]
        assert ids_of(connection, "nobody") == ["nobody"]


@pytest.mark.parametrize("told", ['{"previous_id": 7}', '{"previous_id": "b"}', "[]", "nonsense", "null", '{"p": 1}'])
def test_an_alias_that_names_no_two_ids_merges_nobody(ledger: Ledger, told: str) -> None:
    record(ledger, [Event("web", "1", "Alias", DAY, DAY, customer="b", properties=told)])
    with ledger.read() as connection:
        assert connection.execute(select(alias_rows)).all() == []


def test_an_imported_alias_counts_too(shop: Workspace, ledger: Ledger) -> None:
    from features.imports import Parsed, import_events

    rows = pa.Table.from_pylist([alias(1, "old", "new").row() | {"live": False}], schema=SCHEMA)
    none = pa.table({"reason": pa.array([], pa.string())})
    parsed = Parsed(rows, none, {}, 1)
    for mark in ("one", "two"):
        import_events(shop, parsed, source="web", path=shop.folder, mark=mark, basis=Basis((), ""), time=DAY)
    with ledger.read() as connection:
        assert len(connection.execute(select(alias_rows)).all()) == 1


def test_nothing_is_joined_where_no_row_names_customer_and_device(shop: Workspace, ledger: Ledger) -> None:
    rows = [event(1, "Product Viewed", "anna").row(), event(2, "Product Viewed", "bert").row()]
    append(shop, pa.Table.from_pylist(rows, schema=SCHEMA))
    assert not read_events(shop)._identity
    record(ledger, SHARED[:2])
    assert read_events(shop)._identity == Identity((), devices=True)


def test_one_persons_rows_are_those_of_the_whole_log(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, [*SHARED, event(6, "Product Viewed", device="tab"), alias(7, "bert", "bertram")])
    record(ledger, [event(8, "Identify", "bertram", "tab")])
    events = read_events(shop)
    for ids in (["anna"], ["bertram", "bert"]):
        rows = events.before(LATER)
        wanted = rows.filter(rows.customer == ids[0]).message_id.to_pyarrow().to_pylist()
        found = events.of_person(ids, LATER).message_id.to_pyarrow().to_pylist()
        assert sorted(found) == sorted(wanted) != []


def test_after_a_merge_consent_is_the_stricter(ledger: Ledger) -> None:
    grant(ledger, ["old", "new", "yes", "both"], BASIS, source="form", time=DAY)
    withdraw(ledger, "new", ["personalisation"], source="page", time=DAY)
    record(ledger, [alias(1, "old", "new"), alias(2, "yes", "silent"), alias(3, "yes2", "both")])
    for one in ("old", "new", "yes", "silent"):
        assert not allows(ledger, one, purpose="personalisation", as_of=LATER)
    assert allows(ledger, "old", purpose="personalisation", as_of=DAY + timedelta(seconds=1))
    assert consented_customers(ledger, purpose="personalisation", as_of=LATER) == []


def test_a_word_after_the_merge_counts_for_every_id(ledger: Ledger) -> None:
    record(ledger, [alias(1, "old", "new")])
    say(ledger, "new", "personalisation", granted=True, source="page", proof="clicked", time=LATER)
    assert consented_customers(ledger, purpose="personalisation", as_of=LATER) == ["new", "old"]
    say(ledger, "old", "personalisation", granted=False, source="page", proof="clicked", time=LATER)
    assert not allows(ledger, "new", purpose="personalisation", as_of=LATER)


def test_a_device_that_was_aliased_takes_no_consent_away(ledger: Ledger) -> None:
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    told = orjson.dumps({"previous_id": "tab"}).decode()
    record(ledger, [Event("web", "1", "Alias", DAY, DAY, customer="anna", anonymous="tab", properties=told)])
    assert allows(ledger, "anna", purpose="personalisation", as_of=LATER)


def test_what_a_customer_who_refused_did_on_a_shared_device_is_left_out(shop: Workspace, ledger: Ledger) -> None:
    record(ledger, SHARED)
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    kept, line = consented(read_events(shop), shop, purpose="personalisation", as_of=LATER)
    assert whose(kept) == ["anna", "anna", None]
    assert whose(kept, DAY + timedelta(minutes=2)) == [None]
    assert "1 of 2" in line
