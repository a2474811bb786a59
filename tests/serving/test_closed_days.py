"""A day that closes under a service takes nothing away from what its conditions count, and counts nothing twice."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features import history
from features.events import Event
from features.history import close_days, record
from features.states.refresh import refresh
from features.workspace import Workspace
from serving import work
from serving.decisions.eligibility import barred
from serving.decisions.glance import Glance
from serving.http.app import Routes
from serving.watch import Watch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFFERS = """
offers:
  - {key: once, name: Once, eligible: {event: Wished}}
  - {key: twice, name: Twice, eligible: {event: Wished, count: {at_least: 2}}}
  - {key: thrice, name: Thrice, eligible: {event: Wished, count: {at_least: 3}}}
"""


@pytest.fixture
def shop(untouched: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    (tmp_path / "shop" / "offers.yaml").write_text(OFFERS)
    shutil.rmtree(tmp_path / "shop" / ".attune" / "releases" / "uplift", ignore_errors=True)
    return Workspace.open(tmp_path / "shop")


@pytest.fixture
def routes() -> Routes:
    return Routes(lambda: NOW)


@pytest.fixture
def watch(shop: Workspace, routes: Routes) -> Iterator[Watch]:
    """A worker's watch that has begun; a test says when it looks."""
    watch = Watch(shop.folder, routes, routes.now)
    watch.look()
    yield watch
    routes.state.intake.close()
    routes.state.journal.close()


def wished(routes: Routes, *numbers: int) -> None:
    yesterday = NOW - timedelta(days=1)
    events = [Event("live", f"w{one}", "Wished", yesterday, yesterday, customer="c000") for one in numbers]
    record(routes.state.ledger, events)


def counted(routes: Routes) -> int:
    """How often the customer wished, as the conditions of the offers see it."""
    state = routes.state
    return 3 - len(barred(state, state.offers, "c000", Glance(["c000"], agreed=True), NOW))


def heard(routes: Routes) -> int:
    """How often a visitor wished on a device, as conditions see it."""
    return len(routes.state.seen.of_visitor(routes.state.ledger, "d1"))


def on_device(routes: Routes, *numbers: int, customer: str | None = None) -> None:
    times = {one: NOW - timedelta(days=1, minutes=-one) for one in numbers}
    record(
        routes.state.ledger,
        [
            Event("live", f"d{one}", "Wished", time, time, customer=customer, anonymous="d1")
            for one, time in times.items()
        ],
    )


@pytest.mark.usefixtures("watch")
def test_what_waits_is_counted(routes: Routes) -> None:
    wished(routes, 1, 2)
    assert counted(routes) == 2


def test_what_a_closed_day_holds_is_counted_as_before(shop: Workspace, routes: Routes, watch: Watch) -> None:
    wished(routes, 1, 2)
    refresh(shop, NOW)
    assert close_days(shop, NOW) == 2
    assert counted(routes) == 0  # nobody has looked yet
    watch.look()
    assert counted(routes) == 2
    wished(routes, 3)
    assert counted(routes) == 3


def test_what_the_ledger_and_the_history_both_hold_is_counted_once(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    wished(routes, 1, 2)
    assert history._close_part(shop, routes.state.ledger, NOW.replace(tzinfo=None)) == 2
    assert counted(routes) == 2
    watch.look()
    assert counted(routes) == 2


def test_what_is_closed_stays_in_the_ledger_until_a_service_had_time_to_look(
    shop: Workspace, routes: Routes, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch looks where time passes."""
    seen = []

    def passing(seconds: float) -> None:
        seen.append((seconds, counted(routes)))
        watch.look()  # a second look, in the seconds that pass

    monkeypatch.setattr(history, "sleep", passing)
    wished(routes, 1, 2)
    refresh(shop, NOW)
    assert work.close(shop, NOW) == "2 events of closed days moved into the history"
    assert seen == [(work.LINGER, 2)]
    assert counted(routes) == 2
    assert work.close(shop, NOW) is None
    assert len(seen) == 1


def test_what_a_closed_day_holds_of_a_device_is_counted_until_somebody_identifies_there(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    on_device(routes, 1, 2)
    assert heard(routes) == 2
    assert history._close_part(shop, routes.state.ledger, NOW.replace(tzinfo=None)) == 2
    assert heard(routes) == 2
    watch.look()
    assert heard(routes) == 2  # both hold it
    refresh(shop, NOW)
    close_days(shop, NOW)
    assert heard(routes) == 2
    on_device(routes, 3)
    assert heard(routes) == 3
    on_device(routes, 4, customer="c000")
    assert heard(routes) == 0
    on_device(routes, 5)
    assert heard(routes) == 1


def test_who_identifies_on_a_device_takes_along_at_once_what_a_closed_day_holds_of_it(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    on_device(routes, 1, 2)
    refresh(shop, NOW)
    close_days(shop, NOW)
    watch.look()
    assert counted(routes) == 0
    on_device(routes, 3, customer="c000")
    assert (counted(routes), heard(routes)) == (3, 0)
    on_device(routes, 4, customer="c001")
    on_device(routes, 5)
    assert (counted(routes), heard(routes)) == (3, 1)
    refresh(shop, NOW)
    close_days(shop, NOW)
    watch.look()
    assert (counted(routes), heard(routes)) == (3, 1)


def test_what_a_closed_day_holds_of_a_device_is_nobodys_who_identified_there_before(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    on_device(routes, 2, 3)
    refresh(shop, NOW)
    close_days(shop, NOW)
    watch.look()
    on_device(routes, 1, customer="c000")  # it comes late
    assert (counted(routes), heard(routes)) == (1, 2)
