"""Lines of a hand-drawn log: ann bought tea and coffee in one order, then tea; bob bought tea; carl only looked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.events import SCHEMA, Event, Events
from features.interactions import Interactions
from features.lines import Lines
from features.workspace import InteractionSettings
from training.recommenders.topk import aligned

DAY0 = datetime(2024, 1, 1)  # tables keep UTC without a zone
MOMENT = DAY0 + timedelta(days=20)


def event(name: str, customer: str, day: float, item: str, order: str | None = None) -> Event:
    time = DAY0 + timedelta(days=day)
    return Event(
        "test", f"{name}-{customer}-{day}-{item}", name, time, time, customer=customer, item=item, order_id=order
    )


LOG = [
    event("Order Completed", "ann", 9, "tea", "z"),
    event("Order Completed", "ann", 9.1, "coffee", "z"),
    event("Order Completed", "ann", 12, "tea", "a"),
    event("Order Completed", "bob", 5, "tea"),
    event("Product Viewed", "carl", 5, "tea"),
    event("Order Completed", "ann", 30, "coffee", "later"),
]


def built(rows: list[Event]) -> Interactions:
    events = Events.of(pa.Table.from_pylist([row.row() for row in rows], schema=SCHEMA))
    found = Interactions.build(events, MOMENT, InteractionSettings())
    return replace(found, lines=Lines.build(events, MOMENT, found))


def told(found: Interactions) -> list[tuple[str, str, int]]:
    lines = found.lines
    assert lines is not None
    parts = (found.customers[lines.customer].tolist(), found.items[lines.item].tolist(), lines.basket.tolist())
    return list(zip(*parts, strict=True))


ANN = [("ann", "coffee", 0), ("ann", "tea", 0), ("ann", "tea", 1)]


def test_pairs_alone_tell_each_item_once_with_the_others_of_its_last_time() -> None:
    found = built([*LOG, event("Order Completed", "ann", 12, "cup", "a")])
    pairs = replace(found, lines=Lines.of_pairs(found))
    assert told(pairs) == [("ann", "coffee", 0), ("ann", "cup", 1), ("ann", "tea", 1), ("bob", "tea", 0)]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_rows_of_one_order_are_one_basket_and_baskets_come_by_time_however_the_log_lies(order: slice) -> None:
    assert told(built(LOG[order])) == [*ANN, ("bob", "tea", 0)]


def test_rows_without_an_order_are_one_basket_per_moment() -> None:
    rows = [event("Order Completed", "ann", day, item) for day, item in [(3, "tea"), (1, "tea"), (1, "coffee")]]
    assert told(built(rows)) == ANN


def test_rows_take_their_lines_along_and_unknown_customers_have_none() -> None:
    found = built(LOG).rows(["bob", "nobody", "ann"])
    assert told(found) == [("bob", "tea", 0), *ANN]
    assert [len(history.lines or ()) for history in found.each()] == [1, 0, 3]
    assert told(found.between(2, 3)) == ANN


def test_lines_of_items_that_a_model_does_not_know_are_left_out() -> None:
    known = np.array(["scones", "tea"])
    assert told(aligned(built(LOG), known)) == [("ann", "tea", 0), ("ann", "tea", 1), ("bob", "tea", 0)]


def test_what_is_saved_is_loaded_with_and_without_lines(tmp_path: Path) -> None:
    found = built(LOG)
    found.save(tmp_path)
    loaded = Interactions.load(tmp_path)
    assert told(loaded) == told(found)
    assert loaded.lines is not None
    assert loaded.lines.time.tolist() == found.lines.time.tolist()
    replace(found, lines=None).save(tmp_path)
    assert Interactions.load(tmp_path).lines is None
