"""Who may ask, over HTTP: each route with no key, the wrong one and the right one; pages, tokens and origins.

The shop of `conftest`, copied, served by two workers; `c000` agreed to personalisation, `c058` did not.
"""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from sqlalchemy import select

from features.decisions import decisions
from features.keys import ADMIN, CATALOG, DECIDE, PUBLISHABLE, READ, SEND, create, secret_of
from features.ledger import Ledger
from features.workspace import Workspace
from serving.http.roles import NEEDED, OPEN, SIGNED
from serving.http.tokens import token

NOW = datetime.now(UTC)
SHOP, EVIL = "https://shop.example", "https://evil.example"
CHROMIUM = Path("/usr/bin/chromium")
PAGE = Path(__file__).parents[2] / "docs" / "service.md"
Serving = Callable[..., AbstractContextManager[httpx.Client]]
ASKED = sorted(NEEDED.items())
KEYED = [(path, role) for path, role in ASKED if role not in (OPEN, SIGNED) and "/forms/" not in path]


def copy_of(shop: Workspace, folder: Path) -> Workspace:
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "*.log", "ledger.db-*"))
    with sqlite3.connect(shop.ledger_file) as live, sqlite3.connect(folder / ".attune" / "ledger.db") as own:
        live.backup(own)
    return Workspace.open(folder)


@dataclass(frozen=True)
class Shop:
    """A shop with a key of every role, and its service of two workers."""

    workspace: Workspace
    ledger: Ledger
    client: httpx.Client
    keys: dict[str, str]

    def ask(self, path: str, body: object, *, origin: str | None = SHOP, of: str | None = None) -> httpx.Response:
        """What a page gets."""
        headers = {"authorization": f"Bearer {self.keys[PUBLISHABLE]}"}
        headers |= {"origin": origin} if origin else {}
        headers |= {"attune-customer": of} if of is not None else {}
        return self.client.post(path, json=body, headers=headers)

    def signed(self, customer: str, seconds: float = 60, secret: str | None = None) -> str:
        """What the shop's server signs."""
        own = secret or secret_of(self.ledger, self.keys[PUBLISHABLE])
        return token(own, customer, time.time() + seconds)

    def whose(self, decision_id: str) -> str | None:
        """For whom it was decided, once the journal has committed it."""
        query = select(decisions.c.customer).where(decisions.c.decision_id == decision_id)
        for _ in range(100):
            with self.ledger.read() as connection:
                if row := connection.execute(query).first():
                    return row[0]
            time.sleep(0.1)
        pytest.fail("the decision never reached the ledger")


