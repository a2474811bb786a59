"""What a ledger does not say in time is said to be unread; nobody is answered as if nothing had been done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from features.consent import Basis, grant
from features.events import Event
from features.history import record
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.batch import recommend_each
from serving.decisions.offers import select
from serving.decisions.recommend import recommend
from serving.decisions.requests import BatchRequest, OfferRequest, RecommendRequest
from serving.decisions.state import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATELY = "what the customer did lately cannot be read"


class Late(Ledger):
    """A ledger that does not say in time what its events, or who agreed, are."""

    def __init__(self, url: str, late: str) -> None:
        super().__init__(url)
        self.late = late

    def look(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self.late in query:
            raise OSError("the ledger did not answer in time")
        return super().look(query, values)


@pytest.fixture
def late(state: State, shop: Workspace) -> State:
    """The shop whose c000 did something, which cannot be read now."""
    record(state.ledger, [Event("live", "late", "Wished", NOW, NOW, customer="c000")])
    return replace(state, ledger=Late(shop.ledger, "sequence, body"))


def test_who_did_something_that_cannot_be_read_is_not_answered_as_if_it_were_nothing(state: State, late: State) -> None:
    asked = RecommendRequest(customer="c000", k=3, include_bought="never")
    assert recommend(state, asked, "d", NOW)[1]["fallback"] is None
    answer = recommend(late, asked, "d", NOW)[1]
    assert answer["fallback"].startswith(LATELY)
    known = set(state.recommender.interactions.rows(["c000"]).bought[0].tolist())
    assert known
    assert not known & {one["item"] for one in answer["items"]}  # what the model knows to be bought still counts


def test_in_a_batch_neither(late: State) -> None:
    request = BatchRequest(customers=["c000", "c003"], k=3)
    answers = [answer for _, answer in recommend_each(late, request, ["d0", "d1"], NOW)]
    assert answers[0]["fallback"].startswith(LATELY)
    assert answers[1]["fallback"] is None


def test_what_a_visitor_did_or_agreed_to_and_cannot_be_read_is_said(state: State, late: State, shop: Workspace) -> None:
    basis = Basis(("personalisation",), "a box ticked")
    grant(state.ledger, ["dev-late"], basis, source="test", time=datetime(2026, 1, 1))
    asked = RecommendRequest(anonymous="dev-late", k=2)
    assert "what the visitor did cannot be read" in recommend(late, asked, "d", NOW)[1]["fallback"]
    unread = replace(state, ledger=Late(shop.ledger, "consents"))
    assert "what the visitor agreed to cannot be read" in recommend(unread, asked, "d", NOW)[1]["fallback"]


def test_an_offer_says_that_consent_cannot_be_read_and_not_that_there_is_none(state: State, shop: Workspace) -> None:
    unread = replace(state, ledger=Late(shop.ledger, "consents"))
    answer = select(unread, OfferRequest(customer="c003"), "d", NOW)[1]
    assert answer["fallback"].startswith("what the customer agreed to cannot be read")
