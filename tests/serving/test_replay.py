"""`attune replay`: a decision made again is the same, whatever happened since; or one line says why it cannot be."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from features.consent import say
from features.decisions import decisions
from features.events import ORDERED, VIEWED, Event
from features.history import close_days, record
from features.ledger import Ledger
from features.placements import Boost, Pinned
from features.workspace import Workspace
from serving.decisions.decide import decide
from serving.decisions.offers import select
from serving.decisions.pace import SLOW
from serving.decisions.popular import of_history
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.replay import replay
from serving.decisions.requests import (
    BasketRequest,
    DecideRequest,
    HistoryEntry,
    OfferRequest,
    Page,
    RecommendRequest,
    SimilarRequest,
)
from serving.decisions.state import State

NOW = datetime.now(UTC)
VIEW = HistoryEntry.model_validate({"item": "green", "event": VIEWED, "time": "2026-01-09T12:00:00Z"})
TEA = {"item": "category", "is": "tea"}
PINNED = [Pinned(key="week", items=("mocha",), positions=(2,), share=0.5), Pinned(key="tea", where=TEA)]
PAGE = Page(items=["white"], cart=["java"], device="phone")
REQUESTS: list[tuple[Any, Any]] = [
    (recommend, RecommendRequest(customer="c000", k=3, exclude=["mocha"], include_bought="never")),
    (recommend, RecommendRequest(customer="c020", variety=0.5, k=2)),  # did something since the release
    (recommend, RecommendRequest(customer="c055", filter={"item": "price", "at_most": 5.0})),  # did not agree
    (recommend, RecommendRequest(history=["white", VIEW])),
    (recommend, RecommendRequest()),
    (basket, BasketRequest(cart=["green"], customer="c002")),
    (similar, SimilarRequest(item="green", exclude=["white"])),
    (recommend, RecommendRequest(customer="c000", placement="home-page", exclude=["mocha"])),
    (recommend, RecommendRequest(customer="c002", placement="product-page", context=PAGE, filter=None, k=4)),
    (recommend, RecommendRequest(customer="c001", boost=[Boost(where=TEA, by=5.0)], pinned=PINNED)),
    (recommend, RecommendRequest(pinned=PINNED)),  # drawn by the decision's id
    (similar, SimilarRequest(item="green", pinned=PINNED, boost=[Boost(where=TEA, by=0.5)])),
    (select, OfferRequest(customer="c001", offers=["coupon", "mail"])),
    (select, OfferRequest(features={"tenure": 1.0}, channel="web")),
    (decide, DecideRequest(slot="home-hero", customer="c001")),
    (decide, DecideRequest(slot="home-hero", anonymous="d7")),
]


@pytest.fixture
def own(untouched: Workspace, tmp_path: Path) -> Workspace:
    """A shop of the test's own."""
    shutil.copytree(untouched.folder, tmp_path / "shop")
    shop = Workspace.open(tmp_path / "shop")
    moment = NOW - timedelta(days=1)
    record(Ledger.at(shop.ledger), [event("c020", "java", moment)])
    return shop


@pytest.fixture
def state(own: Workspace) -> Iterator[State]:
    state = State.of(own)
    yield state
    assert state.journal is not None
    assert state.intake is not None
    state.journal.close()
    state.intake.close()


def event(customer: str, item: str, moment: datetime) -> Event:
    key = f"{customer}-{item}-{moment}"
    return Event("replay", key, ORDERED, moment, moment, customer=customer, item=item, quantity=1.0, price=4.0)


def decided(state: State, by: Any, request: Any) -> str:
    """The id of a decision that is in the journal."""
    assert state.journal is not None
    decision, _ = by(state, request, f"d-{len(str(request))}", NOW)
    state.journal.append(decision)
    return str(decision.decision_id)


def later(shop: Workspace) -> None:
    """What happens to everybody afterwards: they buy, they are shown much, they no longer agree."""
    ledger, moment = Ledger.at(shop.ledger), NOW + timedelta(minutes=1)
    for customer in ("c000", "c001", "c002", "c020"):
        record(ledger, [event(customer, item, moment) for item in ("white", "robusta", "mocha")])
        say(ledger, customer, "personalisation", granted=False, source="page", proof="", time=moment)
    close_days(shop, NOW - timedelta(hours=1))


@pytest.mark.parametrize(("by", "request_"), REQUESTS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_what_happened_since_changes_nothing(own: Workspace, state: State, by: Any, request_: Any) -> None:
    decision_id = decided(state, by, request_)
    later(own)
    told = replay(own, decision_id)
    assert told[1].split(maxsplit=1)[1] == told[2].split(maxsplit=1)[1]
    assert told[3].startswith("the same"), told
    assert "scores are equal" in told[3], told
    assert not list(own.state.glob("then-*"))


def test_another_choice_is_told(own: Workspace, state: State) -> None:
    decision_id = decided(state, recommend, RecommendRequest(customer="c000", k=1))
    assert state.journal is not None
    state.journal.commit()
    with Ledger.at(own.ledger).write() as connection:
        connection.execute(update(decisions).values(chosen='["java"]'))
    for path in (own.state / "journal").glob("*"):
        path.write_bytes(b"")
    told = replay(own, decision_id)
    assert told[1] == "chosen        java"
    assert told[3].startswith("not the same  the catalogue has not changed since")


def test_without_a_release_what_was_counted_then_is_counted_again(own: Workspace, state: State) -> None:
    decision_id = decided(replace(state, recommender=None, popular=of_history(own)), recommend, RecommendRequest(k=3))
    later(own)
    told = replay(own, decision_id)
    assert told[3].startswith("the same"), told


def test_a_model_that_was_slow_is_not_made_slow_again(own: Workspace, state: State) -> None:
    assert state.journal is not None
    decision, _ = recommend(state, RecommendRequest(customer="c000"), "d-slow", NOW)
    state.journal.append(replace(decision, fallback=f"{SLOW} at the step personal: what is popular"))
    with pytest.raises(ValueError, match="did not answer in time"):
        replay(own, "d-slow")


def test_what_cannot_be_made_again_says_why(own: Workspace, state: State) -> None:
    device = decided(state, recommend, RecommendRequest(anonymous="d7"))
    with pytest.raises(ValueError, match="made for a device"):
        replay(own, device)
    with pytest.raises(ValueError, match="is not in the journal"):
        replay(own, "never heard of")
    known = decided(state, recommend, RecommendRequest(customer="c000"))
    (own.releases / "recommender" / "1").rename(own.releases / "recommender" / "9")
    with pytest.raises(ValueError, match="the release of neighbours 1 is gone"):
        replay(own, known)
    (own.releases / "recommender" / "9").rename(own.releases / "recommender" / "1")
    (own.folder / "offers.yaml").write_text("offers: []\n")
    with pytest.raises(ValueError, match="the workspace's files were"):
        replay(Workspace.open(own.folder), known)
