"""Complete Journey: two households of which one is known, three lines of which one is rejected."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.events import IDENTIFIED, ORDERED
from features.sources.complete_journey import mark, read

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FILES = {
    "transactions": "household_id,basket_id,product_id,quantity,sales_value,transaction_timestamp\n"
    "1,b1,tea,2,5.00,2017-07-01 08:00:00\n2,b2,tea,1,2.50,2017-07-02 08:00:00\n2,b2,tea,0,0,2017-07-02 08:00:00\n",
    "products": "product_id,department,brand,product_category,product_type\ntea,GROCERY,Own,HOT DRINKS,GREEN TEA\n",
    "demographics": "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count\n"
    "1,65+,35-49K,Homeowner,Married,2,2 Adults No Kids,0\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def test_lines_are_orders_at_what_was_paid_per_unit(folder: Path) -> None:
    parsed = read(folder, NOW)
    orders = [row for row in parsed.events.to_pylist() if row["name"] == ORDERED]
    assert [(row["customer"], row["quantity"], row["price"]) for row in orders] == [("1", 2.0, 2.5), ("2", 1.0, 2.5)]
    assert orders[0]["time"] == datetime(2017, 7, 1, 12)  # eight in New York's summer, in UTC
    assert parsed.rejected["reason"].to_pylist() == ["quantity is absent or 0"]


def test_traits_are_known_before_anything_was_bought(folder: Path) -> None:
    rows = read(folder, NOW).events.to_pylist()
    (known,) = [row for row in rows if row["name"] == IDENTIFIED]
    assert known["customer"] == "1"
    assert '"age":"65+"' in known["properties"]
    assert known["time"] <= min(row["time"] for row in rows)


def test_products_are_the_catalogue(folder: Path) -> None:
    catalog = read(folder, NOW).catalog
    assert catalog is not None
    (tea,) = catalog.to_pylist()
    assert (tea["item"], tea["name"], tea["category"], tea["brand"]) == ("tea", "GREEN TEA", "GROCERY", "Own")


def test_a_changed_file_has_another_fingerprint(folder: Path) -> None:
    before = mark(folder, "analytics")
    (folder / "products.csv").write_text(FILES["products"].replace("GREEN", "BLACK"))
    assert mark(folder, "analytics") != before


def test_a_missing_table_and_a_missing_column_are_named(folder: Path) -> None:
    (folder / "products.csv").write_text("product_id\ntea\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        read(folder, NOW)
    (folder / "demographics.csv").unlink()
    with pytest.raises(ValueError, match="no demographics here"):
        mark(folder, "analytics")


@pytest.mark.data
def test_every_line_of_the_sample_is_read_or_rejected(data_dir: Path) -> None:
    parsed = read(data_dir / "completejourney", NOW)
    names = parsed.events["name"].to_pylist()
    assert names.count(ORDERED) + parsed.rejected.num_rows == 75_000
    assert names.count(IDENTIFIED) == 801
