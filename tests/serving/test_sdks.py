"""The real libraries of Segment and RudderStack, unmodified, deliver to a running service."""

import shutil
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from rudderstack.analytics.client import Client as RudderStack
from segment.analytics.client import Client as Segment
from sqlalchemy import select

from features.history import live_events
from features.keys import create
from features.ledger import Ledger
from features.workspace import Workspace

LIBRARIES = {"segment": Segment, "rudderstack": RudderStack}
PACKAGES = ("@segment/analytics-node@3.1.0", "@rudderstack/rudder-sdk-node@3.0.13", "@segment/analytics-next@1.84.3")
CHROMIUM = Path("/usr/bin/chromium")
SLOW_MS = 60_000  # a machine that does other work beside it
LATE = 5.0  # seconds that the ledger is held: longer than a request waits, so that the first attempt is answered 503
AN_HOUR = timedelta(hours=1)

Client = Any  # the two libraries have no type in common


@pytest.fixture(scope="module")
def ledger(shop: Workspace) -> Iterator[Ledger]:
    opened = Ledger.at(shop.ledger)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def key(ledger: Ledger) -> str:
    return create(ledger, "sdk", "send", datetime.now(UTC))


@pytest.fixture(params=sorted(LIBRARIES))
def connected(request: pytest.FixtureRequest, service: httpx.Client) -> Iterator[Callable[..., Client]]:
    """Makes clients of each library in turn."""
    made: list[Client] = []

    def connect(key: str, **options: Any) -> Client:
        made.append(LIBRARIES[request.param](key, host=str(service.base_url), upload_interval=0.1, **options))
        return made[-1]

    yield connect
    for client in made:
        client.join()


def customer() -> str:
    return f"sdk-{uuid.uuid4().hex}"


def of(ledger: Ledger, who: str) -> list[dict[str, Any]]:
    query = select(live_events.c.body).where(live_events.c.customer == who).order_by(live_events.c.sequence)
    with ledger.read() as connection:
        return [orjson.loads(body) for body in connection.execute(query).scalars()]


def told(row: dict[str, Any]) -> Any:
    return orjson.loads(row["properties"])


@pytest.mark.parametrize("gzip", [True, False])
def test_every_call_is_delivered(connected: Callable[..., Client], ledger: Ledger, key: str, gzip: bool) -> None:
    client, who = connected(key, gzip=gzip), customer()
    client.identify(who, {"city": "Bonn", "born": None})
    client.track(who, "Product Viewed", {"product_id": "green", "price": 4.0}, context={"campaign": {"name": "spring"}})
    client.track(who, "Order Completed", {"order_id": "o", "products": [{"product_id": "green", "price": 4.0}] * 2})
    client.alias("device", who)
    client.group(who, "team", {"plan": "gold"})
    client.page(who, "shop", "Home", {"path": "/"})
    client.screen(who, "shop", "Start")
    client.flush()
    rows = of(ledger, who)
    names = [row["name"] for row in rows]
    assert names == [
        "Identify", "Product Viewed", "Order Completed", "Order Completed",
        "Alias", "Group", "Page Viewed", "Screen Viewed",
    ]  # fmt: skip
    assert told(rows[0])["city"] == "Bonn"
    assert (rows[1]["item"], rows[1]["price"], rows[1]["campaign"]) == ("green", 4.0, "spring")
    assert [row["line"] for row in rows[2:4]] == [0, 1]
    assert told(rows[4])["previous_id"] == "device"
    assert {row["source"] for row in rows} == {"sdk"}
    assert all(told(row)["context"]["sent_at"] and row["original_time"] and row["received_at"] for row in rows)
    assert all(row["time"] <= row["received_at"] for row in rows)


def test_a_thousand_events_arrive_once_each(connected: Callable[..., Client], ledger: Ledger, key: str) -> None:
    client, who = connected(key), customer()
    for number in range(1000):
        client.track(who, "Signed Up", {"number": number})
    client.flush()
    assert sorted(told(row)["number"] for row in of(ledger, who)) == list(range(1000))


def test_a_message_that_is_sent_twice_is_kept_once(connected: Callable[..., Client], ledger: Ledger, key: str) -> None:
    who, message = customer(), uuid.uuid4().hex
    for _ in range(2):
        client = connected(key)
        client.track(who, "Signed Up", message_id=message)
        client.flush()
    assert [row["message_id"] for row in of(ledger, who)] == [message]


