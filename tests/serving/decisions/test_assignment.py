"""Assignment is one answer: in Python, in the SQL of DuckDB and PostgreSQL, and over HTTP.

days: the test runs from 2 to 20 March 2026 in Berlin; audience: who ordered green tea (c000, c002, ...) and agreed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import httpx
import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.assignment import bucket
from features.consent import Basis, grant, withdraw
from features.events import VIEWED, Event
from features.history import record
from features.holdout import SALT, held_out
from serving.decisions.assign import assign
from serving.decisions.journal import find
from serving.decisions.requests import AssignRequest
from serving.decisions.state import State
from serving.experiments.assignment import arm_of, arm_sql, outside
from serving.experiments.definitions import Experiment, Layer
from serving.experiments.exposures import assigned
from serving.http.app import Routes

NOW = datetime(2026, 3, 10, tzinfo=UTC)
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\0"), min_size=1, max_size=40)
STEPS = st.lists(st.integers(0, 1000), min_size=2, max_size=5)
EDGES = [0.0, 2**-52, 0.05, 0.1 + 0.2, 0.5, 1 - 2**-52]


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Of two to five arms, some with a share of 0, with strange names and salts, and mostly a layer."""
    parts = draw(STEPS.filter(lambda some: some[0] > 0 and sum(one > 0 for one in some) > 1))
    names = draw(
        st.lists(st.sampled_from(["a", "it's", "b c", "\u00e9t\u00e9", "5 % off"]), min_size=5, max_size=5, unique=True)
    )
    arms = {name: part / sum(parts) for name, part in zip(names, parts, strict=False)}
    start, end = sorted(draw(st.lists(st.sampled_from([*EDGES, 1.0]), min_size=2, max_size=2, unique=True)))
    layer = draw(st.sampled_from([None, Layer(name="page", start=start, end=end)]))
    return Experiment(key="test", arms=arms, salt=draw(st.sampled_from([None, "it's", "s:\u00fc"])), layer=layer)


def in_python(experiment: Experiment, customer: str, holdout: float) -> str | None:
    return None if outside(experiment, customer, holdout) else arm_of(experiment, customer)


def in_duckdb(experiment: Experiment, customers: list[str], holdout: float) -> list[str | None]:
    query = f"SELECT {arm_sql(experiment, 'duckdb', 'who', holdout)} FROM (SELECT unnest(?) AS who)"
    return [arm for (arm,) in duckdb.execute(query, [customers]).fetchall()]


@settings(max_examples=60, deadline=None)
@given(experiments(), st.lists(IDS, min_size=1, max_size=50), st.sampled_from(EDGES))
def test_duckdb_and_python_give_the_same_arms(experiment: Experiment, customers: list[str], holdout: float) -> None:
    assert in_duckdb(experiment, customers, holdout) == [in_python(experiment, one, holdout) for one in customers]


def test_a_customer_on_an_edge_is_beyond_it_everywhere() -> None:
    """The share is the customer's own bucket: the arm ends where the customer is, so they are in the next one."""
    for number in range(50):
        customer = f"customer-{number}"
        place = bucket("test", customer)
        on_it = Experiment(key="test", arms={"before": place, "from": 1 - place})
        beyond = Experiment(key="test", arms={"before": place + 2**-52, "from": 1 - place - 2**-52})
        assert [in_python(one, customer, 0.0) for one in (on_it, beyond)] == ["from", "before"]
        assert [in_duckdb(one, [customer], 0.0) for one in (on_it, beyond)] == [["from"], ["before"]]
        held = bucket(SALT, customer)
        assert [in_duckdb(on_it, [customer], share) for share in (held, held + 2**-52)] == [["from"], [None]]


