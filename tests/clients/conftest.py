"""The shop of tests/serving/conftest.py with a key of every role, its service, what its ledger holds; and a browser.

A page bears two slots: `block` holds HTML, also such as would run, `prompt` plain text.
"""

import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select

from features.decisions import decisions
from features.history import live_events
from features.keys import DECIDE, PUBLISHABLE, READ, SEND, create
from features.ledger import Ledger
from features.workspace import Workspace
from tests.serving.conftest import serving, untouched  # noqa: F401  # a fixture that pytest finds by its name

SLOT = """\
kind: web
elements:
  headline: {default: Welcome}
  text: {default: Look around}
  image: {default: /default.png}
contents:
  - key: everybody
    elements:
      headline: [{key: bold, text: "<b>Hello</b> <script>harm()</script>"}]
      text: [{key: more, text: '<a href="javascript:harm()" onclick="harm()">More</a><img src=x onerror="harm()">'}]
      image: [{key: tea, text: "/tea.png?a=1&amp;b=2"}]
"""
PLAIN = """\
kind: in-app
elements: {headline: {default: Welcome}}
contents:
  - {key: everybody, elements: {headline: [{key: bold, text: "<b>Hello</b>"}]}}
"""
CHROMIUM = Path("/usr/bin/chromium")
PAGE = """<!doctype html><title>shop</title>
<style>.far {{ margin-top: 300vh }}</style>
<div id="block" class="{where}" data-attune-slot="block"><h1 data-attune-element="headline">Default</h1>
<p data-attune-element="text">Default text</p><img data-attune-element="image" src="/default.png"></div>
<div id="prompt" data-attune-slot="prompt">Default prompt</div>
<script>
  window.harm = () => {{ window.harmed = true }}
  window.told = []
  addEventListener('attune', (event) => told.push(event.detail.slot))
  window.errors = []
  addEventListener('error', (event) => errors.push(event.message))
  addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)))
</script>
<script src="{host}/v1/attune.js" data-key="{key}" {more}></script>
"""
PATIENT = "AbortSignal.timeout = () => new AbortController().signal; Date.now = () => 0"
AGREED = 'data-consent="personalisation, analytics"'


@dataclass(frozen=True)
class Place:
    """A running service and its ledger."""

    workspace: Workspace
    ledger: Ledger
    url: str
    keys: dict[str, str]

    def events(self, who: str) -> list[dict[str, Any]]:
        """The live events of a customer or a device, as they came."""
        mine = (live_events.c.customer == who) | live_events.c.body.contains(f'"anonymous":"{who}"')
        with self.ledger.read() as connection:
            found = connection.execute(select(live_events.c.body).where(mine).order_by(live_events.c.sequence))
            return [json.loads(body) for body in found.scalars()]

    def awaited(self, who: str, count: int, seconds: float = 15) -> list[dict[str, Any]]:
        """The events once there are so many, or no more time."""
        deadline = time.monotonic() + seconds
        while len(found := self.events(who)) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def decided(self, who: str) -> list[str]:
        """The ids of the decisions for a customer or a device, once the journal has committed them."""
        time.sleep(1)  # it commits in groups
        with self.ledger.read() as connection:
            query = select(decisions.c.decision_id).where(decisions.c.customer == who)
            return list(connection.execute(query).scalars())


@pytest.fixture(scope="session")
def place(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:  # noqa: F811  # see above
    folder: Path = tmp_path_factory.mktemp("asked") / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "slots" / "block.yaml").write_text(SLOT)
    (folder / "slots" / "prompt.yaml").write_text(PLAIN)
    workspace = Workspace.open(folder)
    ledger = Ledger.at(workspace.ledger)
    keys = {role: create(ledger, role, role, datetime.now(UTC)) for role in (SEND, DECIDE, READ)}
    with serving(workspace) as client:
        yield Place(workspace, ledger, str(client.base_url).rstrip("/"), keys)


@dataclass(frozen=True)
class Shop:
    """A site with its publishable key, and a tab in it."""

    place: Place
    address: str
    folder: Path
    key: str
    tab: Any

    def open(self, more: str = AGREED, where: str = "near", host: str | None = None) -> None:
        page = PAGE.format(host=host or self.place.url, key=self.key, more=more, where=where)
        (self.folder / "index.html").write_text(page)
        self.tab.goto(self.address)

    def text(self, selector: str) -> str:
        return str(self.tab.inner_text(selector))

    def shown(self) -> None:
        """Returns when both slots were answered."""
        self.tab.wait_for_function("told.length === 2", timeout=20_000)

    @property
    def device(self) -> str:
        """The id that the browser keeps."""
        return str(self.tab.evaluate("(localStorage.attune || '').split('\\n')[0]"))

    def names(self, count: int) -> list[str]:
        return sorted(event["name"] for event in self.place.awaited(self.device, count))


@contextmanager
def site(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("cache-control", "no-store")  # a page changes within the second that a file's time knows
            super().end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def shop(place: Place, browser: Any, tmp_path: Path) -> Iterator[Shop]:
    with site(tmp_path) as address, browser.new_context() as context:
        name = f"page-{uuid.uuid4().hex[:8]}"
        key = create(place.ledger, name, PUBLISHABLE, datetime.now(UTC), [address.rstrip("/")], per_second=1000)
        yield Shop(place, address, tmp_path, key, context.new_page())


@pytest.fixture
def patient(shop: Shop) -> Shop:
    """The shop in a browser that never finds an answer late: for what is not about time, on a busy machine."""
    shop.tab.add_init_script(PATIENT)
    return shop
