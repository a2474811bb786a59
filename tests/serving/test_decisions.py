"""`GET /v1/decisions/{id}`: found at once, unknown, bad request, not allowed; it says what was answered, and more."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from features.decisions import decisions

FACTS = ("decision_id", "reason", "policy", "probability", "model", "model_version", "workspace_hash", "fallback")
ASKED = [
    ("recommend", {"customer": "c000", "k": 3}),
    ("recommend/basket", {"cart": ["green"]}),
    ("recommend/similar", {"item": "green"}),
    ("offers/select", {"customer": "c001"}),
    ("decide", {"slot": "home-hero", "customer": "c001"}),
    ("experiments/checkout-badge/assign", {"customer": "c001"}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
@pytest.mark.parametrize("keyed", [{}, {"Idempotency-Key": "whole"}], ids=["in its segment", "in the ledger alone"])
def test_a_decision_is_shown_whole_from_the_moment_of_its_answer(
    service: httpx.Client, path: str, body: dict[str, object], keyed: dict[str, str]
) -> None:
    answer = service.post(f"/v1/{path}", json=body, headers=keyed).json()
    found = service.get(f"/v1/decisions/{answer['decision_id']}")
    assert found.status_code == 200, found.text
    row = found.json()
    assert set(row) == {column.name for column in decisions.columns}
    assert {name: row[name] for name in FACTS} == {name: answer[name] for name in FACTS}
    assert "retry" not in row["context"]  # what is kept for a retry
    assert row["customer"] == body.get("customer")
    assert abs(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert set(row["chosen"]) <= {option["key"] for option in row["options"]} | {"arm"}


def test_the_options_are_those_of_the_answer_with_their_scores(service: httpx.Client) -> None:
    answer = service.post("/v1/recommend", json={"customer": "c000", "k": 3, "exclude": ["mocha"]}).json()
    row = service.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert [(one["key"], one["score"]) for one in row["options"]] == [
        (one["item"], one["score"]) for one in answer["items"]
    ]
    assert row["chosen"] == [one["item"] for one in answer["items"]]
    assert (row["context"]["k"], row["context"]["exclude"]) == (3, ["mocha"])


@pytest.mark.parametrize("decision_id", ["nothing-of-the-kind", "0" * 32, "%22", "d'or", "d\u00fcne"])
def test_an_id_that_no_answer_had_is_not_found(service: httpx.Client, decision_id: str) -> None:
    answer = service.get(f"/v1/decisions/{decision_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "is not in the journal" in answer.json()["message"]


@pytest.mark.parametrize("decision_id", ["%00", "d%01", "d" * 257])
def test_what_is_no_id_is_refused_by_name(service: httpx.Client, decision_id: str) -> None:
    answer = service.get(f"/v1/decisions/{decision_id}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith("decision == ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_another_method_is_not_allowed(service: httpx.Client, method: str) -> None:
    assert service.request(method, "/v1/decisions/d1").status_code == 405
