"""Imports: each row once, whatever is imported twice, at once, in parts, or stopped by a full disk."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from features import history
from features.catalog import read_catalog
from features.consent import Basis, consented_customers
from features.events import COLUMNS, Event
from features.imported import ImportResult, fingerprint
from features.importing import import_file
from features.imports import DUPLICATE, KNOWN, UNFIT, import_events
from features.ledger import Ledger
from features.quality import described
from features.sources import online_retail
from features.workspace import Workspace, create

NOW = datetime(2026, 3, 1)  # UTC, as the tables keep it
EVER = datetime(2100, 1, 1)  # as above; the verb grants at the real time
BASIS = Basis(("personalisation",), "made up for the test")
CAPPED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from serving.cli import main
main(sys.argv[2:])
"""
AGAIN = """
import sys
from serving.cli import main
try:
    main(["import", "online-retail", sys.argv[1], "-w", sys.argv[2]])
except SystemExit as ended:
    assert not ended.code
sys.exit(str([name for name in ("duckdb", "deltalake", "ibis", "pyarrow") if name in sys.modules]))
"""
FACTS = [name for name in COLUMNS if name != "received_at"]


def lines(path: Path, first: int, last: int) -> Path:
    """Invoice lines first..last-1; every tenth has no customer, every seventh comes back, every 50th has no price."""
    duckdb.sql(f"""
        COPY (SELECT 'I' || i // 3 AS "InvoiceNo", 'S' || i % 40 AS "StockCode", 'Item ' || i % 40 AS "Description",
            CASE WHEN i % 7 = 0 THEN -1 ELSE 2 END AS "Quantity",
            TIMESTAMP '2011-01-03 10:00:00' + to_hours(i) AS "InvoiceDate",
            CASE WHEN i % 50 = 0 THEN 0 ELSE 2.5 END AS "UnitPrice",
            CASE WHEN i % 10 = 0 THEN NULL ELSE 100 + i % 9 END AS "CustomerID"
        FROM range({first}, {last}) AS t(i)) TO '{path}' (FORMAT parquet)
    """)
    return path


def imported(shop: Workspace, path: Path) -> ImportResult:
    mark, source = fingerprint(path), online_retail.SOURCE
    parsed = online_retail.read(path, NOW)
    return import_events(shop, parsed, source=source, path=path, mark=mark, basis=BASIS, time=NOW)


def facts(shop: Workspace) -> pa.Table:
    table = history.read_events(shop).before(NOW)
    return table.select(FACTS).order_by("message_id").to_pyarrow()


def agreed(shop: Workspace) -> list[str]:
    ledger = Ledger.at(shop.ledger)
    try:
        return consented_customers(ledger, purpose="personalisation", as_of=EVER)
    finally:
        ledger.close()


def test_the_same_file_again_changes_nothing(shop: Workspace, tmp_path: Path) -> None:
    path = lines(tmp_path / "log.parquet", 0, 200)
    first, before = imported(shop, path), facts(shop)
    again = imported(shop, path)
    assert (again.again, again.stored) == (True, first.stored)
    assert facts(shop).equals(before)
    assert "imported before; nothing changed" in described(again)


def test_the_same_file_again_is_known_before_an_engine_is_loaded(shop: Workspace, tmp_path: Path) -> None:
    def loaded() -> str:
        command = [sys.executable, "-c", AGAIN, str(lines(tmp_path / "a.parquet", 0, 60)), str(shop.folder)]
        return subprocess.run(command, check=False, capture_output=True, text=True).stderr.splitlines()[-1]

    assert "duckdb" in loaded()
    assert loaded() == "[]"


def test_a_part_and_then_the_whole_equals_the_whole_once(shop: Workspace, tmp_path: Path) -> None:
    whole = lines(tmp_path / "whole.parquet", 0, 300)
    imported(shop, lines(tmp_path / "part.parquet", 0, 180))
    second = imported(shop, whole)
    other = create(tmp_path / "other")
    once = imported(other, whole)
    assert facts(shop).equals(facts(other))
    assert agreed(shop) == agreed(other)
    assert read_catalog(shop).frame.equals(read_catalog(other).frame)
    assert second.noted[KNOWN] + second.stored == once.stored
    assert 0 < second.stored < once.stored


def test_what_was_read_is_stored_repeated_or_rejected(shop: Workspace, tmp_path: Path) -> None:
    duckdb.sql(f"""
        COPY (FROM '{lines(tmp_path / "a.parquet", 0, 100)}' UNION ALL FROM '{lines(tmp_path / "b.parquet", 90, 100)}')
        TO '{tmp_path / "log.parquet"}' (FORMAT parquet)
    """)
    result = imported(shop, tmp_path / "log.parquet")
    assert result.noted[DUPLICATE] == 10
    assert result.rejected == {"price is not positive": 2}
    assert result.read == result.stored + 10 + 2 == 110
    assert result.rejects is not None
    assert duckdb.sql(f"SELECT count(*) FROM '{result.rejects}'").fetchall() == [(2,)]
    assert "InvoiceNo=I0" in described(result)