def test_what_met_a_503_is_sent_again_and_kept_once(
    connected: Callable[..., Client], shop: Workspace, ledger: Ledger, key: str
) -> None:
    client, who = connected(key), customer()
    with closing(sqlite3.connect(shop.ledger_file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(LATE, other.execute, ["ROLLBACK"]).start()
        client.track(who, "Signed Up")
        started = time.monotonic()
        deadline = started + 30
        while not of(ledger, who) and time.monotonic() < deadline:
            time.sleep(0.1)
        client.flush()
    assert time.monotonic() - started > LATE
    assert len(of(ledger, who)) == 1


def test_a_wrong_key_is_told_to_the_client_and_not_tried_again(
    connected: Callable[..., Client], ledger: Ledger
) -> None:
    faults: list[Any] = []
    client, who = connected("nobody's", on_error=lambda error, _: faults.append(error)), customer()
    client.track(who, "Signed Up")
    started = time.monotonic()
    client.flush()
    assert time.monotonic() - started < 5.0
    assert [(fault.status, fault.code) for fault in faults] == [(401, "wrong_key")]
    assert of(ledger, who) == []


def test_a_clock_that_is_fast_is_corrected(
    connected: Callable[..., Client], ledger: Ledger, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own clock is an hour ahead: in what it writes as the time of the event and of sending."""

    class Fast(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + AN_HOUR

    for module in ("segment.analytics.request", "rudderstack.analytics.request"):
        monkeypatch.setattr(f"{module}.datetime", Fast)
    client, who = connected(key), customer()
    happened = datetime.now(UTC) - timedelta(seconds=30)
    client.track(who, "Signed Up", timestamp=happened + AN_HOUR)
    client.flush()
    (row,) = of(ledger, who)
    assert abs(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) - happened) < timedelta(seconds=10)
    assert abs(datetime.fromisoformat(row["original_time"]) - happened - AN_HOUR) < timedelta(seconds=0.1)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node libraries; the test is skipped where there is no npm, or it reaches no registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm: they are not on PATH")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.skip(f"needs {', '.join(PACKAGES)}, which npm could not install: {done.stderr[-300:]}")
    return folder


SCRIPTS = {
    "segment": """
        const {Analytics} = require('@segment/analytics-node');
        const client = new Analytics({writeKey: KEY, host: HOST, flushAt: 2});
        client.on('error', error => { console.error(error); process.exitCode = 1; });
        client.identify({userId: WHO, traits: {city: 'Bonn'}});
        client.track(SEEN);
        client.track(SEEN);
        client.closeAndFlush();
    """,
    "rudderstack": """
        const Analytics = require('@rudderstack/rudder-sdk-node');
        const client = new Analytics(KEY, {dataPlaneUrl: HOST, flushInterval: 50});
        client.identify({userId: WHO, traits: {city: 'Bonn'}});
        client.track(SEEN);
        client.track(SEEN);
        client.flush(error => process.exit(error ? 1 : 0));
    """,
}


@pytest.mark.parametrize("library", sorted(SCRIPTS))
def test_the_node_libraries_deliver(service: httpx.Client, ledger: Ledger, key: str, node: Path, library: str) -> None:
    who = customer()
    seen = {"userId": who, "messageId": who, "event": "Product Viewed", "properties": {"product_id": "green"}}
    given = {"KEY": key, "HOST": str(service.base_url).rstrip("/"), "WHO": who, "SEEN": seen}
    head = "".join(f"const {name} = {orjson.dumps(value).decode()};" for name, value in given.items())
    command = ["node", "-e", head + SCRIPTS[library]]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    rows = of(ledger, who)
    assert sorted((row["name"], row["item"]) for row in rows) == [("Identify", None), ("Product Viewed", "green")]


VISIT = """async ([key, host, who, strategy]) => {
  const client = AnalyticsNext.AnalyticsBrowser.load({writeKey: key, cdnSettings: {integrations: {'Segment.io': {
    apiKey: key, apiHost: host + '/v1', protocol: 'http', deliveryStrategy: {strategy, config: {size: 3, timeout: 50}}
  }}}});
  await client.page('Home');
  await client.identify(who, {city: 'Bonn'});
  await client.track('Product Viewed', {product_id: 'green', price: 4});
}"""


@pytest.fixture
def page_of_a_shop(tmp_path: Path) -> Iterator[str]:
    """The address of a page whose origin is not the service's."""
    (tmp_path / "index.html").write_text("<title>shop</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("strategy", ["standard", "batching"])
@pytest.mark.browser
def test_the_browser_library_delivers_from_a_page_of_another_origin(
    service: httpx.Client, ledger: Ledger, key: str, node: Path, page_of_a_shop: str, strategy: str
) -> None:
    """In Chromium, each call for itself (the short paths) and as batches."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    who, host = customer(), str(service.base_url).rstrip("/")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(SLOW_MS)
        page.goto(page_of_a_shop)
        page.add_script_tag(path=node / "node_modules/@segment/analytics-next/dist/umd/index.js")
        page.evaluate(VISIT, [key, host.removeprefix("http://"), who, strategy])
        deadline = time.monotonic() + 30
        while len(of(ledger, who)) < 2 and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        browser.close()
    rows = of(ledger, who)
    assert sorted((row["name"], row["item"]) for row in rows) == [("Identify", None), ("Product Viewed", "green")]
    assert told(rows[0])["context"]["page"]["url"] == page_of_a_shop
