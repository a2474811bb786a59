"""Online Retail: what the source makes of good lines, odd lines and files that are none."""

import json
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pytest

from features import history
from features.consent import Basis
from features.imported import ImportResult
from features.imports import Parsed, import_events
from features.sources import online_retail
from features.table import FeatureTable
from features.workspace import Workspace, create

NOW = datetime(2026, 3, 1)  # UTC, as the tables keep it
BASIS = Basis(("personalisation",), online_retail.PROOF)
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def read(path: Path, *rows: str, start: str = "") -> Parsed:
    path.write_text(start + "\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    return online_retail.read(path, NOW)


def test_london_time_becomes_utc_and_the_original_is_kept(tmp_path: Path) -> None:
    """Summer in London is an hour ahead of UTC, winter is not; the public CSV writes months first."""
    rows = [
        "1,A,Tea,1,2011-07-01 10:00:00,2,17850,UK",
        "2,A,Tea,1,2011-01-07 10:00:00,2,17850,UK",
        "3,A,Tea,1,12/1/2010 8:26,2,17850,UK",
    ]
    events = read(tmp_path / "log.csv", *rows).events.sort_by("order_id").to_pydict()
    assert [moment.isoformat() for moment in events["time"]] == [
        "2011-07-01T09:00:00",
        "2011-01-07T10:00:00",
        "2010-12-01T08:26:00",
    ]
    assert events["original_time"] == ["2011-07-01 10:00:00", "2011-01-07 10:00:00", "2010-12-01 08:26:00"]


def test_a_negative_quantity_is_a_refund_of_a_positive_one(tmp_path: Path) -> None:
    parsed = read(tmp_path / "log.csv", "C1,A,Tea,-3,2011-01-07 10:00:00,2,17850,UK")
    (event,) = parsed.events.to_pylist()
    assert (event["name"], event["quantity"], event["price"]) == ("Order Refunded", 3.0, 2.0)
    assert parsed.noted == {"return: subtracts from revenue": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,A,Tea,1,soon,2,1,UK", "time cannot be read"),
        ("1,A,Tea,0,2011-01-07 10:00:00,2,1,UK", "quantity is absent or 0"),
        ("1,A,Tea,inf,2011-01-07 10:00:00,2,1,UK", "quantity is absent or 0"),
        ("1,A,Tea,1,2011-01-07 10:00:00,,1,UK", "price is absent"),
        ("1,A,Tea,1,2011-01-07 10:00:00,nan,1,UK", "price is absent"),
        ("1,A,Tea,1,2011-01-07 10:00:00,-2,1,UK", "price is not positive"),
        ("1,,Tea,1,2011-01-07 10:00:00,2,1,UK", "item is absent"),
    ],
)
def test_a_line_that_cannot_count_is_rejected_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    parsed = read(tmp_path / "log.csv", row, "2,A,Tea,1,2011-01-07 10:00:00,2,1,UK")
    assert parsed.rejected["reason"].to_pylist() == [reason]
    assert (parsed.read, parsed.events.num_rows) == (2, 1)


@pytest.mark.parametrize("code", ["POST", "m", "BANK CHARGES", "AMAZONFEE", "ADJUST2"])
def test_what_is_no_product_counts_as_money_and_is_no_item(tmp_path: Path, code: str) -> None:
    rows = (f"1,{code},Words,1,2011-01-07 10:00:00,18,17850,UK", "1,A,Tea,1,2011-01-07 10:00:00,2,17850,UK")
    parsed = read(tmp_path / "log.csv", *rows)
    lines = {event["price"]: event for event in parsed.events.to_pylist()}
    assert (lines[18.0]["item"], lines[18.0]["properties"]) == (None, json.dumps({"code": code}, separators=(",", ":")))
    assert (lines[2.0]["item"], lines[2.0]["properties"]) == ("A", None)
    assert parsed.noted == {"postage, fee or correction: counts as money, is no item": 1}
    assert parsed.catalog is not None
    assert parsed.catalog["item"].to_pylist() == ["A"]


