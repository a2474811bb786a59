"""`POST /v1/recommend/batch`: found, bad request, not allowed; as single answers, the same under a retry."""

from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select

from features.decisions import decisions
from features.ledger import Ledger
from features.workspace import Workspace

PATH = "/v1/recommend/batch"
MANY = [f"c{number:03}" for number in range(30, 58)] + ["somebody"]


def asked(service: httpx.Client, headers: dict[str, str] | None = None, **body: Any) -> list[dict[str, Any]]:
    answer = service.post(PATH, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"answers"}
    found: list[dict[str, Any]] = answer.json()["answers"]
    return found


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between two decisions: the id, and scores, which fade with every second."""
    items = [{name: value for name, value in item.items() if name != "score"} for item in answer["items"]]
    return {**answer, "items": items, "decision_id": None}


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message"}
    return str(answer.json()["message"])


def test_each_customer_gets_in_its_place_what_it_would_get_alone(service: httpx.Client) -> None:
    wanted: dict[str, Any] = {"k": 3, "exclude": ["mocha"], "include_bought": "never"}
    together = asked(service, customers=MANY, **wanted)
    alone = [service.post("/v1/recommend", json={"customer": one, **wanted}).json() for one in MANY]
    assert list(map(plain, together)) == list(map(plain, alone))


def test_each_is_a_decision_of_its_own(service: httpx.Client) -> None:
    answers = asked(service, customers=["c030", "c031", "c030"])
    assert len({one["decision_id"] for one in answers}) == 3
    rows = [service.get(f"/v1/decisions/{one['decision_id']}").json() for one in answers]
    assert [row["customer"] for row in rows] == ["c030", "c031", "c030"]
    assert [row["chosen"] for row in rows] == [[item["item"] for item in one["items"]] for one in answers]


def test_a_retry_gets_the_same_answers_and_makes_no_further_decision(service: httpx.Client, shop: Workspace) -> None:
    def count() -> int:
        with Ledger.at(shop.ledger).read() as connection:
            mine = select(func.count()).select_from(decisions).where(decisions.c.decision_id.in_(ids))
            return int(connection.execute(mine).scalar_one())

    keyed = {"Idempotency-Key": "newsletter"}
    first = asked(service, keyed, customers=MANY, k=2)
    ids = [one["decision_id"] for one in first]
    assert count() == len(MANY)  # committed before the answer left
    assert asked(service, keyed, customers=MANY, k=2) == first
    assert count() == len(MANY)
    for other in ({"customers": MANY, "k": 3}, {"customers": MANY[:5], "k": 2}, {"customers": [*MANY, "c001"], "k": 2}):
        assert "'newsletter'" in refused(service.post(PATH, json=other, headers=keyed), 422)
    single = service.post("/v1/recommend", json={"customer": MANY[0], "k": 2}, headers=keyed)
    assert single.json()["decision_id"] not in ids


def test_who_was_erased_since_is_decided_anew_by_a_retry(service: httpx.Client, shop: Workspace) -> None:
    keyed, customers = {"Idempotency-Key": "erased"}, ["c044", "c046"]
    first = asked(service, keyed, customers=customers)
    with Ledger.at(shop.ledger).write() as connection:
        connection.execute(delete(decisions).where(decisions.c.decision_id == first[1]["decision_id"]))
    again = asked(service, keyed, customers=customers)
    assert again[0] == first[0]
    assert plain(again[1]) == plain(first[1])
    assert service.get(f"/v1/decisions/{first[1]['decision_id']}").json()["customer"] == "c046"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "customers: "),
        ({"customers": []}, "customers == []"),
        ({"customers": "c000"}, "customers == 'c000'"),
        ({"customers": ["c000", ""]}, "customers.1 == ''"),
        ({"customers": ["c000", 7]}, "customers.1 == 7"),
        ({"customers": [f"c{number}" for number in range(1_001)]}, "customers == "),
        ({"customers": [f"c{number}" for number in range(1_000)], "k": 51}, "at most 50000"),
        ({"customers": ["c000"], "k": 0}, "k == 0"),
        ({"customers": ["c000"], "history": ["green"]}, "unknown field 'history'"),
        ({"customers": ["c000"], "customer": "c000"}, "did you mean 'customers'"),
        ({"customers": ["c000"], "filter": {"item": "colour", "is": "red"}}, "colour"),
    ],
)
def test_what_is_wrong_is_refused_by_name(service: httpx.Client, body: dict[str, Any], words: str) -> None:
    assert words in refused(service.post(PATH, json=body), 400)


def test_another_method_is_not_allowed(service: httpx.Client) -> None:
    assert PATH in refused(service.get(PATH), 405)


def test_a_thousand_are_answered(service: httpx.Client) -> None:
    answers = asked(service, customers=[f"c{number:03}" for number in range(1_000)], k=3)
    assert len(answers) == 1_000
    assert all(len(one["items"]) == 3 for one in answers)
