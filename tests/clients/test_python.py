"""The Python client against the running service: each call, and what went wrong."""

import asyncio
import inspect
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from attune_client import AsyncClient, AttuneError, Client, RefusedError, UnreachableError
from attune_client.client import Calls, Endpoint
from benchmarks.served import free_port
from features.keys import DECIDE, READ, SEND, create
from tests.clients.conftest import Place

NOW = datetime.now(UTC)
TEST = "checkout-badge"
CALLS: list[tuple[str, str, tuple[str, ...], dict[str, Any], str]] = [
    (DECIDE, "recommend", (), {"customer": "c000", "k": 3, "history": ["green", {"item": "mocha"}]}, "/v1/recommend"),
    (DECIDE, "recommend_batch", (), {"customers": ["c000", "c001"], "k": 2}, "/v1/recommend/batch"),
    (DECIDE, "basket", (), {"cart": ["green"], "include_bought": "mixed"}, "/v1/recommend/basket"),
    (DECIDE, "similar", (), {"item": "green", "exclude": ["white"]}, "/v1/recommend/similar"),
    (DECIDE, "select_offer", (), {"features": {"tenure": 1.0}, "offers": ["coupon"]}, "/v1/offers/select"),
    (DECIDE, "decide", (), {"slot": "home-hero", "customer": "c000"}, "/v1/decide"),
    (DECIDE, "assign", (TEST,), {"customer": "c000"}, "/v1/experiments/{key}/assign"),
    (READ, "customer", ("c000",), {}, "/v1/customers/{customer}"),
    (SEND, "track", (), {"event": "Signed Up", "customer": "c000"}, "/v1/track"),
    (SEND, "outcomes", (), {"outcomes": [{"outcome": "order", "customer": "c000", "value": 5.0}]}, "/v1/outcomes"),
    (SEND, "identify", (), {"customer": "c000", "traits": {"city": "Bonn"}}, "/v1/identify"),
]
CALL = ("role", "name", "given", "asked", "path")


def conforms(place: Place, path: str, answer: object) -> None:
    document = httpx.get(f"{place.url}/v1/openapi.json").json()
    (operation,) = document["paths"][path].values()
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": document["components"]}).validate(answer)


@pytest.mark.parametrize(CALL, CALLS)
def test_a_call_is_answered_as_the_openapi_says(
    place: Place, role: str, name: str, given: tuple[str, ...], asked: dict[str, Any], path: str
) -> None:
    with Client(place.url, place.keys[role]) as client:
        conforms(place, path, getattr(client, name)(*given, **asked))


@pytest.mark.parametrize(CALL, CALLS)
def test_a_call_can_be_awaited(
    place: Place, role: str, name: str, given: tuple[str, ...], asked: dict[str, Any], path: str
) -> None:
    async def awaited() -> object:
        async with AsyncClient(place.url, place.keys[role]) as client:
            return await getattr(client, name)(*given, **asked)

    conforms(place, path, asyncio.run(awaited()))


def test_the_stored_report_is_read(place: Place) -> None:
    with Client(place.url, place.keys[DECIDE]) as client:
        for number in range(40):
            client.assign(TEST, customer=f"c{number:03}")
    time.sleep(1)  # the journal commits in groups
    command = [sys.executable, "-m", "serving.cli", "report", "experiment", TEST, "-w", str(place.workspace.folder)]
    subprocess.run(command, capture_output=True, check=True)
    with Client(place.url, place.keys[READ]) as client:
        report = client.report(TEST)
    conforms(place, "/v1/experiments/{key}/report", report)
    assert [arm["arm"] for arm in report["arms"]] == ["control", "treatment"]


def test_a_decision_is_read_back(place: Place) -> None:
    with Client(place.url, place.keys[DECIDE]) as client:
        decided = client.recommend(customer="c000", k=2)
    with Client(place.url, place.keys[READ]) as client:
        row = client.decision(decided["decision_id"])
    conforms(place, "/v1/decisions/{decision}", row)
    assert row["chosen"] == [item["item"] for item in decided["items"]]


def test_every_call_is_tried_here() -> None:
    named = {name for name, one in inspect.getmembers(Calls) if isinstance(one, Endpoint)}
    assert named == {name for _, name, *_ in CALLS} | {"report", "decision"}


def test_a_customer_may_hold_a_slash(place: Place) -> None:
    who = f"a/b?c#{uuid.uuid4().hex}"
    with Client(place.url, place.keys[SEND]) as client:
        client.identify(customer=who, traits={"city": "Bonn"})
    with Client(place.url, place.keys[READ]) as client:
        assert client.customer(who)["traits"] == {"city": "Bonn"}


@pytest.mark.parametrize(
    ("role", "slot", "status", "code", "words"),
    [
        (DECIDE, "home-herp", 404, "not_found", "home-hero"),
        (DECIDE, "", 400, "bad_request", "slot"),
        (SEND, "home-hero", 403, "wrong_role", "decide"),
        (None, "home-hero", 401, "no_key", "attune keys create"),
    ],
)
def test_what_is_refused_is_an_error_with_code_and_message(
    place: Place, role: str | None, slot: str, status: int, code: str, words: str
) -> None:
    with Client(place.url, role and place.keys[role]) as client, pytest.raises(RefusedError, match=words) as refused:
        client.decide(slot=slot)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert str(refused.value) == f"{code}: {refused.value.message}"


def test_nobody_there_is_an_error_of_its_own() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(UnreachableError) as missing:
        client.decide(slot="home-hero")
    assert missing.value.code == "no_connection"
    assert isinstance(missing.value, AttuneError)


def test_a_key_that_asks_too_often_waits_as_long_as_it_is_told(place: Place) -> None:
    slow = create(place.ledger, f"slow-{uuid.uuid4().hex[:8]}", DECIDE, NOW, per_second=1)
    with Client(place.url, slow) as client:
        began = time.monotonic()
        for _ in range(3):
            assert client.recommend(k=1)["items"]
    assert time.monotonic() - began > 1
