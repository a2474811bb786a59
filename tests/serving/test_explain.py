"""`explain`: how much of the reasons is answered; the row of the decision is the same in any case."""

import json
from typing import Any

import httpx
import pytest

FACTS = ("decision_id", "reason", "policy", "probability", "model", "model_version", "workspace_hash", "fallback")
ASKED = [
    ("recommend", {"customer": "c000", "k": 3}),
    ("recommend/basket", {"cart": ["green"]}),
    ("recommend/similar", {"item": "green"}),
    ("offers/select", {"customer": "c000"}),
    ("decide", {"slot": "home-hero", "customer": "c001"}),
]
each_route = pytest.mark.parametrize(("path", "body"), ASKED)


def asked(service: httpx.Client, path: str, body: dict[str, Any], **more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and the row of its decision."""
    answer = service.post(f"/v1/{path}", json=body | more)
    assert answer.status_code == 200, answer.text
    return answer.json(), service.get(f"/v1/decisions/{answer.json()['decision_id']}").json()


@each_route
def test_none_leaves_the_reasons_to_the_row(service: httpx.Client, path: str, body: dict[str, Any]) -> None:
    plain, _ = asked(service, path, body)
    bare, row = asked(service, path, body, explain="none")
    assert all(name in bare for name in FACTS)
    assert row["reason"] == bare["reason"]
    assert all("reason" in one for one in plain.get("items", []))
    assert not any("reason" in one for one in bare.get("items", []))
    if path == "recommend":
        assert len(json.dumps(bare["items"])) < len(json.dumps(plain["items"])) / 2
    assert set(plain) - set(bare) == ({"what_would_change"} if path == "offers/select" else set())


@each_route
def test_full_says_what_the_row_says(service: httpx.Client, path: str, body: dict[str, Any]) -> None:
    plain, row_of_plain = asked(service, path, body, explain="short")
    full, row = asked(service, path, body, explain="full")
    assert set(full) == set(plain) | {"options", "context"}
    assert full["options"] == row["options"]
    assert full["context"] == row["context"]
    assert set(row_of_plain["context"]) == set(row["context"])


def test_a_batch_explains_each_of_its_answers(service: httpx.Client) -> None:
    body = {"customers": ["c000", "nobody"], "k": 2}
    bare = service.post("/v1/recommend/batch", json=body | {"explain": "none"}).json()["answers"]
    full = service.post("/v1/recommend/batch", json=body | {"explain": "full"}).json()["answers"]
    assert not any("reason" in item for one in bare for item in one["items"])
    assert [[option["key"] for option in one["options"]] for one in full] == [
        [item["item"] for item in one["items"]] for one in full
    ]


def test_a_retry_is_explained_as_it_was_first(service: httpx.Client) -> None:
    body, key = {"customer": "c001", "explain": "full"}, {"Idempotency-Key": "explained"}
    first = service.post("/v1/offers/select", json=body, headers=key).json()
    assert service.post("/v1/offers/select", json=body, headers=key).json() == first
    assert first["options"]


def test_another_word_is_refused(service: httpx.Client) -> None:
    refused = service.post("/v1/recommend", json={"customer": "c000", "explain": "more"})
    assert refused.status_code == 400
    assert "explain" in refused.json()["message"]
