"""History and ledger: each event is read once, whatever closed and whatever stopped in between."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from deltalake import DeltaTable
from sqlalchemy import func, select, update

from features import history
from features.events import SCHEMA, Event
from features.ledger import Ledger
from features.workspace import Workspace, create

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
LATER = NOON + timedelta(days=30)
RECORDER = """
import sys
from datetime import datetime
from features.events import Event
from features.history import record
from features.ledger import Ledger
ledger, noon = Ledger.at(sys.argv[1]), datetime(2026, 3, 1, 12)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    new = record(ledger, [Event("sdk", f"m{number}", "Product Viewed", noon, noon, customer="anna", item="tea")])
    print(f"m{number}", new, flush=True)
"""


def event(number: int, day: int = 0) -> Event:
    moment = NOON + timedelta(days=day)
    return Event("sdk", f"m{number}", "Product Viewed", moment, moment, customer="anna", item="tea")


def messages(shop: Workspace) -> list[str]:
    rows = history.read_events(shop).before(LATER).message_id.to_pyarrow().to_pylist()
    return sorted(rows)


def waiting(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(history.live_events)).scalar_one()


def test_an_empty_workspace_has_no_events(shop: Workspace) -> None:
    events = history.read_events(shop)
    assert messages(shop) == []
    assert events.span() is None
    assert not Ledger(shop.ledger).revision()


def test_the_same_message_is_stored_once(shop: Workspace, ledger: Ledger) -> None:
    assert history.record(ledger, [event(1), event(2), event(1)]) == 2
    assert history.record(ledger, [event(2), event(3)]) == 1
    assert messages(shop) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("customer", ["x" * 257, "a\0b"])
def test_a_customer_that_a_ledger_cannot_keep_is_no_event(customer: str) -> None:
    with pytest.raises(ValueError, match="must be at most 256 and without NUL"):
        Event("sdk", "m1", "Product Viewed", NOON, NOON, customer=customer)


def test_a_message_stays_known_after_its_day_has_closed(shop: Workspace, ledger: Ledger) -> None:
    history.record(ledger, [event(1)])
    history.close_days(shop, LATER)
    assert waiting(ledger) == 0
    assert history.record(ledger, [event(1)]) == 0
    assert messages(shop) == ["m1"]


def test_closing_moves_each_event_once_and_keeps_its_columns(shop: Workspace, ledger: Ledger) -> None:
    history.record(ledger, [event(1, day=0), event(2, day=1), event(3, day=2)])
    before = history.read_events(shop).before(LATER).order_by("message_id").to_pyarrow()
    assert history.close_days(shop, NOON + timedelta(days=1, hours=1)) == 2
    assert waiting(ledger) == 1
    assert history.close_days(shop, NOON + timedelta(days=1, hours=1)) == 0
    after = history.read_events(shop).before(LATER).order_by("message_id").to_pyarrow()
    assert after.cast(SCHEMA).equals(before.cast(SCHEMA))


def test_a_time_with_a_zone_closes_the_same_days(shop: Workspace, ledger: Ledger) -> None:
    history.record(ledger, [event(1, day=0), event(2, day=1)])
    assert history.close_days(shop, (NOON + timedelta(hours=1)).replace(tzinfo=UTC)) == 1


def test_a_crash_between_the_history_and_the_ledger_doubles_nothing(
    shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the Delta commit: the rows are in both, and are read once."""
    history.record(ledger, [event(1), event(2)])

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(history, "delete", dies)
        with pytest.raises(KeyboardInterrupt):
            history.close_days(shop, LATER)
    assert waiting(ledger) == 2
    assert messages(shop) == ["m1", "m2"]
    assert history.close_days(shop, LATER) == 0
    assert (waiting(ledger), messages(shop)) == (0, ["m1", "m2"])


