"""When a customer is tired of an item: by the ledger's decisions, in one query."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

from features.catalog import Catalog
from features.decisions import Decision
from features.events import VIEWED
from features.interactions import Interactions
from features.ledger import Ledger
from features.workspace import InteractionSettings, RecommenderSettings, Settings
from serving.decisions.fatigue import tired
from serving.decisions.glance import DAYS, LOOKED, Glance, glance
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


def bored(state: State, customer: str | None, history: Interactions) -> list[str]:
    """What a customer who agreed is tired of."""
    who = None if customer is None else replace(glance(state, customer, NOW), agreed=True)
    return tired(state, who, history, NOW).tolist()


NOTHING = did()


def test_a_customer_is_tired_of_what_was_shown_often_enough(state: State) -> None:
    shown(state, "tea", "jam", ago=2, times=2)
    shown(state, "tea", ago=1, kind="basket")
    assert bored(state, "ann", NOTHING) == ["tea"]
    assert bored(state, "bob", NOTHING) == []
    assert bored(state, None, NOTHING) == []


def test_only_what_was_shown_after_the_last_notice_counts(state: State) -> None:
    shown(state, "tea", ago=9, times=2)
    shown(state, "tea", ago=3, times=2)
    assert bored(state, "ann", NOTHING) == ["tea"]
    viewed = did(seen("tea", ago=5))
    assert bored(state, "ann", viewed) == []
    long_ago = did(seen("tea", ago=20))
    assert bored(state, "ann", long_ago) == ["tea"]
    assert bored(state, "ann", did("tea")) == []  # when is not known: taken as now
    assert bored(state, "ann", did("jam")) == ["tea"]


def test_what_was_shown_long_ago_or_was_no_recommendation_is_forgotten(state: State) -> None:
    shown(state, "tea", ago=DAYS + 1, times=5)
    shown(state, "jam", ago=1, times=5, kind="offer")
    assert bored(state, "ann", NOTHING) == []


def test_0_switches_it_off(state: State) -> None:
    shown(state, "tea", ago=1, times=50)
    off = replace(state, settings=Settings(name="shop", recommender=RecommenderSettings(fatigue=0)))
    assert bored(off, "ann", NOTHING) == []


def test_it_reads_a_bounded_number_of_decisions_by_index(state: State) -> None:
    shown(state, "tea", ago=2, times=3)
    shown(state, "jam", ago=1, times=LOOKED - 1, kind="offer")  # newer: of the teas one is left in sight
    assert bored(state, "ann", NOTHING) == []
    assert state.ledger is not None
    plan = state.ledger.look("EXPLAIN QUERY PLAN SELECT chosen FROM decisions WHERE customer = 'a' ORDER BY time DESC")
    assert "decisions_customer_time" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_a_ledger_that_cannot_be_read_makes_nobody_tired(state: State) -> None:
    shown(state, "tea", ago=1, times=5)
    assert state.ledger is not None
    with state.ledger.write() as connection:
        connection.execute(text("DROP TABLE decisions"))
    assert tired(state, Glance(["ann"], agreed=True, shown=LOOKED), NOTHING, NOW).tolist() == []
