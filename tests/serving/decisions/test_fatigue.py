"""When a customer is tired of an item: by the ledger's decisions, in one query."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event, text

from features.catalog import Catalog
from features.decisions import Decision
from features.events import VIEWED
from features.interactions import Interactions
from features.ledger import Ledger
from features.workspace import InteractionSettings, RecommenderSettings, Settings
from serving.decisions.fatigue import DAYS, LOOKED, tired
from serving.decisions.histories import described
from serving.decisions.journal import store
from serving.decisions.requests import HistoryEntry
from serving.decisions.state import State

NOW = datetime(2026, 3, 1)  # UTC without a zone


@pytest.fixture
def state(tmp_path: Path) -> State:
    settings = Settings(name="shop", recommender=RecommenderSettings(fatigue=3))
    catalog = Catalog.of(pd.DataFrame({"item": []}))
    return State(settings, "hash", catalog, ledger=Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}"))


def shown(
    state: State, *items: str, ago: float, times: int = 1, kind: str = "recommend", customer: str = "ann"
) -> None:
    """So many answers with these items, all so many days ago."""
    assert state.ledger is not None
    row = Decision("", kind, NOW - timedelta(days=ago), customer, (), items, 1.0, "top-k", None, None, "hash", "")
    rows = [replace(row, decision_id=f"{customer}-{kind}-{items}-{ago}-{turn}").row() for turn in range(times)]
    store(state.ledger, [one | {"options": "[]", "chosen": _json(items), "context": "{}"} for one in rows])


def _json(items: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def did(*entries: HistoryEntry | str) -> Interactions:
    return described(entries, InteractionSettings(), NOW)


def seen(item: str, ago: float) -> HistoryEntry:
    return HistoryEntry.model_validate({"item": item, "event": VIEWED, "time": (NOW - timedelta(ago)).isoformat()})


NOTHING = did()


def test_a_customer_is_tired_of_what_was_shown_often_enough(state: State) -> None:
    shown(state, "tea", "jam", ago=2, times=2)
    shown(state, "tea", ago=1, kind="basket")
    assert tired(state, "ann", NOTHING, NOW).tolist() == ["tea"]
    assert tired(state, "bob", NOTHING, NOW).tolist() == []
    assert tired(state, None, NOTHING, NOW).tolist() == []


def test_only_what_was_shown_after_the_last_notice_counts(state: State) -> None:
    shown(state, "tea", ago=9, times=2)
    shown(state, "tea", ago=3, times=2)
    assert tired(state, "ann", NOTHING, NOW).tolist() == ["tea"]
    viewed = did(seen("tea", ago=5))
    assert tired(state, "ann", viewed, NOW).tolist() == []
    long_ago = did(seen("tea", ago=20))
    assert tired(state, "ann", long_ago, NOW).tolist() == ["tea"]
    assert tired(state, "ann", did("tea"), NOW).tolist() == []  # when is not known: taken as now
    assert tired(state, "ann", did("jam"), NOW).tolist() == ["tea"]


def test_what_was_shown_long_ago_or_was_no_recommendation_is_forgotten(state: State) -> None:
    shown(state, "tea", ago=DAYS + 1, times=5)
    shown(state, "jam", ago=1, times=5, kind="offer")
    assert tired(state, "ann", NOTHING, NOW).tolist() == []


def test_0_switches_it_off(state: State) -> None:
    shown(state, "tea", ago=1, times=50)
    off = replace(state, settings=Settings(name="shop", recommender=RecommenderSettings(fatigue=0)))
    assert tired(off, "ann", NOTHING, NOW).tolist() == []


def test_it_costs_one_query_by_index_of_a_bounded_number_of_rows(state: State) -> None:
    shown(state, "tea", ago=2, times=3)
    shown(state, "jam", ago=1, times=LOOKED - 1, kind="offer")  # newer: of the teas one is left in sight
    with statements(state) as asked:
        assert tired(state, "ann", NOTHING, NOW).tolist() == []
    (statement,) = [one for one in asked if "FROM decisions" in one]  # beside it one that asks for the customer's ids
    assert "LIMIT" in statement
    assert state.ledger is not None
    with state.ledger.read() as connection:
        plan = connection.execute(
            text("EXPLAIN QUERY PLAN SELECT chosen FROM decisions WHERE customer = 'a' AND time > 0 ORDER BY time DESC")
        ).all()
    assert "decisions_customer_time" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_a_ledger_that_cannot_be_read_makes_nobody_tired(state: State) -> None:
    shown(state, "tea", ago=1, times=5)
    assert state.ledger is not None
    with state.ledger.write() as connection:
        connection.execute(text("DROP TABLE decisions"))
    assert tired(state, "ann", NOTHING, NOW).tolist() == []


@contextmanager
def statements(state: State) -> Iterator[list[str]]:
    """The statements that the ledger ran meanwhile."""
    assert state.ledger is not None
    ran: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        ran.append(statement)

    event.listen(state.ledger.engine, "before_cursor_execute", note)
    yield ran
    event.remove(state.ledger.engine, "before_cursor_execute", note)
