"""What is popular without a model: of a release, a history, a catalogue; `tea` is bought most, `cup` by nobody."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.catalog import Catalog
from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.interactions import Interactions
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.decisions.popular import Counted, Popular, of_history, of_release
from training.recommenders.base import ItemFilter

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = ItemFilter()
CATALOG = Catalog.of(pd.DataFrame({"item": ["cup", "milk", "tea", "bag"]}))


def log(*bought: tuple[str, str]) -> pa.Table:
    rows = []
    for number, (customer, item) in enumerate(bought):
        time = datetime(2026, 1, 1) + timedelta(days=number)  # UTC without a zone
        facts = {"source": "t", "message_id": str(number), "name": ORDERED, "time": time, "received_at": time}
        rows.append(Event(**facts, live=False, customer=customer, item=item, quantity=1.0, order_id=str(number)).row())
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    """anna and bob agreed and bought tea twice and milk once; carl did not, and bought milk four times."""
    workspace = create(tmp_path / "shop")
    append(workspace, log(("anna", "tea"), ("bob", "tea"), ("bob", "milk"), *[("carl", "milk")] * 4))
    grant(
        Ledger.at(workspace.ledger),
        ["anna", "bob"],
        Basis(("personalisation",), "a box"),
        source="t",
        time=datetime(2026, 1, 1),
    )
    return workspace


def ranked(popular: Popular, k: int = 9, items: ItemFilter = ALL) -> dict[str, str]:
    rankings, reasons = popular.ranked(CATALOG, k, items, NOW)
    return dict(zip(rankings.items[0].tolist(), [one.kind for one in reasons], strict=True))


def test_orders_of_those_who_agreed_are_counted_then_comes_the_catalogue_in_its_order(shop: Workspace) -> None:
    found = ranked(of_history(shop))
    assert list(found.items()) == [("tea", "popular"), ("milk", "popular"), ("cup", "listed"), ("bag", "listed")]


def test_a_release_says_what_its_customers_buy() -> None:
    ones, never = np.ones(3, np.float32), np.full(3, "NaT", "M8[us]")
    pairs = (np.array([0, 1, 1], np.int32), np.array([1, 0, 1], np.int32), ones, ones, never, never)
    known = Interactions(np.array(["anna", "bob"]), np.array(["milk", "tea"]), *pairs)
    assert list(ranked(of_release(known))) == ["tea", "milk", "cup", "bag"]


def test_without_either_the_catalogue_answers_and_without_that_nobody() -> None:
    assert list(ranked(Popular())) == ["cup", "milk", "tea", "bag"]
    empty = Catalog.of(pd.DataFrame({"item": []}))
    assert not Popular().knows(empty, NOW)
    assert len(Popular().ranked(empty, 3, ALL, NOW)[0].items[0]) == 0


def test_filters_hold(shop: Workspace) -> None:
    only = ItemFilter(allowed=np.array(["bag", "tea", "cup"]), excluded=np.array(["tea"]))
    assert list(ranked(of_history(shop), 1, only)) == ["cup"]


def test_what_cannot_be_counted_is_told_in_the_log_and_the_catalogue_answers(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: datetime) -> None:
        raise OSError("the disk\nis gone")

    assert list(ranked(Popular(fail))) == ["cup", "milk", "tea", "bag"]
    assert "what is bought could not be counted: the disk is gone" in caplog.text


def test_it_is_counted_once_however_many_ask_at_the_same_time() -> None:
    asked: list[datetime] = []

    def count(now: datetime) -> Counted:
        asked.append(now)
        sleep(0.1)  # the others come meanwhile
        return Counted(np.array(["tea"]), np.ones(1, np.float32))

    popular = Popular(count)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: list(ranked(popular)), range(8)))
    assert found == [["tea", "cup", "milk", "bag"]] * 8
    assert len(asked) == 1


def test_what_changes_in_the_catalogue_keeps_the_order_and_a_new_item_comes_last() -> None:
    popular = Popular(lambda _: Counted(np.array(["milk", "nobody's", "tea"]), np.array([1, 0.1, 0.5], np.float32)))
    assert list(ranked(popular)) == ["milk", "tea", "nobody's", "cup", "bag"]
    sold_out, longer = (CATALOG.updated({item: {"stock": 0.0}}) for item in ("cup", "a new item of a long name"))
    order = popular._order(CATALOG, NOW)
    assert popular._order(sold_out, NOW) is order
    (found,) = popular.ranked(longer, 9, ALL, NOW)[0].items
    assert found.tolist() == ["milk", "tea", "nobody's", "cup", "bag", "a new item of a long name"]
    assert popular._order(CATALOG, NOW) is order  # for requests that began before
