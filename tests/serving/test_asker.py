"""Asker: a page asks for itself, everybody else for whom they name."""

from datetime import datetime

import pytest

from features.keys import DECIDE, PUBLISHABLE, Key
from serving.decisions.requests import OfferRequest, RecommendRequest, SimilarRequest
from serving.http.auth import HERE, Asker
from serving.http.errors import HttpError

PAGE = Key("h", "id", "page", PUBLISHABLE, datetime(2026, 1, 1))
BACKEND = Key("h", "id", "backend", DECIDE, datetime(2026, 1, 1))


@pytest.mark.parametrize("asker", [HERE, Asker(BACKEND)])
def test_the_shops_own_programs_ask_for_anybody(asker: Asker) -> None:
    body = OfferRequest(customer="c000", features={"tenure": 1.0})
    assert asker.own(body) is body
    assert asker.named("offer") == "offer"


def test_a_page_asks_for_its_signed_customer_named_or_not() -> None:
    signed = Asker(PAGE, "c000")
    for body in (RecommendRequest(customer="c000", k=3), RecommendRequest(k=3)):
        assert signed.own(body) == RecommendRequest(customer="c000", k=3)
    assert Asker(PAGE).own(RecommendRequest(anonymous="d7")) == RecommendRequest(anonymous="d7")
    assert signed.own(SimilarRequest(item="green")) == SimilarRequest(item="green")


@pytest.mark.parametrize("customer", [None, "c002"])
@pytest.mark.parametrize("body", [RecommendRequest(customer="c000"), OfferRequest(features={"tenure": 1.0})])
def test_a_page_neither_asks_for_others_nor_says_what_is_known(customer: str | None, body: object) -> None:
    with pytest.raises(HttpError) as told:
        Asker(PAGE, customer).own(body)
    assert (told.value.status, told.value.code) == (403, "wrong_customer")


def test_an_idempotency_key_of_a_page_is_its_own() -> None:
    assert Asker(PAGE).named("offer") != "offer"
