"""Live items: over the files, field by field; each change is an event; the newest number says whether any was made."""

import json
from datetime import datetime

import pytest

from features.catalog import read_catalog
from features.events import ITEM_CHANGED
from features.history import read_events
from features.items import item_of, live_items, newest, upsert
from features.keys import SOURCE
from features.ledger import Ledger
from features.workspace import Workspace

NOW = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
FILE = "item,name,category,price,stock\ntea,Tea,drinks,4.0,\njam,Jam,food,2.5,3\n"


def given(ledger: Ledger, *items: dict[str, object]) -> int:
    return upsert(ledger, [item_of(one, "item") for one in items], time=NOW)


def changes(shop: Workspace) -> list[dict[str, object]]:
    rows = read_events(shop).before(datetime(2100, 1, 1)).to_pyarrow().to_pylist()
    return [row | {"properties": json.loads(row["properties"])} for row in rows if row["name"] == ITEM_CHANGED]


def test_what_was_said_live_stands_over_the_file_field_by_field(shop: Workspace, ledger: Ledger) -> None:
    (shop.folder / "catalog.csv").write_text(FILE)
    given(ledger, {"item": "tea", "stock": 0}, {"item": "jam", "stock": None}, {"item": "bun", "name": "Bun"})
    catalog = read_catalog(shop)
    assert catalog.out_of_stock.tolist() == ["tea"]
    assert catalog.attribute("price") == {"tea": 4.0, "jam": 2.5, "bun": None}
    assert catalog.attribute("stock") == {"tea": 0.0, "jam": None, "bun": None}
    assert [catalog.name(item) for item in ("tea", "jam", "bun")] == ["Tea", "Jam", "Bun"]


def test_each_change_is_an_event_that_says_from_what_to_what(shop: Workspace, ledger: Ledger) -> None:
    assert given(ledger, {"item": "tea", "price": 4.0, "colour": "green"}) == 1
    assert given(ledger, {"item": "tea", "price": 3.5}) == 1
    first, second = changes(shop)
    assert (first["item"], first["customer"], first["time"]) == ("tea", None, NOW)
    assert first["properties"] == {
        "before": {"price": None, "colour": None},
        "after": {"price": 4.0, "colour": "green"},
    }
    assert second["properties"] == {"before": {"price": 4.0}, "after": {"price": 3.5}}
    assert second["price"] == 3.5
    assert not SOURCE.fullmatch(str(first["source"]))  # whoever sends cannot take the event's place before it


def test_the_same_again_changes_nothing(shop: Workspace, ledger: Ledger) -> None:
    given(ledger, {"item": "tea", "price": 4.0})
    before = newest(ledger)
    assert given(ledger, {"item": "tea", "price": 4.0}) == 0
    assert newest(ledger) == before
    assert len(changes(shop)) == 1


def test_only_what_changed_after_a_number_is_read_again(ledger: Ledger) -> None:
    assert newest(ledger) == 0
    given(ledger, {"item": "tea"}, {"item": "jam"})
    before = newest(ledger)
    given(ledger, {"item": "jam", "stock": 1})
    assert live_items(ledger, before) == {"jam": {"stock": 1.0}}
    assert set(live_items(ledger)) == {"tea", "jam"}


def test_a_change_of_an_item_is_not_something_that_somebody_did(shop: Workspace, ledger: Ledger) -> None:
    """Else a shop that sets a price would move the end of the training period."""
    given(ledger, {"item": "tea"})
    assert read_events(shop).span() is None


def test_reading_the_catalogue_makes_no_ledger(shop: Workspace) -> None:
    (shop.folder / "catalog.csv").write_text(FILE)
    assert len(read_catalog(shop).frame) == 2
    assert not shop.ledger_file.exists()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"price": 1}, "item: Field required"),
        ({"item": ""}, "item == '': String should have at least 1 character"),
        ({"item": 7}, "item == 7: Input should be a valid string"),
        ({"item": "tea", "price": "4"}, "price == '4': Input should be a valid number"),
        ({"item": "tea", "price": -1.0}, "price == -1.0: Input should be greater than or equal to 0"),
        ({"item": "tea", "stock": float("nan")}, "stock == nan: Input should be a finite number"),
        ({"item": "tea", "image": "javascript:alert(1)"}, "image == .*: must be an address that begins with http"),
        ({"item": "te\0a"}, "item == .*: must not hold NUL or halves of a sign"),
        ({"item": "tea", "colour": {"a": 1}}, "colour"),
        ({"item": "tea"} | {f"f{n}": 1 for n in range(200)}, "has 201 fields; at most 100"),
        ({"item": "tea", "x" * 65: 1}, "named in 1 to 64 characters"),
    ],
)
def test_what_is_no_item_is_refused_in_one_line(raw: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said) as told:
        item_of(raw, "item")
    assert "\n" not in str(told.value)