@pytest.fixture(scope="module")
def asked(shop: Workspace, serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    workspace = copy_of(shop, tmp_path_factory.mktemp("asked") / "shop")
    ledger = Ledger.at(workspace.ledger)
    keys = {role: create(ledger, role, role, NOW) for role in (SEND, CATALOG, DECIDE, READ, ADMIN)}
    keys[PUBLISHABLE] = create(ledger, "shop-page", PUBLISHABLE, NOW, [SHOP])
    with serving(workspace, "--workers", "2") as client:
        yield Shop(workspace, ledger, client, keys)


def said(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, after its shape was found right."""
    assert set(answer.json()) == {"code", "message"}, answer.text
    return answer.status_code, answer.json()["code"]


def call(asked: Shop, path: str, role: str, key: str | None) -> httpx.Response:
    filled = path.replace("{key}", "checkout-badge").replace("{customer}", "nobody")
    auth = (key, "") if key else None
    if role == READ:
        return asked.client.get(filled, auth=auth)
    return asked.client.post(filled, json={}, auth=auth)


@pytest.mark.parametrize(("path", "role"), KEYED)
def test_a_route_needs_a_key_of_its_role(asked: Shop, path: str, role: str) -> None:
    assert said(call(asked, path, role, None)) == (401, "no_key")
    assert said(call(asked, path, role, "f" * 40)) == (401, "wrong_key")
    assert call(asked, path, role, None).headers["www-authenticate"].startswith("Basic")
    for other, key in asked.keys.items():
        status = call(asked, path, role, key).status_code
        assert (status in (401, 403)) == (other not in (role, ADMIN)), (other, status)


def test_a_path_that_is_nearly_a_route_is_none(asked: Shop) -> None:
    """A line break at the end fits a pattern that ends with `$`; whoever finds the route there would pass the table."""
    for path in ("/metrics%0A", "/v1/customers/c000%0A", "/api/recommend%0A", "/METRICS"):
        assert said(asked.client.get(path)) == (404, "not_found")
    assert said(asked.client.post("/v1/recommend%0A", json={})) == (404, "not_found")
    assert said(asked.client.get("/docs.json")) == (404, "not_found")
    assert asked.client.get("/").headers["location"] == "/v1/docs"


def test_a_revoked_key_is_refused_by_every_worker_within_seconds(asked: Shop) -> None:
    attune = [str(Path(sys.executable).with_name("attune")), "keys"]
    folder = str(asked.workspace.folder)
    made = subprocess.run(
        [*attune, "create", "app", "--role", "decide", "-w", folder], capture_output=True, text=True, check=True
    )
    key = made.stdout.strip()

    def statuses() -> list[int]:
        """Each over a connection of its own, so that either worker may answer."""
        address = asked.client.base_url.join("/v1/recommend")
        return [httpx.post(address, json={}, auth=(key, ""), timeout=10).status_code for _ in range(8)]

    assert statuses() == [200] * 8
    subprocess.run([*attune, "revoke", key[:8], "-w", folder], check=True, capture_output=True)
    time.sleep(2.1)
    assert statuses() == [401] * 8


def test_a_page_is_answered_for_its_own_anonymous_id(asked: Shop) -> None:
    for path, body in (
        ("/v1/recommend", {"anonymous": "d7", "k": 2}),
        ("/v1/recommend/similar", {"item": "green"}),
        ("/v1/recommend/basket", {"cart": ["green"]}),
        ("/v1/offers/select", {}),
        ("/v1/experiments/checkout-badge/assign", {"anonymous": "d7"}),
        ("/v1/track", {"anonymousId": "d7", "event": "Product Viewed", "properties": {"product_id": "green"}}),
        ("/v1/p", {"anonymousId": "d7", "name": "Home"}),
    ):
        answer = asked.ask(path, body)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["access-control-allow-origin"] in (SHOP, "*")


def test_a_page_is_answered_for_whom_the_shop_signed(asked: Shop) -> None:
    of = asked.signed("c000")
    for body in ({"customer": "c000"}, {}):
        answer = asked.ask("/v1/recommend", body, of=of)
        assert (answer.status_code, answer.json()["fallback"]) == (200, None)
        assert asked.whose(answer.json()["decision_id"]) == "c000"
    event = {"userId": "c000", "event": "Product Viewed", "properties": {"product_id": "green"}}
    assert asked.ask("/v1/track", event, of=of).json()["stored"] == 1


def test_a_page_never_asks_for_somebody_else(asked: Shop) -> None:
    for of in (None, asked.signed("c002")):
        assert said(asked.ask("/v1/recommend", {"customer": "c000"}, of=of)) == (403, "wrong_customer")
        assert said(asked.ask("/v1/offers/select", {"customer": "c000"}, of=of)) == (403, "wrong_customer")
        event = {"userId": "c000", "event": "Product Viewed"}
        assert said(asked.ask("/v1/track", event, of=of)) == (403, "wrong_customer")
        assert said(asked.ask("/v1/t", event | {"userId": 7}, of=of)) == (403, "wrong_customer")
    for path, body in (
        ("recommend", {"anonymous": "d7"}),
        ("recommend/similar", {"item": "green"}),
        ("offers/select", {}),
    ):
        assert said(asked.ask(f"/v1/{path}", body | {"explain": "full"})) == (403, "wrong_role")
        assert asked.ask(f"/v1/{path}", body | {"explain": "none"}).status_code == 200
    of = asked.signed("c000")
    alias = {"userId": "c000", "previousId": "c002"}
    assert said(asked.ask("/v1/alias", alias, of=of)) == (403, "wrong_role")
    assert said(asked.ask("/v1/batch", {"batch": [{"type": "alias", **alias}]}, of=of)) == (403, "wrong_role")
    for path in ("/v1/customers/c000", "/metrics", "/reports/signals", "/v1/experiments/checkout-badge/report"):
        headers = {"authorization": f"Bearer {asked.keys[PUBLISHABLE]}", "origin": SHOP, "attune-customer": of}
        assert said(asked.client.get(path, headers=headers)) == (403, "wrong_role")
    assert said(asked.client.post(f"/v1/forms/{asked.keys[PUBLISHABLE]}", data={"email": "a@b.example"})) == (
        403,
        "wrong_role",
    )


def test_a_token_that_the_shop_did_not_sign_is_refused(asked: Shop) -> None:
    for of in (asked.signed("c000", secret="0" * 64), asked.signed("c000", -1), asked.signed("c000", 90_000), "", "x"):
        answer = asked.ask("/v1/recommend", {"customer": "c000"}, of=of)
        assert said(answer) == (401, "wrong_token")
        assert answer.json()["message"].startswith("attune-customer: the token ")
        assert answer.headers["access-control-allow-origin"] == SHOP  # the page may read why
    attune = str(Path(sys.executable).with_name("attune"))
    words = ["keys", "token", asked.keys[PUBLISHABLE][:8], "c000", "-w", str(asked.workspace.folder)]
    of = subprocess.run([attune, *words], capture_output=True, text=True, check=True).stdout.strip()
    assert asked.ask("/v1/recommend", {"customer": "c000"}, of=of).status_code == 200


def test_an_origin_that_is_not_listed_is_refused_and_may_read_nothing(asked: Shop) -> None:
    for origin in (None, EVIL, "null", "https://shop.example.evil.example", "http://shop.example", SHOP + ":444"):
        for path, body in (("/v1/recommend", {}), ("/v1/track", {"anonymousId": "d7", "event": "x"})):
            answer = asked.ask(path, body, origin=origin)
            assert said(answer) == (403, "wrong_origin")
            given = "absent" if origin is None else f"== {origin!r}"
            assert answer.json()["message"] == f"Origin is {given}; the key is for pages of {SHOP}"
            assert answer.headers.get("access-control-allow-origin") in (None, "*")
        assert "access-control-allow-origin" not in asked.ask("/v1/recommend", {}, origin=origin).headers


def test_a_key_of_the_shops_servers_is_refused_from_a_page(asked: Shop) -> None:
    for role in (DECIDE, ADMIN):
        headers = {"authorization": f"Bearer {asked.keys[role]}", "origin": SHOP}
        assert said(asked.client.post("/v1/recommend", json={}, headers=headers)) == (403, "wrong_origin")


def test_a_browser_is_told_beforehand_what_it_may(asked: Shop) -> None:
    def preflight(path: str, origin: str) -> httpx.Response:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return asked.client.options(path, headers=headers)

    for path in ("/v1/recommend", "/v1/experiments/checkout-badge/assign"):
        told = preflight(path, SHOP)
        assert (told.status_code, told.headers["access-control-allow-origin"]) == (204, SHOP)
        assert {"authorization", "attune-customer"} <= set(told.headers["access-control-allow-headers"].split(", "))
        assert said(preflight(path, EVIL)) == (403, "wrong_origin")
    for path in ("/v1/customers/c000", "/v1/catalog/items", "/api/recommend", "/metrics"):
        assert "access-control-allow-origin" not in preflight(path, SHOP).headers
    for number in range(3):  # a key counts from its first second on, however lately the keys were read
        assert preflight("/v1/recommend", SHOP).status_code == 204
        create(asked.ledger, f"new-{number}", PUBLISHABLE, NOW, [f"https://new-{number}.example"])
        assert preflight("/v1/recommend", f"https://new-{number}.example").status_code == 204


@pytest.mark.browser
def test_a_browser_lets_the_shops_page_read_the_answer_and_no_other(asked: Shop) -> None:
    """The lines of docs/service.md, in a page of 127.0.0.1 and in one of localhost: to a browser two origins."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import Error, sync_playwright

    lines = re.findall(r"```js\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[1]
    program = f"async ([host, key, token, anonymous]) => {{ {lines}; return answer }}"
    site = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    Thread(target=site.serve_forever, daemon=True).start()
    key = create(asked.ledger, "browser", PUBLISHABLE, NOW, [f"http://127.0.0.1:{site.server_port}"])
    of = token(secret_of(asked.ledger, key), "c000", time.time() + 60)
    host = str(asked.client.base_url).rstrip("/")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{site.server_port}/nothing")
        assert tab.evaluate(program, [host, key, None, "d7"])["items"]
        assert tab.evaluate(program, [host, key, of, None])["fallback"] is None
        tab.goto(f"http://localhost:{site.server_port}/nothing")
        with pytest.raises(Error, match="Failed to fetch"):
            tab.evaluate(program, [host, key, None, "d7"])
        browser.close()
    site.shutdown()
    site.server_close()


def test_a_page_cannot_take_an_idempotency_key_of_the_shops_servers(asked: Shop) -> None:
    name = {"idempotency-key": "order-17"}
    page = {"authorization": f"Bearer {asked.keys[PUBLISHABLE]}", "origin": SHOP}
    mine = asked.client.post("/v1/recommend", json={"k": 1}, headers=page | name)
    theirs = asked.client.post("/v1/recommend", json={"k": 2}, headers=name, auth=(asked.keys[DECIDE], ""))
    assert (mine.status_code, theirs.status_code) == (200, 200)
    assert mine.json()["decision_id"] != theirs.json()["decision_id"]


def test_a_key_that_asks_too_often_is_told_when_to_come_back(asked: Shop) -> None:
    slow = create(asked.ledger, "slow", DECIDE, NOW, per_second=2)
    answers = [asked.client.post("/v1/recommend", json={"k": 0}, auth=(slow, "")) for _ in range(12)]
    refused = [one for one in answers if one.status_code == 429]
    assert {one.status_code for one in answers} == {400, 429}
    assert {said(one) for one in refused} == {(429, "too_many")}
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert asked.client.post("/v1/recommend", json={}, auth=(asked.keys[DECIDE], "")).status_code == 200


def test_every_answer_says_what_a_browser_must_not_do(asked: Shop) -> None:
    auth = (asked.keys[ADMIN], "")
    answers = [
        asked.client.post("/v1/recommend", json={}, auth=auth),
        asked.client.post("/api/recommend", json={"request": {}}, auth=auth),
        asked.client.get("/reports/signals", auth=auth),
        *(
            asked.client.get(path)
            for path in ("/v1/docs", "/v1/nothing", "/livez", "/metrics", "/nothing", "/v1/pages/x")
        ),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_neither_log_nor_metrics_hold_what_somebody_asked(asked: Shop) -> None:
    hidden = "c0-very-private"
    auth, body = (asked.keys[ADMIN], ""), {"customer": hidden, "event": hidden, "userId": hidden}
    of = asked.signed(hidden)
    for path in ("/v1/recommend", "/v1/offers/select", "/v1/track", "/v1/nothing", f"/v1/{hidden}", f"/{hidden}"):
        asked.client.post(path, json=body, auth=auth)
        asked.ask(path, body, of=of)
        asked.client.post(path, content=json.dumps(body)[:-1], auth=auth)
    asked.client.get(f"/v1/customers/{hidden}", auth=auth)
    asked.client.get(f"/v1/pages/{hidden}")
    asked.client.post(f"/v1/forms/{asked.keys[SEND]}", data={"email": f"{hidden}@b.example"})
    metrics = asked.client.get("/metrics", auth=auth).text
    log = "".join(path.read_text() for path in asked.workspace.state.glob("service-*.log"))
    assert 'endpoint="/v1/customers/{customer}"' in metrics
    for private in (hidden, of, *asked.keys.values(), secret_of(asked.ledger, asked.keys[PUBLISHABLE])):
        assert private not in metrics
        assert private not in log


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "203.0.113.7"},
        {"via": "1.1 proxy"},
        {"host": "evil.example"},
        {"origin": "http://localhost"},
    ],
)
def test_without_keys_only_programs_on_this_host_are_answered(service: httpx.Client, headers: dict[str, str]) -> None:
    assert service.post("/v1/recommend", json={}).status_code == 200
    assert service.get("/metrics").status_code == 200
    assert said(service.post("/v1/recommend", json={}, headers=headers)) == (401, "no_key")
    assert said(service.get("/v1/customers/c000", headers=headers)) == (401, "no_key")
    assert said(service.get("/metrics", headers=headers)) == (401, "no_key")
    assert service.get("/livez", headers=headers).status_code == 200
    assert said(service.post("/v1/catalog/items", json={})) == (401, "no_key")


def test_beyond_this_host_nothing_is_served_without_a_key(asked: Shop, tmp_path: Path) -> None:
    """With keys the service gets as far as the address, which this host does not have."""

    def served(workspace: Workspace) -> tuple[int, str]:
        words = [str(Path(sys.executable).with_name("attune")), "serve", "--host", "203.0.113.1"]
        done = subprocess.run([*words, "-w", str(workspace.folder)], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert "203.0.113.1 cannot be used" in served(asked.workspace)[1]
    bare = copy_of(asked.workspace, tmp_path / "shop")
    with Ledger.at(bare.ledger).write() as connection:
        connection.exec_driver_sql("DELETE FROM keys WHERE role NOT IN ('send', 'catalog')")
    code, line = served(bare)
    assert (code, line.count("\n")) == (2, 1)
    assert "attune keys create NAME --role decide" in line
