"""Compaction: each event is still read once, by who reads meanwhile too, and whatever stops in between.

Anna and bert do one thing each a day; every day is a file.
"""

import random
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta

import pytest

from features import history
from features.compaction import MANY, compact
from features.engine import connect
from features.erasure import erase_files, erase_rows, forget
from features.events import Event
from features.ledger import Ledger
from features.person import person_of
from features.states.brought import brought_since
from features.workspace import Workspace

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
LATER = NOON + timedelta(days=400)
NOW = timedelta(0)
COMPACTS = """
import sys
from datetime import timedelta
from pathlib import Path
from features.compaction import compact
from features.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
print("ready", flush=True)
compact(workspace, many=2, read=timedelta(0))
"""


def days(shop: Workspace, ledger: Ledger, numbers: range) -> None:
    for day in numbers:
        time = NOON + timedelta(days=day)
        people = ("anna", "bert")
        history.record(ledger, [Event("sdk", f"{one}{day:03}", "View", time, time, customer=one) for one in people])
        history.close_days(shop, time + timedelta(hours=12))


def messages(shop: Workspace) -> list[str]:
    return sorted(history.read_events(shop).before(LATER).message_id.to_pyarrow().to_pylist())


def expected(count: int) -> list[str]:
    return sorted(f"{one}{day:03}" for one in ("anna", "bert") for day in range(count))


def listed(shop: Workspace) -> list[str]:
    return [str(path) for path in history.files(shop, history.newest_version(shop))]


def test_a_months_files_become_one_and_each_event_is_read_once(shop: Workspace, ledger: Ledger) -> None:
    days(shop, ledger, range(MANY - 1))
    assert compact(shop) == 0
    days(shop, ledger, range(MANY - 1, MANY))
    before = history.read_known(shop)
    assert compact(shop) == MANY
    assert len(listed(shop)) == 1
    after = history.read_known(shop)
    assert messages(shop) == expected(MANY)
    assert after.sequence == before.sequence
    assert not history._has_devices(history.newest_version(shop))  # the log still counts what is null
    days(shop, ledger, range(MANY, MANY + 2))  # the watermark is still there
    assert messages(shop) == expected(MANY + 2)
    assert compact(shop) == 0


def test_who_reads_an_older_version_can_and_what_nobody_reads_goes(shop: Workspace, ledger: Ledger) -> None:
    days(shop, ledger, range(4))
    reader, paths = history.read_events(shop).before(LATER), listed(shop)
    assert compact(shop, many=2) == 4
    assert reader.count().to_pyarrow().as_py() == 8
    (shop.history / "part-of-a-crash.parquet").write_bytes(b"half")
    compact(shop, many=2, read=NOW)
    assert sorted(str(path) for path in shop.history.glob("*.parquet")) == listed(shop)
    assert not set(paths) & set(listed(shop))
    assert messages(shop) == expected(4)


def test_nothing_of_an_erased_person_stays_in_what_was_joined(shop: Workspace, ledger: Ledger) -> None:
    days(shop, ledger, range(4))
    compact(shop, many=2)
    person = person_of(shop, "anna")
    forget(shop, person, LATER)
    with history.locked(shop):
        said = [*erase_files(shop, person), *erase_rows(ledger, person)]
    assert "history: 4 rows" in said
    held = [str(path) for path in shop.history.rglob("*.parquet") if "_delta_log" not in path.parts]
    assert held == listed(shop)
    assert connect().read_parquet(held).customer.to_pyarrow().to_pylist() == ["bert"] * 4


def test_what_a_file_brought_can_no_longer_be_told_where_it_was_joined_and_removed(
    shop: Workspace, ledger: Ledger
) -> None:
    days(shop, ledger, range(2))
    rows = connect().read_parquet(listed(shop)).to_pyarrow()
    version = history.newest_version(shop).version()
    with history.locked(shop):
        history.append(shop, rows)  # as an import does
    assert sorted(brought_since(shop, version).customers) == ["anna", "bert"]
    compact(shop, many=2)
    assert sorted(brought_since(shop, version).customers) == ["anna", "bert"]  # what was joined is no import
    compact(shop, many=2, read=NOW)
    assert brought_since(shop, version) is None


@pytest.mark.slow
def test_a_compaction_that_is_killed_loses_and_doubles_nothing(shop: Workspace, ledger: Ledger) -> None:
    chance = random.Random(0)  # noqa: S311  # moments, not secrets
    for round_ in range(6):
        days(shop, ledger, range(round_ * 5, round_ * 5 + 5))
        process = subprocess.Popen(
            [sys.executable, "-c", COMPACTS, str(shop.folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(chance.uniform(0, 0.15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        assert messages(shop) == expected(round_ * 5 + 5)
    compact(shop, many=2, read=NOW)
    assert messages(shop) == expected(30)
    assert len(listed(shop)) == 1


def test_days_that_close_meanwhile_are_kept(shop: Workspace, ledger: Ledger) -> None:
    ended, faults = threading.Event(), []

    def again_and_again() -> None:
        while not ended.is_set():
            try:
                compact(shop, many=2)
            except OSError as error:
                faults.append(error)

    thread = threading.Thread(target=again_and_again)
    thread.start()
    try:
        days(shop, ledger, range(15))
    finally:
        ended.set()
        thread.join()
    assert faults == []
    assert messages(shop) == expected(15)