def test_the_money_of_postage_stays_with_its_customer_who_bought_one_item(shop: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = ("1,POST,POSTAGE,2,2011-01-07 10:00:00,18,17850,UK", "1,A,Tea,1,2011-01-07 10:00:00,2,17850,UK")
    parsed = read(path, *rows, "C2,POST,POSTAGE,-1,2011-01-08 10:00:00,18,17850,UK")
    import_events(shop, parsed, source=online_retail.SOURCE, path=path, mark="0" * 64, basis=BASIS, time=NOW)
    table = FeatureTable.build(history.read_events(shop), NOW, families=["spend", "affinity"], currency="GBP")
    assert table.to_pandas().loc["17850", ["revenue", "items_bought"]].tolist() == [20.0, 1.0]
    assert history.read_events(shop).past(NOW).items.to_pylist() == ["A"]


def test_a_line_without_a_customer_is_kept_for_its_item(tmp_path: Path) -> None:
    parsed = read(tmp_path / "log.csv", "1,A,Tea,1,2011-01-07 10:00:00,2,,UK", "1,A,Tea,1,2011-01-07 10:00:00,2,9.0,UK")
    assert sorted(parsed.events["customer"].to_pylist(), key=str) == ["9", None]


def test_the_same_line_has_the_same_key_as_csv_and_as_parquet(tmp_path: Path) -> None:
    text = read(tmp_path / "log.csv", "1,A,Tea,1,2011-01-07 10:00:00,2.50,17850,UK", start="\ufeff")
    duckdb.sql(f"""
        COPY (SELECT '1' AS "InvoiceNo", 'A' AS "StockCode", 'Tea' AS "Description", 1 AS "Quantity",
            TIMESTAMP '2011-01-07 10:00:00' AS "InvoiceDate", 2.5::DOUBLE AS "UnitPrice", 17850 AS "CustomerID",
            'UK' AS "Country") TO '{tmp_path / "log.parquet"}' (FORMAT parquet)
    """)
    assert text.events.equals(online_retail.read(tmp_path / "log.parquet", NOW).events)


def test_an_absent_field_does_not_shift_the_key(tmp_path: Path) -> None:
    parsed = read(
        tmp_path / "log.csv", "1,A,,1,2011-01-07 10:00:00,2,17850,UK", ",A,1,1,2011-01-07 10:00:00,2,17850,UK"
    )
    assert pc.count_distinct(parsed.events["message_id"]).as_py() == 2


def test_a_log_with_no_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"log.csv: holds no row"):
        read(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.csv", b"a,b\n1,2\n", r"lacks the columns .* it has \['a', 'b'\]"),
        ("log.csv", HEADER.encode() + b"\n1,A,T\xe9a,1,2011-01-07 10:00:00,2,1,UK\n", "could not be read.*utf-8"),
        ("log.parquet", b"not parquet at all", "could not be read"),
        ("log.xlsx", b"PK", "CSV .* or Parquet is needed"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        online_retail.read(path, NOW)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def stored(shop_folder: Path, path: Path) -> tuple[ImportResult, FeatureTable]:
    shop = create(shop_folder)
    parsed = online_retail.read(path, NOW)
    result = import_events(shop, parsed, source=online_retail.SOURCE, path=path, mark="0" * 64, basis=BASIS, time=NOW)
    return result, FeatureTable.build(history.read_events(shop), NOW, families=["spend"], currency="GBP")


@pytest.mark.data
def test_the_real_log_is_counted_as_its_description_says(tmp_path: Path, data_dir: Path) -> None:
    result, table = stored(tmp_path / "shop", data_dir / "online_retail" / "online_retail_sales.parquet")
    assert result.read == 531_282
    assert result.rejected == {"price is not positive": 1_179}
    assert result.read == result.stored + result.noted["the same row again"] + 1_179
    no_product = {"POST": 1_126, "DOT": 706, "M and m": 322, "C2": 141, "BANK CHARGES": 12, "others": 7}
    assert result.noted["postage, fee or correction: counts as money, is no item"] == sum(no_product.values())
    assert 4_330 < len(table) <= 4_339


@pytest.mark.data
def test_returns_subtract_from_a_customers_revenue(tmp_path: Path, data_dir: Path) -> None:
    """Against a sum by hand over the file's distinct rows."""
    path = data_dir / "online_retail" / "online_retail_full_noids.parquet"
    _, table = stored(tmp_path / "shop", path)
    by_hand = duckdb.sql(f"""
        SELECT "CustomerID"::VARCHAR AS customer, sum("Quantity" * "UnitPrice") AS revenue
        FROM (SELECT DISTINCT * FROM '{path}') WHERE "UnitPrice" > 0 AND trim("Description") <> '' GROUP BY 1
    """).df()
    expected = by_hand.dropna().set_index("customer").revenue
    found = table.to_pandas().revenue
    assert set(found.index) == set(expected.index)
    assert (found - expected).abs().max() < 1e-6
    assert (expected < 0).any()
