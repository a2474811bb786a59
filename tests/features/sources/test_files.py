"""Anybody's own events: what is proposed, what is read, what is rejected and why, and what bad input says."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import ORDERED, REFUNDED, VIEWED
from features.history import read_events
from features.importing import import_file, propose_map
from features.sources.files import EventMap, propose, read
from features.workspace import Settings, Workspace, create

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS = Settings(name="shop")
COLUMNS = {"customer": "user", "time": "ts", "name": "action", "item": "sku", "quantity": "qty", "price": "price"}
HEAD = "user,ts,action,sku,qty,price\n"
TEA = "ann,2025-07-01 10:00:00,purchase,tea,2,3.50\n"


def csv(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def reasons(path: Path, **changes: object) -> list[str]:
    using = EventMap(columns=COLUMNS, names={"purchase": ORDERED}, **changes)
    return read(path, using, SETTINGS, NOW).rejected["reason"].to_pylist()


def test_columns_and_event_names_are_guessed_from_what_shops_call_them(tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD + TEA + "ann,2025-07-01 09:00:00,view,tea,,\nann,2025-07-01 09:00:00,odd,tea,,\n")
    using = propose(path, SETTINGS)
    assert using.columns == COLUMNS
    assert using.names == {"purchase": ORDERED, "view": VIEWED}


@pytest.mark.parametrize("header", ["coupon", "Gutscheincode", "Code promo", "Cupón"])
def test_the_coupon_of_an_order_is_guessed_and_kept(tmp_path: Path, header: str) -> None:
    path = csv(tmp_path, f"user,ts,sku,price,{header}\nann,2025-07-01,tea,3,A-1\nbob,2025-07-01,tea,3,\n")
    rows = read(path, propose(path, SETTINGS), SETTINGS, NOW).events
    assert rows["properties"].to_pylist() == ['{"coupon":"A-1"}', None]


@pytest.mark.parametrize(
    ("header", "decimal"),
    [
        ("Kundennummer;Artikelnummer;Datum;Menge;Preis", ","),
        ("Kunde;Artikel;Bestelldatum;Anzahl;Stückpreis", ","),
        ("Numéro client;Produit;Date commande;Quantité;Prix unitaire", ","),
        ("Cliente;Artículo;Fecha;Cantidad;Precio unitario", ","),
    ],
)
def test_german_french_and_spanish_headers_are_guessed_and_a_comma_is_a_decimal(
    tmp_path: Path, header: str, decimal: str
) -> None:
    path = csv(
        tmp_path, f"{header}\n17;tea;24.12.2025 10:30;2;12,50\n18;pot;2025-12-24;1;1.234,56\n19;pot;24.12.2025;1;3\n"
    )
    using = propose(path, SETTINGS)
    assert list(using.columns) == ["customer", "time", "item", "quantity", "price"]
    assert using.decimal == decimal
    rows = read(path, using, SETTINGS, NOW).events.to_pylist()
    assert [(row["customer"], row["item"], row["price"]) for row in rows] == [
        ("17", "tea", 12.5),
        ("18", "pot", 1234.56),
        ("19", "pot", 3.0),
    ]
    assert rows[0]["time"] == datetime(2025, 12, 24, 10, 30)


def test_a_comma_between_thousands_is_no_decimal(tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD + TEA.replace("3.50", '"1,234.50"'))
    assert propose(path, SETTINGS).decimal == "."
    assert reasons(path) == ["price is absent"]


def test_a_number_of_a_parquet_file_has_no_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(
        pa.table({"ts": ["2025-07-01"] * 2, "sku": ["tea"] * 2, "qty": [1.5, 2.5], "price": ["3,5", "1.000,5"]}), path
    )
    columns = {"time": "ts", "item": "sku", "quantity": "qty", "price": "price"}
    rows = read(path, EventMap(columns=columns, decimal=","), SETTINGS, NOW).events.to_pylist()
    assert [(row["quantity"], row["price"]) for row in rows] == [(1.5, 3.5), (2.5, 1000.5)]


def test_times_are_kept_in_utc_and_prices_per_unit(tmp_path: Path) -> None:
    """Ten in the morning of a Berlin summer is eight in UTC."""
    using = EventMap(columns=COLUMNS, names={"purchase": ORDERED}, timezone="Europe/Berlin")
    (row,) = read(csv(tmp_path, HEAD + TEA), using, SETTINGS, NOW).events.to_pylist()
    assert row["time"] == datetime(2025, 7, 1, 8)  # the table's times are UTC without a zone
    assert (row["customer"], row["item"], row["quantity"], row["price"]) == ("ann", "tea", 2.0, 3.5)


@pytest.mark.parametrize(
    ("given", "hour"),
    [
        ("2025-07-01T10:00:00Z", 10),
        ("2025-07-01T10:00:00.000+02:00", 8),
        ("2025-07-01 10:00:00-0500", 15),
        ("2025-07-01 10:00:00", 8),
    ],
)
def test_a_zone_in_a_time_counts_and_the_maps_zone_only_without_one(tmp_path: Path, given: str, hour: int) -> None:
    using = EventMap(columns=COLUMNS, names={"purchase": ORDERED}, timezone="Europe/Berlin")
    text = HEAD + TEA.replace("2025-07-01 10:00:00", given)
    (row,) = read(csv(tmp_path, text), using, SETTINGS, NOW).events.to_pylist()
    assert row["time"] == datetime(2025, 7, 1, hour)  # the table's times are UTC without a zone
    assert row["original_time"] == given


def test_a_parquet_time_with_a_zone_is_that_moment(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": ["ann"], "ts": [NOW], "sku": ["tea"], "qty": [2], "price": [3.5]}), path)
    columns = {ours: given for ours, given in COLUMNS.items() if ours != "name"}
    (row,) = read(path, EventMap(columns=columns, timezone="America/Lima"), SETTINGS, NOW).events.to_pylist()
    assert row["time"] == NOW.replace(tzinfo=None)


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    """Also one with a quotation mark, or one that the import's own query might use."""
    odd = ['The "user"', "moment", "event", "units", "what", "reason"]
    columns = dict(zip(["customer", "time", "name", "quantity", "item", "price"], odd, strict=True))
    head = '"The ""user""",moment,event,units,what,reason\n'
    path = csv(tmp_path, head + "ann,2025-07-01,purchase,tea,2,3.5\nann,2025-07-01,purchase,tea,2,\n")
    columns |= {"quantity": "what", "item": "units"}
    assert propose(path, SETTINGS).columns["name"] == "event"
    parsed = read(path, EventMap(columns=columns, names={"purchase": ORDERED}), SETTINGS, NOW)
    (row,) = parsed.events.to_pylist()
    assert (row["customer"], row["name"], row["item"], row["quantity"]) == ("ann", ORDERED, "tea", 2.0)
    assert row["price"] == 3.5
    assert parsed.rejected["reason"].to_pylist() == ["price is absent"]