def test_postgresql_gives_the_same_arms(postgresql: str) -> None:
    customers = [*(f"customer-{number}" for number in range(2_000)), "it's", "\u00fcber", "\U0001f9cb", "a:b"]
    experiment = Experiment(
        key="test", arms={"a": 0.3, "it's": 0.3, "c": 0.0, "d": 0.4}, layer=Layer(name="page", start=0.2, end=0.9)
    )
    query = (
        f"SELECT {arm_sql(experiment, 'postgresql', 'who', 0.05)} FROM unnest(%s::text[]) WITH ORDINALITY AS t (who, n)"
    )
    with psycopg.connect(postgresql) as connection:
        found = [arm for (arm,) in connection.execute(query, [customers]).fetchall()]
    assert found == [in_python(experiment, one, 0.05) for one in customers]


def test_another_dialect_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"dialect == 'mysql', must be one of duckdb, postgresql"):
        arm_sql(Experiment(key="test", arms={"a": 0.5, "b": 0.5}), "mysql")


def having(state: State, experiment: Experiment, holdout: float = 0.0) -> State:
    """The state with this experiment."""
    asked = state.settings.model_copy(update={"holdout": holdout})
    changed = replace(state, experiments={experiment.key: experiment}, settings=asked, plans={experiment.key: "abc123"})
    return changed._keeping(seen=changed._seen())


def ask(state: State, customer: str | None = None, now: datetime = NOW, **said: Any) -> tuple[Any, dict[str, Any]]:
    return assign(state, "test", AssignRequest(customer=customer, **said), "d", now)


def test_http_gives_the_same_arms(state: State) -> None:
    @settings(max_examples=10, deadline=None, phases=[Phase.generate])  # to shrink is slow here
    @given(experiments(), st.lists(IDS, min_size=1, max_size=5), st.sampled_from([0.0, 0.3]))
    def check(experiment: Experiment, customers: list[str], holdout: float) -> None:
        answers = asyncio.run(asked(having(state, experiment, holdout), customers))
        expected = in_duckdb(experiment, customers, holdout)
        assert all("arm" in one for one in answers), answers
        assert [one["arm"] if one["in_experiment"] else None for one in answers] == expected
        assert {one["arm"] for one in answers if not one["in_experiment"]} <= {experiment.control}

    check()


