"""What a customer did since the training is in the history, weighed as a training now would weigh it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from features.events import ORDERED, REFUNDED, VIEWED, Event
from features.history import close_days, read_events, record
from features.interactions import Interactions
from features.lines import Lines
from features.states.refresh import refresh
from features.workspace import InteractionSettings, Workspace
from serving.decisions.glance import Glance, glance
from serving.decisions.histories import history_of
from serving.decisions.state import State

TRAINED = datetime(2026, 1, 31)  # UTC without a zone
NOW = datetime(2026, 3, 1)
NEW = "zoe"


@pytest.fixture
def own(untouched: Workspace, tmp_path: Path) -> Workspace:
    """The small shop, to write into."""
    shutil.copytree(untouched.folder, tmp_path / "shop")
    return Workspace.open(tmp_path / "shop")


@pytest.fixture
def state(own: Workspace) -> Iterator[State]:
    read = State.read(own)
    yield read
    assert read.ledger is not None
    read.ledger.close()


def did(customer: str, name: str, item: str | None, time: datetime, **fields: object) -> Event:
    known = {"customer": customer, "item": item, "received_at": time, "order_id": f"{customer} {time}"} | fields
    return Event("sdk", f"{customer}-{name}-{item}-{time}", name, time, **known)


def day(number: float) -> datetime:
    return TRAINED + timedelta(days=number)


EVENTS = (
    did("c000", VIEWED, "black", day(-1)),  # the training had it
    did("c000", VIEWED, "black", day(2)),
    did("c000", ORDERED, "black", day(3)),
    did("c000", ORDERED, "java", day(3)),
    did("c000", ORDERED, "black", day(4)),
    did("c000", REFUNDED, "white", day(5)),  # bought before the training
    did("c000", VIEWED, "green", day(-9), received_at=day(6)),  # late: the training had not
    did("c000", VIEWED, "mocha", day(6), machine=True),
    did("c000", "Page Viewed", None, day(7)),
    did("c000", "Wishlisted", "mocha", day(7)),  # weighs nothing
    did(NEW, ORDERED, "mocha", day(8)),
    did(NEW, VIEWED, "robusta", day(9)),
)


def with_training_before(state: State, shop: Workspace) -> State:
    """The state whose release was trained at `TRAINED`, with the purchases one by one."""
    assert state.recommender is not None
    known = Interactions.build(read_events(shop), TRAINED, InteractionSettings())
    known = replace(known, lines=Lines.build(read_events(shop), TRAINED, known))
    return replace(state, recommender=replace(state.recommender, interactions=known, as_of=TRAINED))


def same(state: State, shop: Workspace, customer: str) -> None:
    """The history that is answered, and the one of a training now."""
    assert state.recommender is not None
    found, fallback = history_of(state, state.recommender, agreed(state, customer), None, NOW)
    assert fallback is None
    events = read_events(shop)
    whole = Interactions.build(events, NOW, InteractionSettings())
    whole = replace(whole, lines=Lines.build(events, NOW, whole)).rows([customer])
    assert found.items[found.item].tolist() == whole.items[whole.item].tolist()
    np.testing.assert_allclose(found.weight, whole.weight, rtol=1e-6)
    for name in ("purchases", "first", "last"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)
    if found.lines is not None:
        assert whole.lines is not None
        assert lines(found) == lines(whole)


def agreed(state: State, customer: str) -> Glance:
    """What the ledger says of the customer, as if it had agreed."""
    return replace(glance(state, customer, NOW), agreed=True)


def lines(history: Interactions) -> list[tuple[str, int, datetime]]:
    assert history.lines is not None
    items = history.items[history.lines.item].tolist()
    return sorted(zip(items, history.lines.basket.tolist(), history.lines.time.tolist(), strict=True))


@pytest.mark.parametrize("customer", ["c000", "c001", NEW])
@pytest.mark.parametrize("kept", ["in the ledger", "refreshed", "closed", "half closed"])
def test_the_history_is_that_of_a_training_now(own: Workspace, state: State, kept: str, customer: str) -> None:
    assert state.ledger is not None
    record(state.ledger, EVENTS[:1])
    trained = with_training_before(state, own)
    record(state.ledger, EVENTS[1:5])
    if kept != "in the ledger":
        refresh(own, NOW)
    if kept == "half closed":
        close_days(own, NOW)
    record(state.ledger, EVENTS[5:])
    if kept == "closed":
        refresh(own, NOW)
        assert close_days(own, NOW) == len(EVENTS)
    same(trained, own, customer)


def test_a_customer_who_did_nothing_that_weighs_is_unknown(state: State) -> None:
    assert state.ledger is not None
    assert state.recommender is not None
    record(state.ledger, [did(NEW, "Wishlisted", "mocha", day(7))])
    history, fallback = history_of(state, state.recommender, agreed(state, NEW), None, NOW)
    assert not len(history)
    assert "not known to the model" in str(fallback)


def test_without_consent_nothing_of_it_is_used(state: State) -> None:
    assert state.ledger is not None
    assert state.recommender is not None
    record(state.ledger, EVENTS)
    for customer in ("c000", NEW):
        history, fallback = history_of(
            state, state.recommender, replace(agreed(state, customer), agreed=False), None, NOW
        )
        assert not len(history)
        assert fallback