def test_a_negative_quantity_is_a_return(tmp_path: Path) -> None:
    using = EventMap(columns=COLUMNS, names={"purchase": ORDERED})
    (row,) = read(csv(tmp_path, HEAD + TEA.replace(",2,", ",-2,")), using, SETTINGS, NOW).events.to_pylist()
    assert (row["name"], row["quantity"]) == (REFUNDED, 2.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ann,yesterday,purchase,tea,1,3\n", "time cannot be read"),
        ("ann,,purchase,tea,1,3\n", "time cannot be read"),
        ("ann,2025-07-01,purchase,tea,1,-3\n", "price is negative"),
        ("ann,2025-07-01,purchase,tea,1,\n", "price is absent"),
        ("ann,2025-07-01,purchase,tea,1,nan\n", "price is absent"),
        ("ann,2025-07-01,purchase,,1,3\n", "item is absent"),
        ("ann,2025-07-01,purchase,tea,0,3\n", "quantity is absent or 0"),
        ("ann,2025-07-01,purchase,tea,many,3\n", "quantity is absent or 0"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    assert reasons(csv(tmp_path, HEAD + TEA + line)) == [reason]


def test_another_currency_needs_a_rate(tmp_path: Path) -> None:
    text = "ts,sku,price,currency\n2025-07-01,tea,3,EUR\n2025-07-01,tea,4,USD\n2025-07-01,tea,5,Taler\n"
    using = EventMap(columns={"time": "ts", "item": "sku", "price": "price", "currency": "currency"})
    path = csv(tmp_path, text)
    refused = read(path, using, SETTINGS, NOW)
    assert refused.rejected["reason"].to_pylist() == ["currency has no rate: USD", "currency has no rate: TALER"]
    rated = read(path, using, Settings(name="shop", rates={"USD": 0.5}), NOW)
    assert rated.events["price"].to_pylist() == [3.0, 2.0]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for head in (HEAD, '"user",ts,"the ""action""",sku,qty,price\n'):
        path = csv(tmp_path, b"\xef\xbb\xbf" + (head + TEA).encode())
        assert propose(path, SETTINGS).columns["customer"] == "user"
        columns = COLUMNS | {"name": "action" if head == HEAD else 'the "action"'}
        using = EventMap(columns=columns, names={"purchase": ORDERED})
        assert read(path, using, SETTINGS, NOW).events["customer"].to_pylist() == ["ann"]
    path = csv(tmp_path, b'\xef\xbb\xbf"The ""user""",ts\nann,2025-07-01\n')
    using = EventMap(columns={"customer": 'The "user"', "time": "ts"}, event=VIEWED)
    assert read(path, using, SETTINGS, NOW).events["customer"].to_pylist() == ["ann"]


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    moment = datetime(2025, 7, 1, 10)  # as shops store it
    pq.write_table(pa.table({"user": [7], "ts": [moment], "sku": [11], "qty": [2], "price": [3.5]}), path)
    columns = {ours: given for ours, given in COLUMNS.items() if ours != "name"}
    (row,) = read(path, EventMap(columns=columns), SETTINGS, NOW).events.to_pylist()
    assert (row["customer"], row["item"], row["name"], row["price"]) == ("7", "11", ORDERED, 3.5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", HEAD.encode() + b'ann,"' + b"x" * 2_500_000 + b'",purchase,tea,1,3\n'),
        ("log.csv", HEAD.encode() + "ann,2025-07-01,purchase,Käse,1,3\n".encode("utf-16")),
        ("log.csv", HEAD.encode() + "ann,2025-07-01,purchase,Käse,1,3\n".encode("latin-1")),
        ("log.csv", b""),
        ("log.xlsx", b"PK\x03\x04"),
        ("log.parquet", b"PK\x03\x04"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = csv(tmp_path, content, name)
    with pytest.raises(ValueError, match="log") as error:
        read(path, EventMap(columns=COLUMNS), SETTINGS, NOW)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_missing_column_and_an_unknown_role_are_named(tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD + TEA)
    with pytest.raises(ValueError, match="lacks the columns \\['when'\\]"):
        read(path, EventMap(columns={"time": "when"}), SETTINGS, NOW)
    with pytest.raises(ValueError, match="names \\['colour'\\]"):
        read(path, EventMap(columns={"time": "ts", "colour": "sku"}), SETTINGS, NOW)
    with pytest.raises(ValueError, match="no column for 'time'"):
        read(path, EventMap(columns={"item": "sku"}), SETTINGS, NOW)


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return create(tmp_path / "shop")


def events(shop: Workspace) -> int:
    return int(read_events(shop).before(NOW).count().to_pyarrow().as_py())


def test_the_proposed_map_imports_what_it_showed(shop: Workspace, tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD + TEA + TEA.replace("ann", "bob"))
    said = propose_map(shop, path)
    assert "tea" in said
    assert f"--map {shop.folder / 'map.yaml'}" in said
    import_file(shop, path, shop.folder / "map.yaml", consent="personalisation", proof="the till's form", now=NOW)
    assert events(shop) == 2
    import_file(shop, path, shop.folder / "map.yaml", consent="personalisation", proof="the till's form", now=NOW)
    assert events(shop) == 2


def test_rows_are_shown_as_they_would_be_stored(shop: Workspace, tmp_path: Path) -> None:
    """The shop is in Berlin: ten in the morning of its summer is eight in UTC."""
    late = "".join(f"late,2025-07-02 {hour}:00:00,view,tea,,\n" for hour in range(10, 20))
    path = csv(tmp_path, HEAD + TEA.replace(",2,", ",-2,") + "bob,soon,purchase,tea,1,3\n" + late)
    said = propose_map(shop, path)
    rows = said.split("\n\n")[0].splitlines()
    assert rows[0].split() == ["time", "(UTC)", "event", "customer", "item", "price", "quantity", "currency"]
    assert rows[1].split() == ["2025-07-01", "08:00:00", "Order", "Refunded", "ann", "tea", "3.5", "2.0", "EUR"]
    assert rows[-1].startswith("rejected: time cannot be read (user=bob, ts=soon, ")
    assert len(rows) == 1 + 10  # the header and ten rows of the file


def test_without_a_column_of_times_the_file_is_shown_as_it_is(shop: Workspace, tmp_path: Path) -> None:
    said = propose_map(shop, csv(tmp_path, "user,moment,sku\nann,2025-07-01,tea\n"))
    assert "moment" in said.splitlines()[0]
    assert "no column was found for ['time', 'price']" in said


def test_a_map_that_was_edited_is_not_overwritten(shop: Workspace, tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD + TEA)
    (shop.folder / "map.yaml").write_text("source: mine\n")
    propose_map(shop, path)
    assert (shop.folder / "map.yaml").read_text() == "source: mine\n"


def test_a_line_that_is_too_long_says_how_long_it_may_be(tmp_path: Path) -> None:
    path = csv(tmp_path, 'user,ts\nann,"' + "x" * 2_500_000 + '"\n')
    with pytest.raises(ValueError, match="Maximum line size of 2000000 bytes exceeded"):
        read(path, EventMap(columns=COLUMNS), SETTINGS, NOW)


def test_a_fault_far_down_in_the_file_is_one_line_too(tmp_path: Path) -> None:
    """The engine looks at the first lines when it opens a file, and finds the rest while it reads."""
    path = csv(tmp_path, HEAD + TEA * 60_000 + 'ann,"' + "x" * 2_500_000 + '",purchase,tea,1,3\n')
    with pytest.raises(ValueError, match=r"log.csv: could not be read") as error:
        read(path, EventMap(columns=COLUMNS, names={"purchase": ORDERED}), SETTINGS, NOW)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
