"""Interactions over hand-drawn logs. The moment is day 20; an order weighs 1, a view 0.1; the half-life is 10 days."""

from __future__ import annotations

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

DAY0 = datetime(2024, 1, 1)  # noqa: DTZ001  # tables keep UTC without a zone
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


def test_an_empty_log_gives_no_pairs() -> None:
    found = build()
    assert (len(found), found.matrix.shape) == (0, (0, 0))


def test_weights_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one must be > 0"):
        Interactions.build(Events.of(SCHEMA.empty_table()), MOMENT, InteractionSettings(weights={"Product Viewed": 0}))


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
def test_the_future_and_the_order_of_rows_change_nothing(rows: list[Event], random) -> None:  # type: ignore[no-untyped-def]
    past = [row for row in rows if row.time < MOMENT]
    shuffled = [*rows, event("Order Completed", "ann", 20, "tea")]
    random.shuffle(shuffled)
    expected, found = weights(build(*past)), weights(build(*shuffled))
    assert found == pytest.approx(expected, rel=1e-6)
