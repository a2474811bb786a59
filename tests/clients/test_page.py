"""attune.js in Chromium, in pages of another origin than the service's.

A page bears two slots of tests/clients/conftest.py: `block` holds HTML, also such as would run, `prompt` plain text.
"""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from features.consent import allows
from features.history import read_events
from features.keys import PUBLISHABLE, create, secret_of
from serving.experiments.definitions import Shows
from serving.experiments.exposures import experienced
from serving.http.tokens import token
from tests.clients.conftest import Place
from tests.serving.conftest import free_port

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
pytestmark = pytest.mark.browser


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


def test_the_script_is_small_and_a_browser_keeps_it_for_a_while(place: Place) -> None:
    answer = httpx.get(f"{place.url}/v1/attune.js", headers={"accept-encoding": "identity"})
    assert len(answer.content) < 5_000
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=3600"


def test_a_slot_is_filled_within_the_time(shop: Shop) -> None:
    for _ in range(20):  # where the machine is busy an answer may be late, and then the default is right
        shop.open()
        shop.tab.wait_for_timeout(500)
        if shop.text("h1") == "Hello":
            return
    pytest.fail("no answer of twenty came within the time")


def test_a_text_is_html_or_plain_as_the_kind_of_its_slot_says(patient: Shop) -> None:
    patient.open()
    patient.shown()
    assert patient.tab.inner_html("h1").strip() == "<b>Hello</b>"
    assert patient.text("#prompt") == "<b>Hello</b>"
    assert patient.tab.get_attribute("[data-attune-element=image]", "src") == "/tea.png?a=1&b=2"


def test_nothing_in_a_text_runs(patient: Shop) -> None:
    patient.open()
    patient.shown()
    assert patient.tab.inner_html("p") == '<a>More</a><img src="x">'
    patient.tab.click("p a")
    patient.tab.wait_for_timeout(300)
    assert patient.tab.evaluate("window.harmed") is None
    assert patient.tab.evaluate("errors") == []


def test_what_was_in_view_is_told_once_with_its_decision(patient: Shop) -> None:
    patient.open(where="far")
    patient.shown()
    patient.tab.evaluate("scrollTo(0, 0)")
    patient.tab.wait_for_timeout(1500)
    assert "Experience Viewed" not in patient.names(1)
    for _ in range(2):
        patient.tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        patient.tab.wait_for_timeout(2000)
        patient.tab.evaluate("scrollTo(0, 0)")
        patient.tab.wait_for_timeout(500)
    events = patient.place.awaited(patient.device, 3)
    viewed = [json.loads(one["properties"]) for one in events if one["name"] == "Experience Viewed"]
    assert sorted(one["slot"] for one in viewed) == ["block", "prompt"]
    assert sorted(one["decision_id"] for one in viewed) == sorted(patient.place.decided(patient.device))


def test_a_click_bears_its_decision_and_is_a_view(patient: Shop) -> None:
    patient.open()
    patient.shown()
    patient.tab.click("p a")
    events = patient.place.awaited(patient.device, 4)
    told = {(one["name"], json.loads(one["properties"]).get("slot")) for one in events}
    assert {("Experience Clicked", "block"), ("Experience Viewed", "block")} <= told
    clicked = [json.loads(one["properties"]) for one in events if one["name"] == "Experience Clicked"]
    assert clicked[0]["decision_id"] in patient.place.decided(patient.device)


def test_without_consent_to_analytics_no_view_is_told(patient: Shop) -> None:
    patient.open('data-consent="personalisation"')
    patient.shown()
    assert patient.text("h1") == "Hello"
    patient.tab.wait_for_timeout(1500)
    patient.tab.click("p a")
    patient.tab.wait_for_timeout(500)
    assert patient.names(1) == ["Identify"]


def test_a_browser_keeps_its_id(patient: Shop) -> None:
    patient.open()
    patient.shown()
    device = patient.device
    patient.open()
    patient.shown()
    assert patient.device == device
    assert patient.names(1).count("Identify") == 1


def test_the_id_of_the_shops_own_library_may_be_given(patient: Shop) -> None:
    own = uuid.uuid4().hex
    patient.open(f'{AGREED} data-anonymous="{own}"')
    patient.shown()
    assert len(patient.place.decided(own)) == 2


def test_a_signed_customer_is_decided_for_and_their_view_is_an_exposure(patient: Shop) -> None:
    who = f"page-{uuid.uuid4().hex}"
    signed = token(secret_of(patient.place.ledger, patient.key), who, time.time() + 60)
    patient.open(f'{AGREED} data-customer="{who}" data-token="{signed}"')
    patient.shown()
    names = [one["name"] for one in patient.place.awaited(who, 3)]
    assert sorted(names) == ["Experience Viewed", "Experience Viewed", "Identify"]
    assert len(patient.place.decided(who)) == 2
    seen = experienced(
        patient.place.ledger, read_events(patient.place.workspace), Shows(slot="block"), datetime.now(UTC)
    )
    assert (who, "shown") in {(customer, arm) for customer, arm, _ in seen}