async def asked(state: State, customers: list[str]) -> list[dict[str, Any]]:
    """What the routes answer."""
    routes = Routes(lambda: NOW)
    routes.state = state
    transport = httpx.ASGITransport(routes.app(), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return [(await client.post("/experiments/test/assign", json={"customer": one})).json() for one in customers]


def test_before_the_first_day_and_after_the_last_it_is_the_control_and_no_exposure(state: State) -> None:
    test = Experiment(key="test", arms={"old": 0.0001, "new": 0.9999}, start=date(2026, 3, 2), end=date(2026, 3, 20))
    running = having(state, test)
    moments = {  # Berlin is an hour ahead of UTC
        datetime(2026, 3, 1, 22, 59, tzinfo=UTC): "it starts on 2026-03-02",
        datetime(2026, 3, 1, 23, 0, tzinfo=UTC): None,
        datetime(2026, 3, 20, 22, 59, tzinfo=UTC): None,
        datetime(2026, 3, 20, 23, 0, tzinfo=UTC): "it ended on 2026-03-20",
    }
    for now, why in moments.items():
        decision, answer = ask(running, "c001", now)
        assert (answer["arm"], answer["in_experiment"]) == (("new", True) if why is None else ("old", False))
        assert (answer["probability"] == 1) == (why is not None)
        assert why is None or answer["reason"] == f"not in the experiment: {why}; what there is without it"
        assert decision.context["plan"] == "abc123"


def test_a_customer_of_the_global_holdout_gets_the_control_and_the_row_says_so(state: State) -> None:
    test = having(state, Experiment(key="test", arms={"old": 0.0001, "new": 0.9999}), holdout=0.5)
    held, free = (next(one for n in range(99) if held_out(one := f"h{n}", 0.5) is yes) for yes in (True, False))
    decision, answer = ask(test, held)
    assert (answer["arm"], answer["in_experiment"], decision.context["held_out_of"]) == ("old", False, SALT)
    assert ask(test, free)[1]["arm"] == "new"


def test_two_experiments_of_a_layer_share_nobody_and_leave_nobody_out(state: State) -> None:
    customers = [f"c{number}" for number in range(200)]
    halves = [
        having(state, Experiment(key="test", arms={"a": 0.5, "b": 0.5}, salt=name, layer=Layer(name="page", **part)))
        for name, part in (("one", {"end": 0.5}), ("two", {"start": 0.5}))
    ]
    inside = [{one for one in customers if ask(half, one)[1]["in_experiment"]} for half in halves]
    assert not inside[0] & inside[1]
    assert inside[0] | inside[1] == set(customers)
    assert 70 < len(inside[0]) < 130
    assert "another part of the layer 'page'" in ask(halves[0], sorted(inside[1])[0])[1]["reason"]


def test_the_audience_is_asked_of_what_is_known_and_agreed_to(state: State) -> None:
    wanted = {"event": "Order Completed", "where": {"item": "green"}}
    test = Experiment.model_validate({"key": "test", "arms": {"old": 0.0001, "new": 0.9999}, "audience": wanted})
    running = having(state, test)
    assert ask(running, "c000")[1]["arm"] == "new"
    barred = ask(running, "c001")[1]  # drinks coffee
    assert (barred["arm"], barred["in_experiment"]) == ("old", False)
    assert barred["reason"].startswith("not in the experiment: ")
    assert "the customer has not agreed to analytics" in ask(running, "c055")[1]["reason"]
    away = replace(running, ledger=None)
    assert "nobody is known" in ask(away, "c002")[1]["reason"]


def test_the_audience_is_asked_of_what_happened_a_moment_ago_also_on_a_device(state: State) -> None:
    wanted = {"event": VIEWED, "where": {"item": "mocha"}}
    running = having(
        state, Experiment.model_validate({"key": "test", "arms": {"a": 0.5, "b": 0.5}, "audience": wanted})
    )
    assert state.ledger is not None
    time = NOW - timedelta(minutes=1)
    basis = Basis(("analytics",), "a box")
    grant(state.ledger, ["fresh", "device-1"], basis, source="banner", time=datetime(2026, 1, 1))
    assert not ask(running, "fresh")[1]["in_experiment"]
    record(state.ledger, [Event("sdk", "m1", VIEWED, time, time, customer="fresh", item="mocha")])
    record(state.ledger, [Event("sdk", "m2", VIEWED, time, time, anonymous="device-1", item="mocha")])
    assert ask(running, "fresh")[1]["in_experiment"]
    assert ask(running, anonymous="device-1")[1]["in_experiment"]
    withdraw(state.ledger, "fresh", ["analytics"], source="page", time=datetime(2026, 2, 1))
    assert not ask(running, "fresh")[1]["in_experiment"]


def test_only_who_is_in_the_experiment_counts_as_exposed(state: State) -> None:
    layer = Layer(name="page", end=0.5)
    running = having(state, Experiment(key="test", arms={"a": 0.5, "b": 0.5}, layer=layer))
    customers = [f"e{number}" for number in range(40)]
    made = [replace(ask(running, one)[0], decision_id=f"exposed-{one}") for one in customers]
    assert state.journal is not None
    assert state.ledger is not None
    assert state.workspace is not None
    state.journal.append(*made)
    state.journal.commit()
    rows = assigned(state.ledger, "test", NOW + timedelta(days=1))  # also those of other tests
    seen = {customer: arm for customer, arm, _ in rows if customer in customers}
    inside = {one: arm_of(running.experiments["test"], one) for one in customers if bucket("layer:page", one) < 0.5}
    assert seen == inside
    assert find(state.workspace.state / "journal", state.ledger, "exposed-e1") is not None
