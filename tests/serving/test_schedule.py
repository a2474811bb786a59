"""The worker trains at the times of the schedule, in the workspace's zone: once a day, and beside its other jobs."""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.compaction import MANY
from features.events import Event
from features.history import close_days, read_events, record
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving import work
from serving.schedule import Refits, due


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    folder = create(tmp_path / "shop").folder
    schedule = "schedule: {recommender: '03:00', uplift: 13:30}"  # YAML reads 13:30 as a number
    (folder / "attune.yaml").write_text(f"name: shop\ntimezone: Europe/Berlin\n{schedule}\n")
    return Workspace.open(folder)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=UTC)


def test_each_is_due_once_a_day_in_the_workspaces_zone_also_where_its_time_was_missed(shop: Workspace) -> None:
    """In Berlin it is an hour later: 03:00 there is 02:00 UTC."""
    assert due(shop, at("01T06:00")) is None  # 07:00: the recommender's begins tomorrow
    assert due(shop, at("01T12:29")) is None
    assert due(shop, at("01T12:30")) == "uplift"
    assert due(shop, at("01T23:30")) is None  # half past midnight there
    assert due(shop, at("02T01:59")) is None
    assert due(shop, at("02T02:00")) == "recommender"
    assert due(shop, at("02T02:01")) is None
    assert due(Workspace.open(shop.folder), at("03T20:00")) == "recommender"  # no worker ran in between
    assert due(shop, at("03T20:00")) == "uplift"
    assert due(shop, at("03T20:00")) is None


def test_a_refit_that_fails_is_said_and_the_other_jobs_go_on(shop: Workspace) -> None:
    """There is nothing to train on."""
    refits, said, moment = Refits(), [], at("02T02:00")
    due(shop, at("01T23:30"))
    jobs = {**work.JOBS, "refit": refits.look}
    deadline = time.monotonic() + 240
    while not said and time.monotonic() < deadline:
        for name, job in jobs.items():
            work._try(name, job, shop, moment, said.append, {})
        time.sleep(0.2)
    (line,) = said
    assert line.startswith("refit recommender failed (2): attune: ")
    assert "import purchases first" in line
    assert refits.look(shop, moment) is None


def test_the_history_of_a_month_is_compacted_once_a_day(shop: Workspace) -> None:
    """Of one a day, the files of a month are joined; the next look is a day later."""
    ledger = Ledger.at(shop.ledger)
    for day in range(MANY):
        time = datetime(2026, 1, 1, 12) + timedelta(days=day)
        record(ledger, [Event("sdk", f"m{day}", "View", time, time, customer="anna")])
        close_days(shop, time + timedelta(hours=12))
    assert work.compacted(shop, at("01T12:00")) == f"{MANY} files of the history joined"
    assert work.compacted(shop, at("01T12:01")) is None
    assert work.JOBS["compaction"] is work.compacted
    assert read_events(shop).before(datetime(2027, 1, 1)).count().to_pyarrow().as_py() == MANY
    shutil.rmtree(shop.history / "_delta_log")
    (shop.history / "_delta_log").mkdir()
    (shop.history / "_delta_log" / f"{0:020}.json").write_text("no JSON")
    assert work.compacted(shop, at("02T12:00")).startswith("compaction, again tomorrow: ")
    assert work.compacted(shop, at("02T12:01")) is None
