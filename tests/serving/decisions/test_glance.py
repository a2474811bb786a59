"""One look at the ledger says what the ledger's own readers say, for whoever bears one id or several."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text

from features.catalog import Catalog
from features.consent import About, allows, consents, say
from features.events import VIEWED, Event
from features.history import record
from features.identity import ALIASED, PREVIOUS, alias_rows
from features.ledger import Ledger
from features.workspace import Settings
from serving.decisions.fatigue import shown_each
from serving.decisions.glance import PURPOSE, Glance, glance, glances
from serving.decisions.journal import store
from serving.decisions.lately import lately, lately_each
from serving.decisions.seen import waiting_each
from serving.decisions.state import State

NOW = datetime(2026, 3, 1)  # UTC without a zone
WHO = ("ann", "bob")
words = st.lists(
    st.fixed_dictionaries(
        {
            "customer": st.sampled_from(WHO),
            "purpose": st.sampled_from([PURPOSE, "marketing"]),
            "granted": st.booleans(),
            "time": st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(seconds=1)]),
            "about": st.sampled_from(
                [About(), About(channel="email"), About(topic="news"), About(address="a@b.example")]
            ),
        }
    ),
    max_size=6,
)


@pytest.fixture
def state(ledger_url: str) -> Iterator[State]:
    ledger = Ledger.at(ledger_url)
    yield State(Settings(name="shop"), "hash", Catalog.of(pd.DataFrame({"item": []})), ledger=ledger)
    ledger.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=words, merged=st.booleans())
def test_it_agrees_where_the_ledger_says_so(state: State, said: list[dict[str, object]], merged: bool) -> None:
    ledger = state.ledger
    assert ledger is not None
    with ledger.write() as connection:
        connection.execute(delete(consents))
        connection.execute(delete(alias_rows))
        edge = {"previous": "bob", "customer": "ann", "device": False, "source": "s", "message_id": "m"}
        if merged:
            connection.execute(insert(alias_rows), [edge | {"time": NOW - timedelta(hours=1)}])
    for word in said:
        say(ledger, source="test", proof="", **word)  # type: ignore[arg-type]  # drawn above
    for customer in (*WHO, "eve"):
        told = glance(state, customer, NOW)
        assert told.agreed == allows(ledger, customer, purpose=PURPOSE, as_of=NOW)
        assert set(told.ids) == (set(WHO) if merged and customer in WHO else {customer})
    many = ["eve", *WHO, "eve"]
    assert glances(state, many, NOW) == [glance(state, customer, NOW) for customer in many]


def test_what_another_connection_committed_is_seen_by_the_next_look(state: State) -> None:
    """Events, decisions, another id and a withdrawal; nothing of it is remembered."""
    assert state.ledger is not None
    other = Ledger(str(state.ledger.engine.url.render_as_string(hide_password=False)))
    assert glance(state, "ann", NOW) == Glance(["ann"])
    say(other, "ann", PURPOSE, granted=True, source="t", proof="p", time=NOW)
    assert glance(state, "ann", NOW) == Glance(["ann"], agreed=True)
    record(other, [Event("s", "m1", VIEWED, NOW, NOW, customer="ann", item="tea")])
    assert glance(state, "ann", NOW) == Glance(["ann"], agreed=True, did=True)
    store(other, [decided(number) for number in range(3)])
    assert glance(state, "ann", NOW).shown == 3
    assert glances(state, ["ann", "bob"], NOW) == [glance(state, "ann", NOW), Glance(["bob"])]
    assert len(shown_each(state, ["ann", "bob"], NOW)["ann"]) == 3
    assert [row["item"] for row in waiting_each(other, ["ann", "bob"])["ann"]] == ["tea"]
    assert lately_each(other, {"ann": None, "bob": NOW}) == {"ann": lately(other, ["ann"], None), "bob": []}
    told = orjson.dumps({PREVIOUS: "old"}).decode()
    record(other, [Event("s", "m2", ALIASED, NOW, NOW, customer="ann", properties=told)])
    assert list(glance(state, "old", NOW).ids) == ["ann", "old"]
    say(other, "ann", PURPOSE, granted=False, source="t", proof="", time=NOW)
    assert not glance(state, "ann", NOW + timedelta(seconds=1)).agreed
    other.close()


def test_a_ledger_that_cannot_be_read_is_no_consent(tmp_path: Path) -> None:
    ledger = Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")
    state = State(Settings(name="shop"), "hash", Catalog.of(pd.DataFrame({"item": []})), ledger=ledger)
    say(ledger, "ann", PURPOSE, granted=True, source="t", proof="p", time=NOW)
    assert glance(state, "ann", NOW).agreed
    with ledger.write() as connection:
        connection.execute(text("DROP TABLE consents"))
    assert glance(state, "ann", NOW) == Glance(["ann"], unread=True)


def decided(number: int) -> dict[str, object]:
    """A row of the journal."""
    texts = dict.fromkeys(("policy", "reason"), "") | {"options": "[]", "chosen": '["tea"]', "context": "{}"}
    nothing = dict.fromkeys(("model", "model_version", "fallback"))
    row = {"decision_id": f"d{number}", "kind": "recommend", "time": NOW, "customer": "ann", "probability": 1.0}
    return row | texts | nothing | {"workspace_hash": "hash"}
