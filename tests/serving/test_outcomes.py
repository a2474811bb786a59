"""`POST /v1/outcomes`: what a shop without a library says came of decisions is in the ledger, once, as events."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from sqlalchemy import select

from features.consent import allows, say
from features.history import live_events
from features.keys import create
from features.ledger import Ledger
from features.rejects import rejects
from features.workspace import Workspace
from serving.decisions.outcomes import NAMES, Outcome
from serving.http.openapi import document

PATH = "/v1/outcomes"


@pytest.fixture(scope="module")
def ledger(shop: Workspace) -> Iterator[Ledger]:
    opened = Ledger.at(shop.ledger)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def key(ledger: Ledger) -> str:
    return create(ledger, "till", "send", datetime.now(UTC))


def outcome(**fields: Any) -> dict[str, Any]:
    return {"outcome": "order", "customer": "anna", "id": uuid.uuid4().hex, "value": 20.0} | fields


def sent(service: httpx.Client, key: str, body: object) -> dict[str, Any]:
    answer = service.post(PATH, json=body, auth=(key, ""))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set(answer.json()) == {"code", "message"}
    return str(answer.json()["message"])


def rows(ledger: Ledger, message: str) -> list[dict[str, Any]]:
    query = select(live_events.c.body).where(live_events.c.body.contains(message)).order_by(live_events.c.sequence)
    with ledger.read() as connection:
        return [orjson.loads(body) for body in connection.execute(query).scalars()]


@pytest.mark.parametrize("word", NAMES)
def test_every_outcome_is_an_event_that_the_features_know(
    service: httpx.Client, ledger: Ledger, key: str, word: str
) -> None:
    body = outcome(outcome=word, item="green", channel="email", campaign="may", time="2026-03-01T12:00:00Z")
    assert sent(service, key, body) == {"success": True, "stored": 1, "repeated": 0, "rejected": 0}
    (row,) = rows(ledger, body["id"])
    assert (row["name"], row["source"], row["customer"], row["item"]) == (NAMES[word], "till", "anna", "green")
    assert (row["channel"], row["campaign"], row["time"][:19]) == ("email", "may", "2026-03-01T12:00:00")
    assert row["live"] is True


def test_an_event_of_any_other_name_is_kept_under_it(service: httpx.Client, ledger: Ledger, key: str) -> None:
    body = outcome(outcome=None, event="Signed Up", properties={"plan": "b"})
    sent(service, key, body)
    (row,) = rows(ledger, body["id"])
    assert row["name"] == "Signed Up"
    assert orjson.loads(row["properties"]) == {"plan": "b", "value": 20.0}


def test_the_value_of_an_order_is_its_revenue(service: httpx.Client, ledger: Ledger, key: str) -> None:
    def worth(**fields: Any) -> float:
        body = outcome(order_id="o17", **fields)
        sent(service, key, body)
        found = rows(ledger, body["id"])
        assert {row["order_id"] for row in found} == {"o17"}
        return sum(row["quantity"] * row["price"] for row in found)

    assert worth(value=20.0) == 20.0
    assert worth(value=20.0, item="green", quantity=4) == 20.0
    lines = [{"item": "green", "quantity": 2, "price": 4.0}, {"item": "mocha", "price": 6.5}]
    assert worth(value=None, lines=lines) == 14.5


def test_the_same_id_is_stored_once(service: httpx.Client, ledger: Ledger, key: str) -> None:
    body = outcome()
    counts = [sent(service, key, body)["stored"] for _ in range(2)]
    assert counts == [1, 0]
    assert sent(service, key, {"outcomes": [body, outcome(), body]})["repeated"] == 2
    assert len(rows(ledger, body["id"])) == 1


@pytest.mark.parametrize("wait", [0, 0.6], ids=["in its segment", "in the ledger too"])
def test_a_decision_says_whose_an_outcome_is(service: httpx.Client, ledger: Ledger, key: str, wait: float) -> None:
    decided = service.post("/v1/recommend", json={"customer": "c004"}).json()["decision_id"]
    slot = {"slot": "home-hero", "anonymous": f"d-{uuid.uuid4().hex}"}
    shown = service.post("/v1/decide", json=slot).json()["decision_id"]
    time.sleep(wait)
    bodies = [outcome(customer=None, decision_id=one) for one in (decided, shown)]
    assert sent(service, key, {"outcomes": bodies})["stored"] == 2
    (row,), (seen,) = (rows(ledger, body["id"]) for body in bodies)
    assert (row["customer"], row["anonymous"]) == ("c004", None)
    assert orjson.loads(row["properties"])["decision_id"] == decided
    assert (seen["customer"], seen["anonymous"]) == (None, slot["anonymous"])


def test_who_is_named_beside_a_decision_is_whose_it_is(service: httpx.Client, ledger: Ledger, key: str) -> None:
    body = outcome(decision_id="of another shop")
    sent(service, key, body)
    assert rows(ledger, body["id"])[0]["customer"] == "anna"


def test_of_many_the_bad_ones_are_named_and_filed_and_the_rest_is_taken(
    service: httpx.Client, ledger: Ledger, key: str
) -> None:
    nobody = service.post("/v1/recommend", json={}).json()["decision_id"]
    mark, good = uuid.uuid4().hex, outcome()
    bad: list[tuple[Any, str]] = [
        (outcome(outcome="oder", order_id=mark), "outcome == 'oder'"),
        (outcome(custmer=mark), "did you mean 'customer'"),
        ({"outcome": "order", "order_id": mark}, "customer, anonymous or decision_id is needed"),
        ({"customer": "anna", "order_id": mark}, "one of outcome and event is needed"),
        (outcome(value=-1, order_id=mark), "value == -1"),
        (outcome(currency="XXX", order_id=mark), "currency has no rate: XXX"),
        (outcome(time="yesterday", order_id=mark), "time == 'yesterday'"),
        (outcome(time="1960-01-01T00:00:00Z", order_id=mark), "that long ago there were no signals"),
        (outcome(customer=None, decision_id=mark), "is not in the journal: name the customer"),
        (outcome(customer=None, decision_id=nobody, order_id=mark), "made for nobody who is known"),
    ]
    said = sent(service, key, {"outcomes": [*(one for one, _ in bad), good]})
    assert (said["stored"], said["rejected"]) == (1, len(bad))
    assert [one["event"] for one in said["rejects"]] == list(range(10))
    for (_, words), one in zip(bad, said["rejects"], strict=False):
        assert words in one["reason"], one
    assert len(rows(ledger, good["id"])) == 1
    with ledger.read() as connection:
        filed = connection.execute(select(rejects.c.reason).where(rejects.c.body.contains(mark))).scalars().all()
    assert sorted(filed) == sorted(one["reason"] for one in said["rejects"])


@pytest.mark.parametrize("one", [7, "order", None, [], {}])
def test_what_is_no_outcome_costs_none_of_its_neighbours(service: httpx.Client, key: str, one: object) -> None:
    said = sent(service, key, {"outcomes": [outcome(), one, outcome()]})
    assert (said["stored"], said["rejected"], said["rejects"][0]["event"]) == (2, 1, 1)


def test_a_single_one_that_cannot_be_taken_is_refused(service: httpx.Client, key: str) -> None:
    answer = service.post(PATH, json=outcome(outcome="oder"), auth=(key, ""))
    assert refused(answer, 400, "rejected").startswith("outcome == 'oder'")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"outcomes": []}, 400, "outcomes == []"),
        ({"outcomes": {}}, 400, "outcomes == {}"),
        ({"outcomes": [{}], "more": 1}, 400, "unknown field 'more'"),
        ({"outcomes": [{}] * 1_001}, 413, "1001"),
        ([outcome()], 400, "an object is needed"),
    ],
)
def test_what_is_no_list_of_outcomes_is_refused(
    service: httpx.Client, key: str, body: object, status: int, words: str
) -> None:
    answer = service.post(PATH, json=body, auth=(key, ""))
    assert words in refused(answer, status, answer.json()["code"])


def test_who_may_not_send_is_refused(service: httpx.Client, ledger: Ledger, key: str) -> None:
    refused(service.post(PATH, json=outcome()), 401, "no_key")
    refused(service.post(PATH, json=outcome(), auth=("nobody's", "")), 401, "wrong_key")
    feed = create(ledger, "feed", "catalog", datetime.now(UTC))
    refused(service.post(PATH, json=outcome(), auth=(feed, "")), 403, "wrong_role")
    refused(service.get(PATH, auth=(key, "")), 405, "not_allowed")
    refused(service.post(PATH, content=b"{", auth=(key, "")), 400, "not_json")


def test_an_unsubscribe_ends_the_consent_each_time(service: httpx.Client, ledger: Ledger, key: str) -> None:
    who = uuid.uuid4().hex
    for _ in range(2):
        say(ledger, who, "marketing", granted=True, source="page", proof="box", time=datetime.now(UTC))
        assert allows(ledger, who, purpose="marketing", as_of=datetime.now(UTC))
        sent(service, key, outcome(outcome="unsubscribe", customer=who, value=None))
        assert not allows(ledger, who, purpose="marketing", as_of=datetime.now(UTC))


def test_the_documented_fields_are_those_that_are_taken() -> None:
    assert set(document()["components"]["schemas"]["Outcome"]["properties"]) == set(Outcome.model_fields)


API = schemathesis.openapi.from_dict(document())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_calls_made_from_the_schema_are_taken_or_refused_in_one_line(
    service: httpx.Client, key: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(API[PATH]["POST"].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        answer = case.call(base_url=str(service.base_url), auth=(key, ""))
        assert str(answer.status_code) in document()["paths"][PATH]["post"]["responses"], answer.text
        assert answer.status_code < 500, answer.text
        said = answer.json()
        assert said.get("success") is True if answer.status_code == 200 else set(said) == {"code", "message"}

    call()
