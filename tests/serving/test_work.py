"""The worker: closes the days that are over, alone, and ends when it is told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from features.events import Event
from features.history import live_events, read_events, record
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving import work

ATTUNE = str(Path(sys.executable).with_name("attune"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def shop(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A new workspace in Berlin, its ledger on each dialect."""
    if not ledger_url.startswith("sqlite:"):
        monkeypatch.setenv("ATTUNE_LEDGER_URL", ledger_url)
    folder = create(tmp_path / "shop").folder
    (folder / "attune.yaml").write_text("name: shop\ntimezone: Europe/Berlin\n")
    return Workspace.open(folder)


@pytest.fixture
def worker(shop: Workspace) -> Iterator["subprocess.Popen[str]"]:
    """`attune work` for the shop, which has begun."""
    process = subprocess.Popen([ATTUNE, "work", "-w", str(shop.folder)], stdout=subprocess.PIPE, text=True)
    until((shop.state / "work.lock").exists)
    yield process
    process.kill()
    process.communicate(timeout=20)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold within a minute"
        time.sleep(0.05)


def event(number: int, moment: datetime) -> Event:
    return Event("sdk", f"m{number}", "Product Viewed", moment, moment, customer="anna", item="tea")


def waiting(shop: Workspace) -> int:
    with Ledger.at(shop.ledger).read() as connection:
        return connection.execute(select(func.count()).select_from(live_events)).scalar_one()


def test_a_day_ends_at_midnight_of_the_workspaces_zone(shop: Workspace) -> None:
    """In Berlin the day of 1 March 12:00 UTC began on 28 February, 23:00 UTC."""
    began = datetime(2026, 2, 28, 23, tzinfo=UTC)
    record(Ledger.at(shop.ledger), [event(1, began - timedelta(seconds=1)), event(2, began)])
    assert work.once(shop, NOON) == ["1 events of closed days moved into the history"]
    assert waiting(shop) == 1
    assert work.once(shop, NOON) == []
    assert read_events(shop).before(NOON).count().to_pyarrow().as_py() == 2


@pytest.mark.parametrize(
    ("zone", "now", "began"),
    [
        ("UTC", "2026-03-01T12:00", "2026-03-01T00:00"),
        ("Asia/Kathmandu", "2026-03-01T12:00", "2026-02-28T18:15"),
        ("Africa/Cairo", "2026-04-24T12:00", "2026-04-23T22:00"),  # the clock goes from 00:00 to 01:00
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00"),  # 00:30 for the second time
    ],
)
def test_where_the_clock_changes_at_midnight_a_day_has_one_begin(zone: str, now: str, began: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert work.midnight(moment, zone).astimezone(UTC) == datetime.fromisoformat(began).replace(tzinfo=UTC)


def test_a_worker_closes_what_is_over_and_ends_with_sigterm(shop: Workspace, worker: "subprocess.Popen[str]") -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    record(Ledger.at(shop.ledger), [event(1, past), event(2, datetime.now(UTC))])
    until(lambda: waiting(shop) == 1)
    told = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert time.monotonic() - told < 5  # at once; an interpreter with its libraries needs a while to go


def test_a_second_worker_is_refused_and_the_first_may_die_at_once(
    shop: Workspace, worker: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(OSError, match="another `attune work` runs for this workspace"):
        work.once(shop, NOON)
    worker.send_signal(signal.SIGKILL)
    worker.wait(timeout=20)
    assert work.once(shop, NOON) == []


def test_a_store_that_fails_is_said_once_and_tried_again(shop: Workspace) -> None:
    said: list[str] = []
    faults: dict[str, str] = {}
    answers: list[object] = [OSError("no\nserver"), OSError("no\nserver"), None, "3 events"]

    def job(*_: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    for _ in range(4):
        work._try("days", job, shop, NOON, said.append, faults)
    assert said == ["days: no server", "days: works again", "3 events"]


def test_the_verb_makes_one_round_and_says_what_it_did(shop: Workspace) -> None:
    record(Ledger.at(shop.ledger), [event(1, NOON)])
    command = [ATTUNE, "work", "--once", "-w", str(shop.folder)]
    for line in ("1 events of closed days moved into the history\n", "everything is up to date\n"):
        assert subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout == line