def test_a_day_that_closes_while_events_are_read_is_read_once(
    shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader has looked at one of the two stores; the day closes; then it looks at the other."""
    history.record(ledger, [event(1), event(2)])
    closed: list[int] = []

    def then_closes(look: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def looks(store: Any) -> Any:
            found = look(store)
            if not closed:
                closed.append(0)
                closed.append(history.close_days(shop, LATER))
            return found

        return looks

    for name in ("newest_version", "_waiting"):
        monkeypatch.setattr(history, name, then_closes(getattr(history, name)))
    assert messages(shop) == ["m1", "m2"]
    assert closed == [0, 2]


def test_a_day_of_many_parts_moves_each_event_once(
    shop: Workspace, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten events in parts of three, deleted two at a time; one more is recorded between two parts."""
    monkeypatch.setattr(history, "PART", 3)
    monkeypatch.setattr(history, "SLICE", 2)
    parts = []

    def write(*given: Any) -> None:
        parts.append(given[1].num_rows)
        if len(parts) == 2:
            history.record(ledger, [event(99, day=1)])
        wrote(*given)

    wrote = history._write
    monkeypatch.setattr(history, "_write", write)
    history.record(ledger, [event(number) for number in range(10)])
    assert len(messages(shop)) == 10
    assert history.close_days(shop, NOON + timedelta(hours=1)) == 10
    assert parts == [3, 3, 3, 1]
    assert waiting(ledger) == 1
    assert messages(shop) == sorted([f"m{number}" for number in range(10)] + ["m99"])


def test_an_event_of_the_closed_day_that_was_numbered_late_moves_too(shop: Workspace, ledger: Ledger) -> None:
    """Two writers at midnight: the one who received first was numbered last."""
    history.record(ledger, [event(1), event(2, day=1), event(3)])
    history.close_days(shop, NOON + timedelta(hours=1))
    history.record(ledger, [event(4)])
    assert history.close_days(shop, NOON + timedelta(hours=1)) == 1
    assert (waiting(ledger), messages(shop)) == (0, ["m1", "m2", "m3", "m4"])


def test_days_close_while_another_process_writes_and_each_event_is_read_once(shop: Workspace, ledger: Ledger) -> None:
    process = recorder(ledger, 300)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    moved = []
    while process.poll() is None:
        moved.append(history.close_days(shop, LATER))
        found = messages(shop)
        assert len(found) == len(set(found))
    process.communicate(timeout=60)
    assert sum(moved) + history.close_days(shop, LATER) == 300
    assert (waiting(ledger), len(messages(shop))) == (0, 300)


def test_a_body_of_another_attune_is_read(shop: Workspace, ledger: Ledger) -> None:
    """A column that it lacks is null, one that this Attune does not know is left out."""
    history.record(ledger, [event(1)])
    with ledger.write() as connection:
        body = connection.execute(select(history.live_events.c.body)).scalar_one()
        other = body.replace('"campaign":null', '"new":1')
        assert other != body
        connection.execute(update(history.live_events).values(body=other))
    assert messages(shop) == ["m1"]


def test_the_watermark_is_in_the_transaction_of_the_rows(shop: Workspace, ledger: Ledger) -> None:
    history.record(ledger, [event(1), event(2)])
    history.close_days(shop, LATER)
    assert DeltaTable(shop.history).version() == 0
    assert DeltaTable(shop.history).transaction_version(history.watermark_name(ledger)) == 2


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)  # a file can be lost; a server's tables go with its backup
def test_a_new_ledger_under_an_old_history_loses_no_event(shop: Workspace, ledger: Ledger) -> None:
    history.record(ledger, [event(1), event(2)])
    history.close_days(shop, LATER)
    ledger.close()
    for path in shop.ledger_file.parent.glob(shop.ledger_file.name + "*"):
        path.unlink()
    history.record(Ledger.at(shop.ledger), [event(3)])
    assert messages(shop) == ["m1", "m2", "m3"]
    assert history.close_days(shop, LATER) == 1
    assert (waiting(Ledger.at(shop.ledger)), messages(shop)) == (0, ["m1", "m2", "m3"])


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)  # the limit is SQLite's
def test_more_messages_than_one_statement_takes(shop: Workspace, ledger: Ledger) -> None:
    many = [event(number) for number in range(33_000)]
    assert history.record(ledger, many) == 33_000
    assert history.record(ledger, many) == 0


def recorder(ledger: Ledger, count: int) -> "subprocess.Popen[str]":
    """A process that is about to record this many messages."""
    address = ledger.engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, address, str(count)], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_record_the_same_messages_store_each_once(shop: Workspace, ledger: Ledger) -> None:
    processes = [recorder(ledger, 100) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    new = [int(line.split()[1]) for out, _ in told for line in out.splitlines()]
    assert (len(new), sum(new)) == (200, 100)
    assert messages(shop) == sorted(f"m{number}" for number in range(100))


def test_kill_9_of_a_recorder_loses_nothing_that_it_acknowledged(shop: Workspace, ledger: Ledger) -> None:
    process = recorder(ledger, 1_000_000)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    first = [process.stdout.readline().split()[0] for _ in range(50)]
    process.kill()
    rest = process.communicate(timeout=60)[0]
    complete = [line.split()[0] for line in rest[: rest.rfind("\n") + 1].splitlines()]
    assert set(first + complete) <= set(messages(shop))
    assert history.record(ledger, [event(number) for number in range(50)]) == 0
    assert len(messages(shop)) == len(set(messages(shop)))


def closed(shop: Workspace, ledger: Ledger) -> Path:
    """One event in the history; the file that holds it."""
    history.record(ledger, [event(1)])
    history.close_days(shop, LATER)
    (path,) = shop.history.glob("*.parquet")
    return path


def test_a_folder_whose_name_has_a_space_is_read(tmp_path: Path) -> None:
    shop = create(tmp_path / "my shop, 100 %")
    ledger = Ledger.at(shop.ledger)
    closed(shop, ledger)
    ledger.close()
    assert messages(shop) == ["m1"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:100])])
def test_a_file_that_is_gone_or_cut_is_named(shop: Workspace, ledger: Ledger, damage: Callable[[Path], object]) -> None:
    path = closed(shop, ledger)
    damage(path)
    with pytest.raises(OSError, match=rf"{path.name}: has \d+ bytes, the history's log says [\d,]+; `attune restore`"):
        messages(shop)


def test_a_log_that_cannot_be_read_is_named(shop: Workspace, ledger: Ledger) -> None:
    closed(shop, ledger)
    for path in (shop.history / "_delta_log").glob("*.json"):
        path.write_bytes(b"{{{")
    with pytest.raises(OSError, match="history: the history could not be read"):
        messages(shop)
