"""The examples of the OpenAPI: each is sent as it stands, and answered as the document says.

They name customers and items of a simulated shop; the shop of `conftest` knows none of them.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from features.keys import ADMIN, create
from features.ledger import Ledger
from features.webhooks import keep
from features.workspace import Workspace
from serving.http.browse import page
from serving.http.calls import ALIASES
from serving.http.fetched import FETCHED
from serving.http.openapi import document

CHROMIUM = Path("/usr/bin/chromium")
JSON = "application/json"
OPERATIONS = [(path, method, one) for path, all_ in document()["paths"].items() for method, one in all_.items()]
BODIES = [
    pytest.param(path, operation, operation["requestBody"]["content"][JSON], id=path)
    for path, _, operation in OPERATIONS
    if JSON in operation.get("requestBody", {}).get("content", {})
]
# what a form holds is the shop's own, what stands behind a link its token, and who signs in types a key
WITHOUT = {"/v1/forms/{key}", "/v1/pages/{token}", "/v1/m", "/reports/sign-in", "/reports/sign-out"}
RECOMMENDING = (
    *(f"/v1/recommend{one}" for one in ("", "/basket", "/similar", "/batch")),
    "/api/recommend",
)
NAMED = {"decision", "token"}  # what stands in a path and nobody knows beforehand; and the key of a form, which is one


@dataclass(frozen=True)
class Asked:
    """A shop that is asked with a key, and the secret of its e-mail provider."""

    client: httpx.Client
    key: str
    secret: str

    def send(self, path: str, body: object) -> httpx.Response:
        content, filled = json.dumps(body), filled_in(path)
        if path != "/v1/receipts/{source}":
            return self.client.post(filled, content=content, headers={"content-type": JSON}, auth=(self.key, ""))
        now = datetime.now(UTC)
        signed = {"webhook-id": "w1", "webhook-timestamp": str(int(now.timestamp()))}
        signed |= {"webhook-signature": Webhook(self.secret).sign("w1", now, content)}
        return self.client.post(filled, content=content, headers=signed)

    def see(self, path: str) -> httpx.Response:
        return self.client.get(path, auth=(self.key, ""))


@pytest.fixture(scope="module")
def asked(
    untouched: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., AbstractContextManager[httpx.Client]],
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("examples") / "shop"
    shutil.copytree(untouched.folder, folder)
    shop = Workspace.open(folder)
    ledger, now = Ledger.at(shop.ledger), datetime.now(UTC)
    key, secret = create(ledger, "all", ADMIN, now), keep(ledger, "mailer", None, now)
    with serving(shop) as client:
        yield Asked(client, key, secret)


def filled_in(path: str) -> str:
    """The path with the examples of what stands in it."""
    for operation in document()["paths"][path].values():
        for one in operation.get("parameters", []):
            path = path.replace(f"{{{one['name']}}}", one.get("example", f"{{{one['name']}}}"))
    return path


def require_valid(value: object, schema: dict[str, Any]) -> None:
    """The value is what this schema of the document says."""
    Draft202012Validator(schema | {"components": document()["components"]}).validate(value)


def answered(answer: httpx.Response, operation: dict[str, Any]) -> Any:
    """The body of an answer, after its status and shape were found to be those of the document."""
    assert answer.status_code == 200, answer.text
    content = operation["responses"][str(answer.status_code)]["content"]
    assert answer.headers["content-type"].partition(";")[0] in content
    require_valid(answer.json(), content[JSON]["schema"])
    return answer.json()


def test_every_body_has_an_example_and_the_service_shows_it(asked: Asked) -> None:
    bodies = {path for path, method, _ in OPERATIONS if method == "post"} - WITHOUT
    assert bodies == {str(one.id) for one in BODIES if "example" in one.values[2]}
    assert asked.client.get("/v1/openapi.json").json() == document()


@pytest.mark.parametrize(("path", "operation", "content"), BODIES)
def test_an_example_is_what_its_schema_says_and_is_answered(
    asked: Asked, path: str, operation: dict[str, Any], content: dict[str, Any]
) -> None:
    require_valid(content["example"], content["schema"])
    found = answered(asked.send(path, content["example"]), operation)
    counts = {"accepted", "stored"} & found.keys()
    assert all(found[name] + found.get("repeated", 0) == 1 for name in counts)  # taken, not only answered
    assert not found.get("rejected")
    if path in RECOMMENDING:
        for one in found.get("answers", [found]):
            assert {item["reason"]["kind"] for item in one["items"]} == {"popular"}
            assert one["fallback"]


def test_every_part_of_a_path_has_an_example_where_one_can_be_known() -> None:
    for path, _, _ in OPERATIONS:
        assert set(re.findall(r"\{(\w+)\}", filled_in(path))) <= ({"key"} if "forms" in path else NAMED), path


@pytest.mark.parametrize("path", ["/v1/ready", "/v1/customers/{customer}", "/v1/decisions/{decision}"])
def test_what_is_only_looked_at_is_as_the_document_says(asked: Asked, path: str) -> None:
    made = asked.send("/v1/recommend", {"customer": "c000"}).json()["decision_id"]
    asked.send("/v1/identify", {"userId": "c000007", "traits": {}})
    answered(asked.see(filled_in(path).replace("{decision}", made)), document()["paths"][path]["get"])


@pytest.mark.parametrize("path", FETCHED)
def test_what_is_only_fetched_is_of_the_kind_that_the_document_says(asked: Asked, path: str) -> None:
    answer, described = asked.see(path), document()["paths"][path]["get"]["responses"]["200"]
    assert answer.status_code == 200
    assert {answer.headers["content-type"].partition(";")[0]} == described["content"].keys()
    assert answer.text


def test_the_root_leads_to_the_page_of_all_routes(asked: Asked) -> None:
    answer = asked.see("/")
    assert str(answer.status_code) in document()["paths"]["/"]["get"]["responses"]
    assert (answer.status_code, answer.headers["location"]) == (307, "/v1/docs")


def test_what_a_library_counts_of_itself_is_dropped(asked: Asked) -> None:
    answered(asked.client.post("/v1/m", content=b"no JSON"), document()["paths"]["/v1/m"]["post"])


@pytest.mark.parametrize("path", [path for path in [*FETCHED, "/"] if document()["paths"][path].keys() == {"get"}])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_is_only_fetched_refuses_another_method_in_our_words(asked: Asked, path: str, method: str) -> None:
    answer = asked.client.request(method, path, auth=(asked.key, ""))
    assert answer.status_code == 405
    require_valid(answer.json(), document()["paths"][path]["get"]["responses"]["405"]["content"][JSON]["schema"])
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_described_as_what_it_stands_for(alias: str, name: str) -> None:
    own, other = (document()["paths"][f"/v1/{one}"]["post"] for one in (alias, name))
    assert f"`/v1/{name}`" in own["summary"]
    assert {part for part in own if own[part] != other[part]} == {"summary", "operationId"}
    ids = [one["operationId"] for _, _, one in OPERATIONS if "operationId" in one]
    assert len(ids) == len(set(ids))


def test_the_page_shows_every_route_and_every_object_that_is_named() -> None:
    shown = unescape(page())
    for path, method, operation in OPERATIONS:
        assert f"<code>{method.upper()} {path}</code>" in shown
        assert operation["summary"] in shown
    for path, _, content in (one.values for one in BODIES):
        assert json.dumps(content["example"], separators=(",", ":")) in shown, path
    assert set(re.findall(r'href="#(\w+)"', shown)) <= set(re.findall(r'id="(\w+)"', shown))
    assert set(re.findall(r'id="(\w+)"', shown)) == document()["components"]["schemas"].keys()


@pytest.mark.parametrize("width", [1200, 320])
def test_a_browser_renders_the_page_and_asks_nobody_else(asked: Asked, width: int) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    address = f"{str(asked.client.base_url).rstrip('/')}/v1/docs"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("request", lambda request: said.append(request.url))
        tab.goto(address)
        assert tab.locator("section:has(pre)").count() == len(OPERATIONS)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert said == [address]
        answer = tab.get_by_text("The body is too large").first
        assert not answer.is_visible()
        tab.locator("summary").first.click()
        assert answer.is_visible()
        for word in ("413", "explain", "placement"):
            cell = tab.locator("td").get_by_text(word, exact=True).first
            assert cell.evaluate("one => one.getClientRects().length") == 1, word  # in one line
            assert cell.evaluate("one => one.offsetHeight") < 40, word
        browser.close()
