"""The page of signals: what came, and what is wrong; whatever a name is, it is text; readable on a phone."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from features.events import Event
from features.history import record
from features.ledger import Ledger
from features.signals import Health, health
from features.workspace import Workspace
from serving.http.tracking import Tracking, shown

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def tracked(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Twenty page views and orders a day for three weeks; today no order came."""
    folder = tmp_path_factory.mktemp("tracking") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    copied = Workspace.open(folder)
    record(Ledger.at(copied.ledger), list(events(datetime.now(UTC))))
    return copied


def events(now: datetime) -> Iterator[Event]:
    names = {"Page Viewed": range(21), "Order Completed": range(1, 21), NASTY: range(3), "L" * 400: range(9)}
    for name, days in names.items():
        for number, day in ((number, day) for day in days for number in range(20)):
            time = now - timedelta(days=day, hours=1, seconds=number)
            yield Event("web", f"{name}{day}-{number}", name, time, time, customer="ann")


@pytest.fixture(scope="module")
def client(tracked: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serving(tracked) as client:
        yield client


def test_the_page_shows_what_came_and_what_is_wrong(client: httpx.Client) -> None:
    answer = client.get("/reports/signals")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Order Completed: stopped: none in the last 24 hours, 20 a day are usual" in answer.text
    assert len(re.findall("<svg", answer.text)) == 4
    assert NASTY not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")  # it asks nobody else


def test_another_method_and_another_page_are_refused(client: httpx.Client) -> None:
    assert client.post("/reports/signals").status_code == 405
    assert client.get("/reports/nothing").status_code == 404


def test_a_page_is_made_once_a_minute_however_many_ask() -> None:
    made: list[datetime] = []
    tracking, now = Tracking(lambda moment: made.append(moment) or Health(moment, ())), datetime(2026, 3, 1, tzinfo=UTC)
    for second in (0, 1, 59, 60, 61):
        tracking.page(now + timedelta(seconds=second))
    assert len(made) == 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 320])
def test_the_page_fits_the_screen(tracked: Workspace, tmp_path: Path, width: int) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    path = tmp_path / "signals.html"
    path.write_text(shown(health(tracked, datetime.now(UTC))))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        page = browser.new_page(viewport={"width": width, "height": 900})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg.days").first.bounding_box()["x"] < width
        page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
        assert not said
        browser.close()
