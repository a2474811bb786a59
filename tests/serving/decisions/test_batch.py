"""A batch answers each customer as `recommend` does, with one look for all."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest

from features.decisions import Decision
from features.events import ORDERED, VIEWED, Event
from features.history import record
from features.ledger import Ledger
from features.placements import Placement
from features.workspace import Workspace
from serving.decisions.batch import recommend_each
from serving.decisions.journal import store
from serving.decisions.recommend import recommend
from serving.decisions.requests import BatchRequest
from serving.decisions.state import State
from training.recommenders.base import Recommender

NOW = datetime(2026, 2, 10, tzinfo=UTC)
PLAIN = NOW.replace(tzinfo=None)
EVERYBODY = [
    *(f"c{number:03}" for number in range(12)),
    "stranger",  # nobody knows it
    "c055",  # did not agree
    "batch-new",  # agreed, did something, and the release does not know it
    "c020",  # did something since the release
    "c022",  # the same, on a device
    "c024",  # bears another id too
    "c026",  # is tired of what it was shown
    "odd",  # agreed and did only what the model does not know
    "c001",  # a second time
]


@pytest.fixture(scope="module", autouse=True)
def lived(shop: Workspace) -> None:
    """What some of them did, said and were shown."""
    from features.consent import Basis, grant

    ledger = Ledger.at(shop.ledger)
    grant(ledger, ["batch-new"], Basis(("personalisation",), "a box"), source="batch", time=PLAIN - timedelta(days=9))
    grant(ledger, ["odd"], Basis(("personalisation",), "a box"), source="batch", time=PLAIN - timedelta(days=9))
    did = [
        ("odd", VIEWED, "no such item", None),
        ("batch-new", VIEWED, "mocha", None),
        ("c020", ORDERED, "java", None),
        ("c020", VIEWED, "white", None),
        ("c022", "Identify", None, "phone"),
        (None, VIEWED, "robusta", "phone"),
        ("c022", "Identify", None, "phone"),
    ]
    events = [
        Event("batch", f"b{place}", name, time, time, customer=who, anonymous=device, item=item)
        for place, (who, name, item, device) in enumerate(did)
        for time in [PLAIN - timedelta(hours=9 - place)]
    ]
    alias = {"customer": "c024", "properties": '{"previous_id": "c024-before"}'}
    record(ledger, [*events, Event("batch", "alias", "Alias", PLAIN - timedelta(days=1), PLAIN, **alias)])
    shown = Decision("", "recommend", PLAIN - timedelta(hours=1), "c026", (), ("white",), 1.0, "p", None, None, "h", "")
    rows = [replace(shown, decision_id=f"batch-{place}").row() for place in range(12)]
    store(ledger, [row | {"options": "[]", "chosen": '["white"]', "context": "{}"} for row in rows])


def same(state: State, **asked: Any) -> list[tuple[Decision, dict[str, Any]]]:
    """The batch, after it was compared with each customer's own answer."""
    request = BatchRequest(customers=EVERYBODY, **asked)
    ids = [f"d{place}" for place in range(len(EVERYBODY))]
    made = recommend_each(state, request, ids, NOW)
    for customer, decision_id, (decision, answer) in zip(EVERYBODY, ids, made, strict=True):
        alone, told = recommend(state, request.of(customer), decision_id, NOW)
        scores = [np.array([one.score for one in made_of.options], float) for made_of in (decision, alone)]
        assert np.allclose(*scores, rtol=1e-5, equal_nan=True), customer  # a promotion has none
        assert replace(decision, options=()) == replace(alone, options=()), customer
        assert [one.key for one in decision.options] == [one.key for one in alone.options]
        assert [(one["item"], one["name"], one["reason"], one["step"]) for one in answer["items"]] == [
            (one["item"], one["name"], one["reason"], one["step"]) for one in told["items"]
        ]
        assert {**answer, "items": []} == {**told, "items": []}
    return made