def test_a_customer_that_no_ledger_takes_is_rejected_alone(shop: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    duckdb.sql(f"""
        COPY (SELECT * REPLACE (CASE "InvoiceNo" WHEN 'I1' THEN repeat('x', 257) WHEN 'I2' THEN 'a' || chr(0)
            ELSE "CustomerID"::VARCHAR END AS "CustomerID")
        FROM '{lines(tmp_path / "plain.parquet", 3, 30)}') TO '{path}' (FORMAT parquet)
    """)
    result = imported(shop, path)
    assert result.rejected[UNFIT] == 6
    assert result.read == result.stored + sum(result.rejected.values())
    assert facts(shop).num_rows == result.stored == 21


def test_an_item_with_a_nul_byte_is_rejected_alone_and_kept(shop: Workspace, tmp_path: Path) -> None:
    path, using = tmp_path / "log.csv", tmp_path / "map.yaml"
    path.write_bytes(b"time,item,price\n2025-07-01,t\0a,3\n2025-07-01,tea,3\n")
    using.write_text("columns: {time: time, item: item, price: price}")
    said = import_file(shop, path, using, consent="", proof="", now=NOW)
    assert "2 rows read, 1 stored" in said
    assert facts(shop)["item"].to_pylist() == ["tea"]
    (kept,) = shop.rejects.glob("*.csv")
    assert b"t\0a" in kept.read_bytes()


def test_an_earlier_files_items_stay_in_the_catalogue(shop: Workspace, tmp_path: Path) -> None:
    imported(shop, lines(tmp_path / "all.parquet", 0, 100))
    imported(shop, lines(tmp_path / "few.parquet", 101, 103))
    assert len(read_catalog(shop).frame) == 40


def test_an_event_that_came_live_is_not_imported_again(shop: Workspace, tmp_path: Path) -> None:
    parsed = online_retail.read(lines(tmp_path / "log.parquet", 1, 10), NOW)
    row = parsed.events.slice(0, 1).to_pylist()[0]
    ledger = Ledger.at(shop.ledger)
    history.record(ledger, [Event(**(row | {"live": True, "received_at": row["time"]}))])
    ledger.close()
    result = imported(shop, tmp_path / "log.parquet")
    assert result.noted[KNOWN] == 1
    assert facts(shop).num_rows == 9


def test_what_a_crash_left_out_is_completed_by_the_next_import(
    shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the rows and before the consent."""
    path = lines(tmp_path / "log.parquet", 0, 100)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("features.imports.grant", dies)
        with pytest.raises(KeyboardInterrupt):
            imported(shop, path)
    assert agreed(shop) == []
    result = imported(shop, path)
    assert (result.again, result.stored) == (False, 0)
    assert facts(shop).num_rows == result.noted[KNOWN] == 98
    assert len(agreed(shop)) == 9


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_imports_at_once_lose_nothing_and_double_nothing(shop: Workspace, tmp_path: Path) -> None:
    """Two processes, files that overlap by half."""
    paths = [lines(tmp_path / "a.parquet", 0, 200), lines(tmp_path / "b.parquet", 100, 300)]
    verb = ("-m", "serving.cli", "import", "online-retail")
    running = [started(*verb, str(path), "-w", str(shop.folder)) for path in paths]
    told = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    other = create(tmp_path / "other")
    imported(other, lines(tmp_path / "whole.parquet", 0, 300))
    assert facts(shop).equals(facts(other))
    assert agreed(shop) == agreed(other)


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)  # the disk of a server is not ours to fill
@pytest.mark.parametrize("limit", [2_000, 120_000])  # the ledger cannot be made; the history cannot be written
def test_a_full_disk_is_one_line_and_loses_nothing(shop: Workspace, tmp_path: Path, limit: int) -> None:
    """The process may not write files above the limit; with room again the same command stores everything."""
    path = lines(tmp_path / "log.parquet", 0, 20_000)
    command = ("import", "online-retail", str(path), "-w", str(shop.folder))
    full = started("-c", CAPPED, str(limit), *command)
    _, told = full.communicate(timeout=120)
    assert full.returncode == 1, told
    assert "could" in told.strip().splitlines()[-1]
    assert "Traceback" not in told
    assert facts(shop).num_rows == 0
    assert imported(shop, path).stored == facts(shop).num_rows == 19_600
