"""The intake: one writer for many requests, each told of its own events; what waits is bounded."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event as signals
from sqlalchemy import select

from features import rejects
from features.events import Event
from features.history import live_events
from features.ledger import Ledger
from features.rejects import Reject
from serving import intake as module
from serving.intake import FullError, Intake, Parcel

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.at(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def intake(ledger: Ledger) -> Iterator[Intake]:
    made = Intake(ledger)
    yield made
    made.close()


def rows(message: str, lines: int = 1) -> list[dict[str, Any]]:
    return [Event("web", message, "Signed Up", NOON, NOON, line=line, customer="anna").row() for line in range(lines)]


def reject(number: int) -> Reject:
    return Reject(NOON, "web", "anna", "no name", f"body {number}")


def messages(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        bodies = connection.execute(select(live_events.c.body).order_by(live_events.c.sequence)).scalars()
        return [orjson.loads(body)["message_id"] for body in bodies]


def test_requests_at_once_share_transactions_and_each_is_told_of_its_own_events(intake: Intake, ledger: Ledger) -> None:
    """Every second request repeats the event of the one before it."""
    commits: list[object] = []
    signals.listen(ledger.engine, "commit", commits.append)

    async def all_at_once() -> list[int]:
        parcels = [Parcel([rows(f"m{number // 2}"), rows(f"own{number}", lines=2)]) for number in range(100)]
        return await asyncio.gather(*(intake.add(parcel) for parcel in parcels))

    assert asyncio.run(all_at_once()) == [2, 1] * 50
    assert len(commits) < 50
    assert len(messages(ledger)) == 50 + 100 * 2


def test_an_event_that_is_twice_in_a_request_is_one(intake: Intake, ledger: Ledger) -> None:
    assert asyncio.run(intake.add(Parcel([rows("m1"), rows("m1"), rows("m2")]))) == 2
    assert asyncio.run(intake.add(Parcel([rows("m1")]))) == 0
    assert messages(ledger) == ["m1", "m2"]


def test_a_request_of_rejects_only_files_them(intake: Intake, ledger: Ledger) -> None:
    assert asyncio.run(intake.add(Parcel([], [reject(1)]))) == 0
    with ledger.read() as connection:
        assert connection.execute(select(rejects.rejects.c.reason)).scalars().all() == ["no name"]


def test_the_newest_rejects_are_kept(intake: Intake, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "KEPT", 5)
    for start in (0, 4, 8):
        asyncio.run(intake.add(Parcel([], [reject(number) for number in range(start, start + 4)])))
    with ledger.read() as connection:
        query = select(rejects.rejects.c.body).order_by(rejects.rejects.c.id)
        assert connection.execute(query).scalars().all() == [f"body {number}" for number in range(7, 12)]


def test_closing_commits_what_waits(ledger: Ledger) -> None:
    async def added_and_closed() -> int:
        intake = Intake(ledger)
        told = asyncio.ensure_future(intake.add(Parcel([rows("m1")])))
        await asyncio.sleep(0)
        await asyncio.to_thread(intake.close)
        return await told

    assert asyncio.run(added_and_closed()) == 1
    assert messages(ledger) == ["m1"]


def test_more_than_there_is_room_for_is_refused_until_it_is_released(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 10)
    with intake.room() as hold:
        hold(8)
        with intake.room() as other, pytest.raises(FullError, match="8 bytes of events wait"):
            other(3)
    with intake.room() as hold:
        hold(10)


def test_what_the_ledger_cannot_do_is_told_to_all_who_wait_and_the_writer_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.at(url)
    intake = Intake(ledger)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME TO away")
    with pytest.raises(FullError, match=r"^the ledger could not be written$"):
        asyncio.run(intake.add(Parcel([rows("m1")])))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO events")
    assert asyncio.run(intake.add(Parcel([rows("m1")]))) == 1
    intake.close()
    ledger.close()