@pytest.mark.parametrize("mode", [None, "never", "only", "mixed"])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_each_is_answered_as_alone(state: State, mode: str | None, k: int) -> None:
    same(state, k=k, include_bought=mode)


@pytest.mark.parametrize(
    "asked",
    [
        {"exclude": ["green", "no such item"]},
        {"filter": {"item": "category", "is": "tea"}},
        {"filter": {"item": "price", "at_most": 1.0}},
        {"variety": 0.7, "k": 2},
        {"placement": "home-page"},
        {"placement": "product-page", "k": 2, "context": {"items": ["green"]}},
        {"boost": [{"where": {"item": "category", "is": "tea"}, "by": 3.0}]},
        {"pinned": [{"key": "week", "items": ["mocha"], "positions": [2], "share": 0.5}]},
    ],
)
def test_what_is_asked_holds_for_all(state: State, asked: dict[str, Any]) -> None:
    same(state, **asked)


def test_who_differs_is_told_apart(state: State) -> None:
    made = dict(zip(EVERYBODY, same(state, k=100), strict=True))
    said = {customer: decision.fallback or "" for customer, (decision, _) in made.items()}
    assert "not known" in said["stranger"]
    assert "not agreed" in said["c055"]
    assert not said["batch-new"]
    assert made["c026"][0].context["tired"] == ["white"]
    assert made["c026"][0].chosen[-1] == "white"
    cites = {cited for item in made["c022"][1]["items"] for cited in item["reason"]["cites"]}
    assert "robusta" in cites  # what was viewed on the device


def test_what_a_placement_says_is_not_overruled_by_what_the_request_leaves_open(state: State) -> None:
    placed = replace(state, placements={"few": Placement(k=2), "many": Placement(k=1000)})
    made = same(placed, placement="few")
    assert {len(decision.chosen) for decision, _ in made} == {2}
    too_many = BatchRequest(customers=[f"c{number}" for number in range(51)], placement="many")
    with pytest.raises(ValueError, match="at most 50000"):
        recommend_each(placed, too_many, ["d"] * 51, NOW)


def test_without_a_model_or_with_one_that_fails_each_is_answered_by_what_is_counted(state: State) -> None:
    release = state.recommender
    assert release is not None

    class Failing:
        def recommend_for(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no luck")

        def __getattr__(self, name: str) -> Any:
            return getattr(release.recommender, name)

    failing = replace(release, recommender=cast(Recommender, Failing()))
    for other in (replace(state, recommender=None), replace(state, recommender=failing)):
        made = same(other, k=3)
        assert all(decision.fallback and len(decision.chosen) == 3 for decision, _ in made)


def test_one_customer_is_a_batch_too(state: State) -> None:
    ((decision, _),) = recommend_each(state, BatchRequest(customers=["c003"]), ["d"], NOW)
    assert decision.customer == "c003"


def test_while_the_ledger_cannot_be_read_nobody_is_known(state: State, broken: Callable[[State], State]) -> None:
    made = same(broken(state), k=3)
    assert all(decision.fallback for decision, _ in made)


@pytest.fixture
def broken() -> Callable[[State], State]:
    def of(state: State) -> State:
        return replace(state, ledger=Ledger("sqlite:////nowhere/ledger.db"))

    return of


def test_the_looks_do_not_grow_with_the_customers(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look = Ledger.look

    def counted(self: Ledger, query: str, values: Any = ()) -> Any:
        asked.append(query)
        return look(self, query, values)

    monkeypatch.setattr(Ledger, "look", counted)
    few, many = ["c000", "c020", "c026"], [one for one in EVERYBODY if one not in {"c024", "odd"}]
    counts = []
    for customers in (few, many):
        asked.clear()
        recommend_each(state, BatchRequest(customers=customers), [str(place) for place in range(len(customers))], NOW)
        counts.append(len(asked))
    assert counts[1] <= counts[0] + 1  # those on devices
