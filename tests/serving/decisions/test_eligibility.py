"""An offer whose condition does not hold for the customer is not chosen, and its row says why.

c000 ordered teas, c003 coffees, one of them in the catalogue, in January 2026; c055 did not agree to personalisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.decisions import NOTHING, Decision
from features.events import IDENTIFIED, ORDERED, VIEWED, Event
from features.history import record
from features.workspace import Workspace
from serving.decisions import seen
from serving.decisions.offers import select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State

NOW = datetime(2026, 1, 20, tzinfo=UTC)
COFFEE = {"event": ORDERED, "where": {"category": "coffee"}}
Asking = Callable[[dict[str, Any]], State]


def considered(state: State, customer: str | None) -> dict[str, str | None]:
    """Why the options are not eligible; without those that are."""
    decision = decided(state, customer)
    return {option.key: option.reason for option in decision.options if not option.eligible and option.reason}


def decided(state: State, customer: str | None, number: int = 0) -> Decision:
    return select(state, OfferRequest(customer=customer, offers=["coupon", "mail"]), f"e{number}", NOW)[0]


def test_only_customers_for_whom_the_condition_holds_get_the_offer(asking: Asking) -> None:
    rules = asking(COFFEE)
    assert considered(rules, "c003") == {}
    reason = "0 x Order Completed where category 'coffee' is not at least 1"
    assert considered(rules, "c000") == {"coupon": reason}
    assert {decided(rules, "c000", number).chosen for number in range(200)} == {(NOTHING,), ("mail",)}
    assert ("coupon",) in {decided(rules, "c003", number).chosen for number in range(200)}


def test_a_live_event_counts_at_the_next_decision(state: State, asking: Asking) -> None:
    rules = asking({"all": [{"trait": "city", "is": "Lyon"}, {"event": VIEWED, "within": "1h"}]})
    assert considered(rules, "c002") == {"coupon": "city (missing) is not 'Lyon'"}
    time = NOW - timedelta(minutes=10)
    assert state.ledger is not None
    record(state.ledger, [Event("live", "t1", IDENTIFIED, time, time, customer="c002", properties='{"city":"Lyon"}')])
    assert considered(rules, "c002") == {"coupon": "0 x Product Viewed within 1h is not at least 1"}
    record(state.ledger, [Event("live", "v1", VIEWED, time, time, customer="c002", item="green")])
    assert considered(rules, "c002") == {}
    record(state.ledger, [Event("live", "v2", VIEWED, NOW, NOW, customer="c004", item="green")])
    assert considered(rules, "c004") == {"coupon": "city (missing) is not 'Lyon'"}


def test_what_happened_since_an_event_of_the_history_is_known(state: State, asking: Asking) -> None:
    assert state.ledger is not None
    before, after = datetime(2025, 1, 1, tzinfo=UTC), NOW - timedelta(minutes=10)
    rules = asking({"event": "Wished", "since": {"event": ORDERED}})
    record(state.ledger, [Event("live", "w1", "Wished", before, after, customer="c000")])
    assert considered(rules, "c000") == {"coupon": "0 x Wished since Order Completed is not at least 1"}
    record(state.ledger, [Event("live", "w2", "Wished", after, after, customer="c000")])
    assert considered(rules, "c000") == {}


def test_an_offer_for_a_segment_is_for_those_only_who_are_in_it(state: State, shop: Workspace) -> None:
    path, own = shop.folder / "offers.yaml", shop.folder / "segments" / "own.yaml"
    before = path.read_text()
    own.parent.mkdir(exist_ok=True)
    own.write_text("segments: [{key: drinkers, who: {event: Order Completed, where: {category: coffee}}}]")
    path.write_text(before.replace("{key: coupon,", "{key: coupon, eligible: {segment: drinkers},"))
    try:
        rules = replace(state, offers=State.read(shop).offers)
        rules = replace(rules, seen=seen.Seen.of(shop, rules.conditions))
        assert considered(rules, "c003") == {}
        said = "not in drinkers: 0 x Order Completed where category 'coffee' is not at least 1"
        assert considered(rules, "c000") == {"coupon": said}
    finally:
        path.write_text(before)
        own.unlink()


@pytest.mark.parametrize(
    ("customer", "reason"),
    [(None, "no customer was given"), ("c055", "the customer has not agreed to personalisation")],
)
def test_without_a_customer_who_agreed_a_condition_cannot_hold(
    customer: str | None, reason: str, asking: Asking
) -> None:
    rules = asking({"not": {"event": "Never"}})
    assert considered(rules, customer) == {"coupon": reason}
    assert considered(rules, "c000") == {}


def test_where_no_offer_is_eligible_the_decision_says_so(asking: Asking) -> None:
    rules = asking({"event": "Never"})
    decision, answer = select(rules, OfferRequest(customer="c000", offers=["coupon"]), "d", NOW)
    assert (decision.chosen, decision.probability, decision.reason) == ((NOTHING,), 1.0, "no offer is eligible")
    assert answer["offer"] is None


def test_of_a_customers_rows_of_a_name_the_newest_are_kept(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asking(COFFEE).seen.customers.of("c003")
    monkeypatch.setattr(seen, "LOOKED", 1)
    (newest,) = asking(COFFEE).seen.customers.of("c003")
    assert newest["time"] == max(row["time"] for row in whole)
    assert len(whole) > 1
    assert asking(COFFEE).seen.customers.of("nobody") == []


def test_an_attribute_that_the_catalogue_lacks_stops_the_service_at_its_start(shop: Workspace) -> None:
    path = shop.folder / "offers.yaml"
    before = path.read_text()
    path.write_text(before + "  - {key: x, name: X, eligible: {event: View, where: {colour: red}}}\n")
    try:
        with pytest.raises(ValueError, match=r"offers.yaml: eligible of 'x': the catalogue has no attribute 'colour'"):
            State.read(shop)
    finally:
        path.write_text(before)


def test_a_score_of_no_offer_stops_the_service_at_its_start(shop: Workspace) -> None:
    path = shop.folder / "offers.yaml"
    before = path.read_text()
    path.write_text(before + "  - {key: x, name: X, eligible: {score: effect of coupn, at_least: 0.1}}\n")
    try:
        with pytest.raises(ValueError, match=r"of 'x': there is no score .*; did you mean 'effect of coupon'\?"):
            State.read(shop)
    finally:
        path.write_text(before)
