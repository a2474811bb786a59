"""The catalogue: what of a file is refused, in one line that names the file, and what is taken as not known."""

from pathlib import Path

import pytest

from features.catalog import read_catalog
from features.workspace import Workspace, create


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return create(tmp_path / "shop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item,name\ntea,Tea\ntea,Tee\n", r"catalogue names 1 items twice, e.g. \['tea'\]; each item once"),
        ("item,name\n,Tea\ntea,Tea\n", "catalogue has 1 rows without an item; each row is one item"),
        ("item,stock\ntea,yes\n", "stock == 'yes' of item 'tea', must be a number or empty"),
        ("name,price\nTea,1\n", r"catalogue has the columns \['name', 'price'\]; it needs 'item'"),
    ],
)
def test_what_is_no_catalogue_is_refused_in_one_line_that_names_the_file(shop: Workspace, text: str, said: str) -> None:
    path = shop.folder / "catalog.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: {said}$"):
        read_catalog(shop)


def test_a_price_or_a_stock_that_is_not_known_says_nothing(shop: Workspace) -> None:
    (shop.folder / "catalog.csv").write_text("item,price,stock\ntea,NaN,\njam,,0\nnut,abc,NaN\n")
    assert read_catalog(shop).out_of_stock.tolist() == ["jam"]


def test_a_price_that_is_no_number_is_not_known_and_the_others_stay_numbers(shop: Workspace) -> None:
    (shop.folder / "catalog.csv").write_text("item,price\ntea,4.0\nnut,abc\n")
    assert read_catalog(shop).attribute("price") == {"tea": 4.0, "nut": None}


def test_an_item_may_be_called_what_pandas_takes_for_nothing(shop: Workspace) -> None:
    (shop.folder / "catalog.csv").write_text("item,price\nNA,2\nnull,\n")
    assert read_catalog(shop).frame.index.tolist() == ["NA", "null"]
