"""Every route of the OpenAPI, called as its schema says and as it does not, with every check of schemathesis on."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from features.keys import ADMIN, create
from features.ledger import Ledger
from features.workspace import Workspace
from serving.http.calls import ALIASES, CALLS
from serving.http.openapi import document
from serving.http.roles import NEEDED, OPEN, SIGNED

API = schemathesis.openapi.from_dict(document())
# what can be read of an event is taken, and one item or event that cannot be costs none of the others: 200 says which
LENIENT = [f"/v1/{name}" for name in (*CALLS, *ALIASES, "batch", "outcomes", "catalog/items")]
OPERATIONS = [(path, method) for path, one in document()["paths"].items() for method in one]
MODES = [(*one, GenerationMode.POSITIVE) for one in OPERATIONS] + [
    (path, method, GenerationMode.NEGATIVE)
    for path, method in OPERATIONS  # without a body, a part of the path or a key there is nothing to get wrong
    if {"requestBody", "parameters"} & document()["paths"][path][method].keys() or NEEDED[path] not in (OPEN, SIGNED)
]
ITEMS: dict[str, dict[str, Any]] = {
    "/v1/recommend": {},
    "/v1/recommend/basket": {"cart": ["green"]},
    "/v1/recommend/similar": {"item": "green"},
    "/v1/recommend/batch": {"customers": ["c000"]},
}
OFFERS, OUTCOMES = "/v1/offers/select", "/v1/outcomes"
ORDER = {"outcome": "order", "customer": "c000", "item": "green"}
BROAD, NARROW = {"item": "price", "at_least": 2, "at_most": 1}, {"key": "a", "items": ["green"]}
ABOVE = r"given: condition\b.*is above at_most|^(?=.{480}).*given: condition\b"  # what is longer is cut
# the only sound bodies that are refused, each with the words of the refusal: no schema can say these rules
RULES: list[tuple[str, dict[str, Any], str]] = [
    # the workspace says which placements, attributes, events, offers, features, rates and decisions there are
    *((path, one | {"placement": "nowhere"}, "^placement == .*there is none in") for path, one in ITEMS.items()),
    *(
        (path, one | {"filter": {"item": "colour", "is": "red"}}, "^the catalogue has no attribute")
        for path, one in ITEMS.items()
    ),
    *(
        (path, ITEMS[path] | {"history": [{"item": "green", "event": "Dreamt"}]}, r"^history\.\d+\.event == ")
        for path in ("/v1/recommend", "/v1/recommend/basket")
    ),
    (OFFERS, {"offers": ["nothing"]}, "^offers == "),
    (OFFERS, {"features": {"height": 1}}, "^feature table lacks the columns"),
    (OUTCOMES, ORDER | {"value": 1, "currency": "XXX"}, "^currency has no rate"),
    (OUTCOMES, {"outcome": "click", "decision_id": "0"}, "^decision_id == .*name the customer$"),
    # a rule between two numbers, or between two entries of a list
    *((path, one | {"filter": BROAD}, ABOVE) for path, one in ITEMS.items()),
    *((path, one | {"pinned": [NARROW, NARROW]}, "^pinned == .*two promotions have") for path, one in ITEMS.items()),
    ("/v1/recommend/batch", {"customers": ["c000"] * 51, "k": 1_000}, "^.*customers x k == "),
    (OUTCOMES, ORDER | {"value": 1e12, "quantity": 1e-9}, "^price == "),
]
OWN = {"/v1/recommend": "/api/recommend", OFFERS: "/api/offers/select"}
RULES += [(OWN[path], {"request": body}, words) for path, body, words in RULES if path in OWN]
REUSED = "^Idempotency-Key .*another body before"  # a rule between two requests


# what their bodies name, a slot, a test or a key, is the workspace's: 404 says so, or 403
NAMED = ("/v1/decide", "/api/experiments/assign", "/reports/sign-in")


@dataclass(frozen=True)
class Asked:
    """A service that is asked with a key."""

    url: str
    key: str


@pytest.fixture(scope="module")
def asked(
    untouched: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., AbstractContextManager[httpx.Client]],
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("schema") / "shop"
    shutil.copytree(untouched.folder, folder)
    shop = Workspace.open(folder)
    key = create(Ledger.at(shop.ledger), "all", ADMIN, datetime.now(UTC), per_second=100_000)
    with serving(shop) as client:
        yield Asked(str(client.base_url).rstrip("/"), key)


def accepted(context: Any, response: Any, case: Any) -> bool | None:
    """A sound request is not refused, but by a rule that no schema can say."""
    said = response.json()["message"] if response.status_code in (400, 422) else ""
    rules = [words for path, _, words in RULES if path == case.operation.path]
    if said and any(re.search(words, said) for words in [*rules, REUSED]):
        return None
    return positive_data_acceptance(context, response, case)


@pytest.mark.parametrize(("path", "method", "mode"), MODES)
def test_a_call_made_from_the_schema_is_answered_as_the_schema_says(
    asked: Asked, path: str, method: str, mode: GenerationMode
) -> None:
    found = set()

    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(API[path][method.upper()].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        without = [positive_data_acceptance] + [negative_data_rejection] * (path in LENIENT)
        answer = case.call_and_validate(
            base_url=asked.url,
            auth=(asked.key, ""),
            additional_checks=[accepted],
            excluded_checks=without,
            allow_redirects=False,
        )
        found.add(answer.status_code)

    call()
    if mode == GenerationMode.POSITIVE and "{" not in path and path not in NAMED:
        assert found & {200, 303, 307}


@pytest.mark.parametrize(("path", "body", "words"), RULES)
def test_a_sound_body_is_refused_by_a_rule_that_no_schema_can_say(
    asked: Asked, path: str, body: dict[str, Any], words: str
) -> None:
    schema = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document()["components"]}).validate(body)
    answer = httpx.post(f"{asked.url}{path}", json=body, auth=(asked.key, ""))
    assert answer.status_code == 400
    assert re.search(words, answer.json()["message"])


@pytest.mark.parametrize(("kind", "field"), [("Track", "event"), ("Group", "groupId"), ("Alias", "previousId")])
@pytest.mark.parametrize("text", ["\0", "a\0b", " ", ""])
def test_a_schema_says_that_an_id_or_a_name_is_neither_blank_nor_has_a_nul(kind: str, field: str, text: str) -> None:
    schema = document()["components"]["schemas"][f"{kind}Call"]["properties"][field]
    assert not Draft202012Validator(schema).is_valid(text)
    assert Draft202012Validator(schema).is_valid("a b")
