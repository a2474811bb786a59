"""The global holdout of the small shop: who is in it gets nothing personal by any route, and the row says why.

Half of the customers are held out; c000, c002 ... bought green tea and agreed.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features import holdout
from features.events import Event
from features.history import record
from features.holdout import REASON, SALT, held_out
from features.workspace import Workspace
from serving.decisions.batch import recommend_each
from serving.decisions.decide import decide
from serving.decisions.offers import select
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.replay import replay
from serving.decisions.requests import (
    BasketRequest,
    BatchRequest,
    DecideRequest,
    OfferRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.decisions.state import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHARE = 0.5
BUYERS = [f"c{number:03}" for number in range(0, 50, 2) if number % 3 != 1]
HELD = next(one for one in BUYERS if held_out(one, SHARE))
FREE = next(one for one in BUYERS if not held_out(one, SHARE))


@pytest.fixture
def held(state: State) -> State:
    """The shop, half of whose customers nothing personal reaches."""
    return replace(state, settings=state.settings.model_copy(update={"holdout": SHARE}))


def test_recommendations_are_the_popular_ones_and_say_why(held: State) -> None:
    decision, answer = recommend(held, RecommendRequest(customer=HELD, k=3, include_bought="mixed"), "d", NOW)
    nobody = recommend(held, RecommendRequest(k=3, include_bought="mixed"), "n", NOW)[1]
    assert [one["item"] for one in answer["items"]] == [one["item"] for one in nobody["items"]]
    assert {one["step"] for one in answer["items"]} == {"popular"}
    assert decision.context["held_out_of"] == SALT
    assert decision.reason == answer["reason"] == REASON
    assert answer["fallback"] == f"{REASON}: what is popular"
    free, own = recommend(held, RecommendRequest(customer=FREE, k=3), "d", NOW)
    assert "held_out_of" not in free.context
    assert own["items"][0]["step"] == "personal"


def test_what_was_bought_stays_filtered_for_who_is_held_out(held: State) -> None:
    answer = recommend(held, RecommendRequest(customer=HELD, k=3, include_bought="never"), "d", NOW)[1]
    assert len(answer["items"]) == 3
    assert "green" not in [one["item"] for one in answer["items"]]


def test_a_cart_is_completed_with_what_is_popular_and_an_items_page_is_nobodys(held: State, state: State) -> None:
    decision, answer = basket(held, BasketRequest(customer=HELD, cart=["green"], k=2), "d", NOW)
    assert {one["step"] for one in answer["items"]} == {"popular"}
    assert decision.context["held_out_of"] == SALT
    assert answer["fallback"].startswith(REASON)
    same = (similar(one, SimilarRequest(item="green", k=2), "d", NOW) for one in (held, state))
    assert len({str(one) for one in same}) == 1


def test_no_offer_is_given(held: State) -> None:
    decision, answer = select(held, OfferRequest(customer=HELD), "d", NOW)
    assert (answer["offer"], answer["probability"], answer["reason"]) == (None, 1.0, REASON)
    assert decision.context["held_out_of"] == SALT


def test_a_slot_shows_its_default(held: State) -> None:
    slot = next(key for key, one in held.slots.items() if one.slot.purpose == "personalisation")
    decision, answer = decide(held, DecideRequest(slot=slot, customer=HELD), "d", NOW)
    assert (answer["content"], answer["held_out"], answer["probability"]) == ("default", True, 1.0)
    assert answer["reason"] == f"the default content: {REASON}"
    assert decision.context["held_out_of"] == SALT
    assert answer["offer"] is None


def test_a_batch_answers_each_as_it_would_alone(held: State) -> None:
    found = recommend_each(held, BatchRequest(customers=[HELD, FREE], k=3), ["a", "b"], NOW)
    alone = [recommend(held, RecommendRequest(customer=who, k=3), id_, NOW) for who, id_ in ((HELD, "a"), (FREE, "b"))]
    assert [answer for _, answer in found] == [answer for _, answer in alone]


def test_a_merged_customer_is_held_out_by_the_id_that_it_bears(held: State) -> None:
    assert held.ledger is not None
    time = NOW - timedelta(hours=1)
    before = next(one for n in range(99) if not held_out(one := f"before-{n}", SHARE))
    bears = next(one for n in range(99) if held_out(one := f"bears-{n}", SHARE))
    said = f'{{"previous_id": "{before}"}}'
    record(held.ledger, [Event("sdk", "merged", "Alias", time, time, customer=bears, properties=said)])
    for who in (before, bears):
        assert recommend(held, RecommendRequest(customer=who, k=1), "d", NOW)[0].context["held_out_of"] == SALT
        assert select(held, OfferRequest(customer=who), "d", NOW)[0].context["held_out_of"] == SALT


def test_without_a_holdout_nothing_is_computed_and_nothing_changes(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "bucket", lambda *_: pytest.fail("a hash was computed"))
    decision, answer = recommend(state, RecommendRequest(customer=HELD, k=3), "d", NOW)
    assert answer["items"][0]["step"] == "personal"
    assert "held_out_of" not in decision.context


def test_a_decision_of_the_holdout_is_made_again(untouched: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "attune.yaml").write_text((folder / "attune.yaml").read_text() + f"\nholdout: {SHARE}\n")
    own = State.of(Workspace.open(folder))
    assert own.journal is not None
    assert own.workspace is not None
    own.journal.append(recommend(own, RecommendRequest(customer=HELD, k=3), "again", NOW)[0])
    assert any(line.startswith("the same") for line in replay(own.workspace, "again"))
    own.journal.close()
