"""The examples of the OpenAPI: each is sent as it stands, and answered as the document says.

They name customers and items of a simulated shop; the shop of `conftest` knows none of them.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from features.keys import ADMIN, create
from features.ledger import Ledger
from features.webhooks import keep
from features.workspace import Workspace
from serving.http.openapi import document

JSON = "application/json"
OPERATIONS = [(path, method, one) for path, all_ in document()["paths"].items() for method, one in all_.items()]
BODIES = [
    pytest.param(path, operation, operation["requestBody"]["content"][JSON], id=path)
    for path, _, operation in OPERATIONS
    if JSON in operation.get("requestBody", {}).get("content", {})
]
# what a form holds is the shop's own, and what stands behind a link its token; a `get` has no body
WITHOUT = {"/v1/forms/{key}", "/v1/pages/{token}"}
RECOMMENDING = ("/v1/recommend", "/v1/recommend/basket", "/v1/recommend/similar", "/v1/recommend/batch")


@dataclass(frozen=True)
class Asked:
    """A shop that is asked with a key, and the secret of its e-mail provider."""

    client: httpx.Client
    key: str
    secret: str

    def send(self, path: str, body: object) -> httpx.Response:
        content, path = json.dumps(body), path.replace("{key}", "checkout-badge")
        if path != "/v1/receipts/{source}":
            return self.client.post(path, content=content, headers={"content-type": JSON}, auth=(self.key, ""))
        now = datetime.now(UTC)
        signed = {"webhook-id": "w1", "webhook-timestamp": str(int(now.timestamp()))}
        signed |= {"webhook-signature": Webhook(self.secret).sign("w1", now, content)}
        return self.client.post("/v1/receipts/mailer", content=content, headers=signed)

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


@pytest.mark.parametrize("path", ["/v1/ready", "/v1/customers/{customer}", "/v1/decisions/{decision}"])
def test_what_is_only_looked_at_is_as_the_document_says(asked: Asked, path: str) -> None:
    made = asked.send("/v1/recommend", {"customer": "c000"}).json()["decision_id"]
    filled = path.replace("{customer}", "c000").replace("{decision}", made)
    answered(asked.see(filled), document()["paths"][path]["get"])
