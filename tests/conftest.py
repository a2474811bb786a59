"""Fixtures that every floor's tests share."""

import os
import secrets
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from benchmarks.postgresql import NEEDED, binaries, running

GIVEN = "ATTUNE_TEST_POSTGRES_URL"
SERVER_SETTINGS = {
    "fsync": "off",  # what the tests kill is our processes, never the server's machine
    "shared_buffers": "16MB",
}
DIALECTS = ("sqlite", "postgresql")
# A report as it is seen: in headless Chromium, on a wide screen and on a phone.
CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW_MS = 180_000  # a machine that does other work beside it
WIDTHS = (1200, 390, 320)
CUT = """[...document.querySelectorAll('svg.marks')].flatMap(svg => [...svg.querySelectorAll('text')].filter(text => {
  const own = text.getBoundingClientRect(), all = svg.getBoundingClientRect();
  return own.left < all.left - 1 || own.right > all.right + 1;
}).map(text => text.textContent))"""  # words of pictures that reach over their edge
UNSEEN = """[...document.querySelectorAll('.scroll')].filter(one => one.offsetParent && one.clientWidth).filter(one =>
  one.querySelectorAll('th')[2]?.getBoundingClientRect().right > one.getBoundingClientRect().right + 1
).map(one => one.textContent.slice(0, 60))"""  # tables whose first number and its interval are seen by scrolling only
os.environ.pop("ATTUNE_LEDGER_URL", None)  # a test writes into no ledger but its own


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that ATTUNE_DATA names; the test is skipped where it is not set."""
    folder = os.environ.get("ATTUNE_DATA")
    if not folder:
        pytest.skip("needs real data: set ATTUNE_DATA to the folder that holds it")
    assert Path(folder).is_dir(), f"ATTUNE_DATA == {folder!r} is no folder"
    return Path(folder)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The database that ATTUNE_TEST_POSTGRES_URL names, or one of this session's own; its password is in PGPASSWORD."""
    given = os.environ.get(GIVEN)
    if given:
        yield from _named(given)
    elif binaries():
        with running(SERVER_SETTINGS) as address:
            yield address
    else:
        pytest.skip(f"{NEEDED}, and {GIVEN} names no database")


def _named(given: str) -> Iterator[str]:
    address = make_url(given)
    with pytest.MonkeyPatch.context() as patched:
        if address.password is not None:
            patched.setenv("PGPASSWORD", str(address.password))
        yield address.set(drivername="postgresql", password=None).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def new_database(postgresql: str) -> Iterator[Callable[[], str]]:
    """Makes room for one ledger and says its address: a schema of its own, 50 times cheaper than a database."""
    numbers, run, made = count(), secrets.token_hex(4), []

    def make() -> str:
        made.append(f"shop_{run}_{next(numbers)}")  # a database that was named may be another run's too
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {made[-1]}")
        room = make_url(postgresql).update_query_dict({"options": f"-csearch_path={made[-1]}"})
        return room.render_as_string(hide_password=False)

    yield make
    with psycopg.connect(postgresql, autocommit=True) as connection:
        for name in made if os.environ.get(GIVEN) else ():
            connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=DIALECTS)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger that is not there yet, on each dialect."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    made: str = request.getfixturevalue("new_database")()
    return made


EXPECTED = "npm could not install"  # its registry may be away; the libraries of Python deliver all the same


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With ATTUNE_NO_SKIPS=1 a skipped test fails the run: everything that the tests need is said to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    skipped = [one for one in skipped if EXPECTED not in str(one.longrepr)]
    if os.environ.get("ATTUNE_NO_SKIPS") == "1" and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} tests were skipped although ATTUNE_NO_SKIPS == 1", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def drawn():
    """A function: a report's path -> per width the page with all pictures drawn, offline, no wider than the screen."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield lambda path, charts: ((width, _drawn(browser, path, width, charts)) for width in WIDTHS)
        browser.close()


@pytest.fixture
def faults():
    """A function: a page -> the words that are cut, and the tables whose first numbers are not seen."""
    return lambda page: page.evaluate(CUT) + page.evaluate(UNSEEN)


def _drawn(browser, path, width, charts):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.set_default_timeout(SLOW_MS)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function(f"document.querySelectorAll('.chart[data-drawn=yes] svg.marks').length === {charts}")
    assert page.locator(".chart").count() == charts
    assert asked == [path.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    return page
