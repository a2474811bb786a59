"""Offers are drawn with the probabilities that are logged, for a customer in the holdout as for the others."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from scipy.stats import chisquare

from features.assignment import bucket
from features.decisions import NOTHING
from features.offers import Offer
from features.workspace import Workspace
from serving.decisions.offers import HOLDOUT_SALT, select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def state(shop: Workspace) -> Iterator[State]:
    state = State.of(shop)
    yield state
    assert state.journal is not None
    state.journal.close()


def named(held: bool) -> str:
    return next(f"new-{n}" for n in range(1000) if (bucket(HOLDOUT_SALT, f"new-{n}") < 0.05) == held)


def test_over_10000_calls_the_chosen_frequencies_match_the_logged_probabilities(state: State) -> None:
    request = OfferRequest(customer=named(held=False))
    decisions = [select(state, request, f"d{number}", NOW)[0] for number in range(10_000)]
    logged = {option.key: option.probability or 0.0 for option in decisions[0].options if option.eligible}
    chosen = [sum(decision.chosen == (key,) for decision in decisions) for key in logged]
    assert all(decision.probability == logged[decision.chosen[0]] for decision in decisions)
    assert chisquare(chosen, [share * 10_000 for share in logged.values()]).pvalue > 0.001
    assert chosen[list(logged).index(NOTHING)] > 0


def test_a_customer_of_the_holdout_gets_nothing_for_certain(state: State) -> None:
    request = OfferRequest(customer=named(held=True))
    for number in range(50):
        decision, answer = select(state, request, f"h{number}", NOW)
        assert (decision.chosen, decision.probability, answer["offer"]) == ((NOTHING,), 1.0, None)


def test_ten_thousand_offers_that_the_model_does_not_know_are_counted_in_a_line(state: State) -> None:
    many = tuple(Offer(key=f"offer-{number}", name="-") for number in range(10_000))
    decision, answer = select(replace(state, offers=(*state.offers, *many)), OfferRequest(customer="c001"), "d", NOW)
    assert "'offer-0', " in answer["fallback"]
    assert re.search(r"\] and 9,99\d more: not considered$", answer["fallback"])
    assert len(decision.options) == 10_001 + len(state.offers)


def test_a_decision_can_be_replayed_from_its_id(state: State) -> None:
    request = OfferRequest(customer="c001")
    assert select(state, request, "same", NOW) == select(state, request, "same", NOW)
