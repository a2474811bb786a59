"""The shopper's pages over HTTP and in a browser: a GET shows, only a POST changes, and at once.

`c000` agreed to personalisation and bought green tea, among others; the shop has the topics `news` and `sales`.
"""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from features.consent import About, allows, consents, say
from features.events import Event
from features.history import record
from features.ledger import Ledger
from features.workspace import Workspace
from serving.erasure import erase
from serving.pages.links import Link, path_of, read, secret_of, token

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = (1200, 390, 320)
FUTURE = datetime.now(UTC) + timedelta(days=1)
START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
EVIL = '<img src=x onerror="alert(1)">'
Serving = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def home(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shop of the session, copied, with topics, and somebody whose name is an attack."""
    folder = tmp_path_factory.mktemp("pages") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "*.log", "ledger.db-*"))
    with sqlite3.connect(shop.ledger_file) as live, sqlite3.connect(folder / ".attune" / "ledger.db") as own:
        live.backup(own)
    with (folder / "attune.yaml").open("a") as settings:
        settings.write("topics: {news: Weekly news, sales: Sales & bargains}\n")
    home = Workspace.open(folder)
    ledger = Ledger.at(home.ledger)
    record(ledger, [Event(EVIL, "1", EVIL, START, START, customer=EVIL)])
    say(ledger, "c000", "marketing", granted=True, source="form", proof="a box", time=START)
    return home


@pytest.fixture(scope="module")
def client(home: Workspace, serving: Serving) -> Iterator[httpx.Client]:
    with serving(home) as client:
        yield client


def wants(home: Workspace, customer: str = "c000", **about: str) -> bool:
    return allows(Ledger.at(home.ledger), customer, purpose="marketing", as_of=FUTURE, about=About(**about))


def test_a_link_says_for_whom_it_is_and_nobody_can_make_another(home: Workspace) -> None:
    secret, link = secret_of(home), Link("unsubscribe", "c000", About("a@b.example", "email", "news"))
    text = token(secret, link)
    assert read(secret, text) == link
    assert read(b"another", text) is None
    for place in range(len(text)):
        other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert read(secret, other) is None
    for nonsense in ("", ".", "why..", "why.é.x", "x" * 10_000, text.replace("unsubscribe", "why"), text[:-1]):
        assert read(secret, nonsense) is None


def test_the_secret_is_the_owners_only_and_stays(home: Workspace) -> None:
    path = home.state / "link-secret"
    assert secret_of(home) == secret_of(home) == path.read_bytes()
    assert len(path.read_bytes()) == 32
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_a_post_unsubscribes_and_one_is_enough(home: Workspace, client: httpx.Client) -> None:
    path = path_of(home, Link("unsubscribe", "c002", About("a@b.example", "email", "news")))
    ledger = Ledger.at(home.ledger)
    say(ledger, "c002", "marketing", granted=True, source="form", proof="a box", time=START)
    for _ in range(3):  # scanners and previews fetch links
        page = client.get(path)
        assert page.status_code == 200
        assert "Stop “Weekly news” by email to a@b.example from" in page.text
    about = {"channel": "email", "topic": "news", "address": "a@b.example"}
    assert wants(home, "c002", **about)
    posted = client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert (posted.status_code, posted.history) == (200, [])
    assert "You are unsubscribed" in posted.text
    assert not wants(home, "c002", **about)
    assert wants(home, "c002", channel="email", topic="sales")
    with ledger.read() as connection:
        row = connection.execute(select(consents).order_by(consents.c.id.desc())).first()
    assert row is not None
    assert (row.source, row.granted, row.channel, row.topic) == ("unsubscribe link", False, "email", "news")


def test_a_multipart_post_unsubscribes_too(home: Workspace, client: httpx.Client) -> None:
    path = path_of(home, Link("unsubscribe", "c003"))
    say(Ledger.at(home.ledger), "c003", "marketing", granted=True, source="form", proof="a box", time=START)
    assert client.post(path, files={"List-Unsubscribe": (None, "One-Click")}).status_code == 200
    assert not wants(home, "c003")


def test_a_preference_is_per_topic_and_all_speaks_for_each(home: Workspace, client: httpx.Client) -> None:
    path = path_of(home, Link("preferences", "c000"))
    assert "Sales &amp; bargains" in client.get(path).text
    back = client.post(path, data={"topic": "news", "granted": "no"})
    assert back.status_code == 303
    assert client.get(str(httpx.URL(f"{client.base_url}{path}").join(back.headers["location"]))).status_code == 200
    assert (wants(home, topic="news"), wants(home, topic="sales"), wants(home)) == (False, True, True)
    client.post(path, data={"topic": "*", "granted": "no"})
    assert not wants(home, topic="sales")
    client.post(path, data={"topic": "sales", "granted": "yes"})
    assert (wants(home, topic="news"), wants(home, topic="sales")) == (False, True)


def test_switching_personalisation_off_changes_what_is_recommended_at_once(
    home: Workspace, client: httpx.Client
) -> None:
    path = path_of(home, Link("why", "c004"))
    before = client.get(path).text
    assert "What you bought" in before
    assert re.search(r"3 times, last on \d\d January 2026; from test", before)
    assert "customers who chose" in before
    client.post(path, data={"purpose": "personalisation", "granted": "no"})
    after = client.get(path).text
    assert "These are not chosen for you" in after
    assert "None of this is used" in after
    assert "customers who chose" not in after
    client.post(path, data={"purpose": "personalisation", "granted": "yes"})
    assert client.get(path).text == before


@pytest.mark.parametrize("form", [{}, {"purpose": "spying", "granted": "yes"}, {"purpose": "ads", "granted": "x"}])
def test_a_choice_that_the_page_does_not_offer_is_refused(
    home: Workspace, client: httpx.Client, form: dict[str, str]
) -> None:
    for page in ("why", "preferences"):
        assert client.post(path_of(home, Link(page, "c000")), data=form).status_code == 400


def test_a_wrong_link_is_an_unknown_page_and_another_method_is_not_allowed(
    home: Workspace, client: httpx.Client
) -> None:
    path = path_of(home, Link("why", "c000"))
    assert client.get(path[:-2]).status_code == client.post(path[:-2]).status_code == 404
    assert client.delete(path).status_code == 405


def test_what_others_wrote_is_escaped_and_nothing_is_kept_by_a_browser(home: Workspace, client: httpx.Client) -> None:
    page = client.get(path_of(home, Link("why", EVIL)))
    assert "<img" not in page.text
    assert "&lt;img" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("page", ["unsubscribe", "preferences", "why"])
def test_a_page_fits_every_screen_and_asks_nobody_else(home: Workspace, client: httpx.Client, page: str) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    link = Link(page, "c006", About("somebody@shop.example", "email"))
    address = f"{str(client.base_url).rstrip('/')}{path_of(home, link)}"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 844})
            asked: list[str] = []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.goto(address)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert asked == [address]
            low = tab.evaluate("Math.min(...[...document.querySelectorAll('button')].map(one => one.offsetHeight))")
            assert low >= 44  # a thumb hits it
        if page == "why":
            tab.click("button[aria-label^='Personal recommendations']")
            tab.wait_for_selector("text=These are not chosen for you")
        browser.close()


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")  # MLflow's own
def test_an_erased_customers_link_shows_and_keeps_nothing(
    home: Workspace, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    path = path_of(home, Link("why", "c008"))
    list(erase(home, "c008", datetime.now(UTC)))
    assert "We know of nothing that you did." in client.get(path).text
    client.post(path, data={"purpose": "ads", "granted": "yes"})
    with Ledger.at(home.ledger).read() as connection:
        assert connection.execute(select(consents).where(consents.c.customer == "c008")).all() == []
