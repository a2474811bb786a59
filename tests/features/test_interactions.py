"""Interactions over hand-drawn logs. The moment is day 20; an order weighs 1, a view 0.1; the half-life is 10 days."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import SCHEMA, Event, Events
from features.interactions import Interactions
from features.workspace import InteractionSettings

DAY0 = datetime(2024, 1, 1)  # tables keep UTC without a zone
MOMENT = DAY0 + timedelta(days=20)
SETTINGS = InteractionSettings(half_life_days=10.0)


def event(name: str, customer: str | None, day: float, item: str | None, *, machine: bool = False) -> Event:
    time = DAY0 + timedelta(days=day)
    message = f"{name}-{customer}-{day}-{item}-{machine}"
    return Event("test", message, name, time, time, customer=customer, item=item, machine=machine)


def build(*rows: Event) -> Interactions:
    log = pa.Table.from_pylist([row.row() for row in rows], schema=SCHEMA)
    return Interactions.build(Events.of(log), MOMENT, SETTINGS)


def weights(found: Interactions) -> dict[tuple[str, str], float]:
    ids = zip(found.customers[found.customer].tolist(), found.items[found.item].tolist(), strict=True)
    return dict(zip(ids, found.weight.tolist(), strict=True))


def test_a_weight_halves_every_half_life() -> None:
    found = build(event("Order Completed", "ann", 10, "tea"), event("Product Viewed", "ann", 0, "coffee"))
    assert weights(found) == pytest.approx({("ann", "tea"): 0.5, ("ann", "coffee"): 0.1 / 4})
    assert found.purchases.tolist() == [0, 1]  # coffee, tea


def test_a_refund_takes_a_purchase_off() -> None:
    """ann bought tea twice and sent one back; bob bought one and sent it back the same day."""
    found = build(
        event("Order Completed", "ann", 10, "tea"),
        event("Order Completed", "ann", 20 - 1e-6, "tea"),
        event("Order Refunded", "ann", 20 - 1e-6, "tea"),
        event("Order Completed", "bob", 5, "tea"),
        event("Order Refunded", "bob", 5, "tea"),
    )
    assert weights(found) == pytest.approx({("ann", "tea"): 0.5}, abs=1e-6)
    assert found.purchases.tolist() == [1]


@given(
    st.lists(st.text(max_size=4).map(lambda one: one.rstrip("\0"))),
    st.text(max_size=5).filter(lambda one: "\0" not in one),
)
def test_a_customer_is_found_where_it_stands_or_not_at_all(some: list[str], wanted: str) -> None:
    ids = np.unique(np.array([one for one in some if "\0" not in one], dtype=np.str_))
    nobody, none = np.empty(0, np.int32), np.empty(0, np.float32)
    found = Interactions(ids, np.empty(0, np.str_), nobody, nobody, none, none, nobody, nobody)
    asked = [*ids.tolist(), wanted]
    where = {one: row for row, one in enumerate(ids.tolist())}
    assert [found.place(one) for one in asked] == [where.get(one, -1) for one in asked]
    assert found.places(asked).tolist() == [where.get(one, -1) for one in asked]


def test_nobody_nothing_and_machines_do_not_count() -> None:
    found = build(
        event("Order Completed", None, 1, "tea"),
        event("Order Completed", "ann", 1, None),
        event("Product Viewed", "ann", 1, "tea", machine=True),
        event("Email Opened", "ann", 1, "tea"),
        event("Product Viewed", "bob", 1, "tea"),
    )
    assert list(weights(found)) == [("bob", "tea")]


def test_ids_and_pairs_are_sorted_and_times_are_kept() -> None:
    found = build(
        event("Product Viewed", "bob", 3, "tea"),
        event("Product Viewed", "ann", 2, "tea"),
        event("Product Viewed", "bob", 1, "coffee"),
        event("Product Viewed", "bob", 7, "tea"),
    )
    assert (found.customers.tolist(), found.items.tolist()) == (["ann", "bob"], ["coffee", "tea"])
    assert list(weights(found)) == [("ann", "tea"), ("bob", "coffee"), ("bob", "tea")]
    assert found.first[2] == np.datetime64(DAY0 + timedelta(days=3))
    assert found.last[2] == np.datetime64(DAY0 + timedelta(days=7))
    assert found.matrix.toarray().shape == (2, 2)


def line(item: str, order: str | None, day: float = 10, **who: str) -> Event:
    return replace(event("Order Completed", None, day, item), message_id=f"{order}-{item}-{who}", order_id=order, **who)


def test_orders_of_nobody_are_baskets_and_no_customers() -> None:
    """ann bought tea; o1 and o2 name nobody, sugar was sold to nobody only."""
    found = build(line("tea", "o0", customer="ann"), line("tea", "o1"), line("sugar", "o1"), line("tea", "o2", day=0))
    assert (found.customers.tolist(), found.items.tolist()) == (["ann"], ["sugar", "tea"])
    assert list(weights(found)) == [("ann", "tea")]
    assert found.baskets is not None
    assert found.baskets.matrix.toarray() == pytest.approx(np.array([[0.5, 0.5], [0, 0.25]]))
    stacked = found.bought_together
    assert stacked.matrix.toarray() == pytest.approx(np.array([[0, 0.5], [0.5, 0.5], [0, 0.25]]))
    assert stacked.customers.tolist() == ["0", "1", "2"]


def test_an_order_that_names_somebody_in_any_row_is_no_basket() -> None:
    """o1 names bob on another line, o2 a device; a row without an order stands alone: none is a basket of nobody."""
    viewed = replace(event("Checkout Started", "bob", 1, None), order_id="o1")
    rows = [line("tea", "o1"), viewed, line("tea", "o2"), line("milk", "o2", anonymous="phone"), line("tea", None)]
    assert build(line("tea", "o0", customer="ann"), *rows).baskets is None


def test_a_basket_after_the_moment_is_not_known() -> None:
    assert build(line("tea", "o0", customer="ann"), line("tea", "o1", day=20)).baskets is None


def test_histories_and_what_is_saved_hold_no_baskets(tmp_path: Path) -> None:
    found = build(line("tea", "o0", customer="ann"), line("milk", "o1"))
    assert found.baskets is not None
    found.save(tmp_path)
    for histories in (Interactions.load(tmp_path), found.rows(["ann"]), found.between(0, 1)):
        assert histories.baskets is None
        assert (histories.customers.tolist(), list(weights(histories))) == (["ann"], [("ann", "tea")])


def test_an_empty_log_gives_no_pairs() -> None:
    found = build()
    assert (len(found), found.matrix.shape) == (0, (0, 0))


def test_weights_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one must be > 0"):
        Interactions.build(Events.of(SCHEMA.empty_table()), MOMENT, InteractionSettings(weights={"Product Viewed": 0}))


def test_an_event_of_any_name_can_weigh() -> None:
    """ann subscribed to tea; nobody ever rated anything."""
    settings = InteractionSettings(weights={"Subscribed": 2.0, "Rated": 1.0}, half_life_days=10.0)
    rows = (event("Subscribed", "ann", 10, "tea"), event("Product Viewed", "ann", 10, "coffee"))
    log = Events.of(pa.Table.from_pylist([row.row() for row in rows], schema=SCHEMA))
    assert weights(Interactions.build(log, MOMENT, settings)) == pytest.approx({("ann", "tea"): 1.0})
    nothing = InteractionSettings(weights={"Rated": 1.0})
    assert len(Interactions.build(log, MOMENT, nothing)) == 0


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    found = build(event("Order Completed", "ann", 10, "tea"))
    found.save(tmp_path)
    again = Interactions.load(tmp_path)
    assert (weights(again), again.as_of) == (weights(found), MOMENT)


ROWS = st.builds(
    event,
    st.sampled_from(["Product Viewed", "Order Completed", "Order Refunded"]),
    st.sampled_from(["ann", "bob", None]),
    st.floats(0, 40, width=16),
    st.sampled_from(["tea", "nut", None]),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(ROWS, max_size=12), st.randoms(use_true_random=False))
def test_the_future_and_the_order_of_rows_change_nothing(rows: list[Event], random) -> None:
    past = [row for row in rows if row.time < MOMENT]
    shuffled = [*rows, event("Order Completed", "ann", 20, "tea")]
    random.shuffle(shuffled)
    expected, found = weights(build(*past)), weights(build(*shuffled))
    assert found == pytest.approx(expected, rel=1e-6)