QUIET = {
    "nothing agreed to": ("", ""),
    "asked not to track": (AGREED, "Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => '1'})"),
    "global privacy control": (
        AGREED,
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})",
    ),
    "no storage": (AGREED, "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no') }})"),
}


@pytest.mark.parametrize(("more", "before"), QUIET.values(), ids=list(QUIET))
def test_without_consent_nothing_is_kept_or_told_and_everybody_sees_the_same(
    patient: Shop, more: str, before: str
) -> None:
    asked: list[tuple[str, str]] = []
    patient.tab.on("request", lambda one: asked.append((one.url, one.post_data or "")))
    patient.tab.add_init_script(before)
    patient.open(more)
    patient.shown()
    assert patient.text("h1") == "Welcome"
    patient.tab.wait_for_timeout(1500)
    ours = [(url.removeprefix(patient.place.url), body) for url, body in asked if "/v1/" in url]
    assert {url for url, _ in ours} == {"/v1/attune.js", "/v1/decide"}
    assert not [body for _, body in ours if "anonymous" in body]
    assert patient.tab.evaluate("errors") == []
    if "storage" not in before.lower():
        assert patient.tab.evaluate("localStorage.length") == 0


def test_who_agrees_no_longer_is_told_of_and_forgotten(patient: Shop) -> None:
    def agrees(purpose: str) -> bool:
        return allows(patient.place.ledger, device, purpose=purpose, as_of=datetime.now(UTC))

    patient.open()
    patient.shown()
    device = patient.device
    assert agrees("personalisation")
    assert agrees("analytics")
    patient.open('data-consent="personalisation"')
    patient.shown()
    assert (agrees("personalisation"), agrees("analytics")) == (True, False)
    patient.open("")
    patient.shown()
    assert not agrees("personalisation")
    assert patient.device == ""


@contextmanager
def slow(place: Place, how: str) -> Iterator[tuple[str, list[str]]]:
    """A proxy before the service that is late, drops, fails or talks nonsense where it is asked to decide."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(httpx.get(f"{place.url}{self.path}"))

        def do_OPTIONS(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            asked.append(self.path)
            if how == "dropped" and self.path == "/v1/decide":
                return
            if how == "late" and self.path == "/v1/decide":
                time.sleep(1)
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            told = httpx.request(self.command, f"{place.url}{self.path}", content=body, headers=kept)
            self.answer(told, NONSENSE.get(how) if self.path == "/v1/decide" and self.command == "POST" else None)

        def answer(self, told: httpx.Response, instead: bytes | None = None) -> None:
            content = told.content if instead is None else instead
            with suppress(ConnectionError):  # the page has left
                self.send_response(500 if how == "failed" and instead is not None else told.status_code)
                for name, value in {**told.headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


NONSENSE = {"failed": b"{}", "cut": b'{"kind": "we', "a list": b"[]", "no elements": b'{"kind": "web"}'}


def test_the_default_stays_where_no_answer_comes_in_time_and_no_view_is_told(shop: Shop) -> None:
    with slow(shop.place, "late") as (host, asked):
        for _ in range(20):
            shop.open(host=host)
            shop.tab.wait_for_timeout(3000)  # the answer comes, and a view would be told by then
            assert (shop.text("h1"), shop.text("#prompt")) == ("Default", "Default prompt")
            if asked.count("/v1/decide") > 1:  # on a busy machine the time may be over before
                break
    assert {"/v1/decide", "/v1/identify"} == set(asked)
    assert shop.tab.evaluate("[told.length, errors.length]") == [0, 0]


@pytest.mark.parametrize("how", ["dropped", *NONSENSE])
def test_the_default_stays_where_the_answer_is_none(patient: Shop, how: str) -> None:
    with slow(patient.place, how) as (host, asked):
        patient.open(host=host)
        patient.tab.wait_for_timeout(3000)
        assert (patient.text("h1"), patient.text("#prompt")) == ("Default", "Default prompt")
        assert patient.tab.evaluate("[told.length, errors.length]") == [0, 0]
    assert {"/v1/decide", "/v1/identify"} == set(asked)


def test_a_service_that_is_not_there_harms_no_page(shop: Shop) -> None:
    shop.open(host=f"http://127.0.0.1:{free_port()}")
    assert shop.text("h1") == "Default"
