"""The Python client against the running service: each call, what went wrong, and what is tried again."""

import asyncio
import inspect
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from attune_client import AsyncClient, AttuneError, Client, RefusedError, UnreachableError
from attune_client.client import Calls, Endpoint
from features.keys import DECIDE, READ, SEND, create
from tests.clients.conftest import Place
from tests.serving.conftest import free_port

NOW = datetime.now(UTC)
TEST = "checkout-badge"
CALLS: list[tuple[str, str, tuple[str, ...], dict[str, Any], str]] = [
    (DECIDE, "recommend", (), {"customer": "c000", "k": 3, "history": ["green", {"item": "mocha"}]}, "/v1/recommend"),
    (DECIDE, "basket", (), {"cart": ["green"], "include_bought": "mixed"}, "/v1/recommend/basket"),
    (DECIDE, "similar", (), {"item": "green", "exclude": ["white"]}, "/v1/recommend/similar"),
    (DECIDE, "select_offer", (), {"features": {"tenure": 1.0}, "offers": ["coupon"]}, "/v1/offers/select"),
    (DECIDE, "decide", (), {"slot": "home-hero", "customer": "c000"}, "/v1/decide"),
    (DECIDE, "assign", (TEST,), {"customer": "c000"}, "/v1/experiments/{key}/assign"),
    (READ, "customer", ("c000",), {}, "/v1/customers/{customer}"),
    (SEND, "track", (), {"event": "Signed Up", "customer": "c000"}, "/v1/track"),
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


def test_every_call_is_tried_here() -> None:
    named = {name for name, one in inspect.getmembers(Calls) if isinstance(one, Endpoint)}
    assert named == {name for _, name, *_ in CALLS} | {"report"}


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


@contextmanager
def between(place: Place, *first: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A proxy before the service, and the headers that it saw. What it does to the first requests:

    drop   the service answers, and the connection ends before the client hears of it
    busy   503 with Retry-After; the service hears nothing
    down   503 without it
    mute   nothing, for longer than the client waits
    page   a page of HTML
    """
    seen: list[dict[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            do = first[len(seen) - 1] if len(seen) <= len(first) else "pass"
            if do in ("drop", "pass"):
                kept = {name: value for name, value in seen[-1].items() if name not in ("host", "connection")}
                told = httpx.post(f"{place.url}{self.path}", content=body, headers=kept)
                if do == "pass":
                    self.answer(told.status_code, told.content)
            elif do == "mute":
                time.sleep(1)
            elif do == "page":
                self.answer(502, b"<h1>Bad gateway</h1>")
            else:
                headers = {"retry-after": "1"} if do == "busy" else {}
                self.answer(503, b'{"code": "try_again", "message": "busy"}', headers)

        def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def customer() -> str:
    return f"client-{uuid.uuid4().hex}"


def test_under_a_key_a_dropped_connection_is_tried_again_and_decided_once(place: Place) -> None:
    who = customer()
    with between(place, "drop", "drop") as (url, seen), Client(url, place.keys[DECIDE]) as client:
        answer = client.select_offer(customer=who, idempotency_key=who)
    assert [one["idempotency-key"] for one in seen] == [who] * 3
    assert place.decided(who) == [answer["decision_id"]]


def test_an_awaited_call_is_tried_again_too(place: Place) -> None:
    who = customer()

    async def awaited(url: str) -> str:
        async with AsyncClient(url, place.keys[DECIDE]) as client:
            return (await client.decide(slot="home-hero", customer=who, idempotency_key=who))["decision_id"]

    with between(place, "drop") as (url, seen):
        answered = asyncio.run(awaited(url))
    assert (place.decided(who), len(seen)) == ([answered], 2)


def test_without_a_key_it_is_not_because_it_may_have_been_decided(place: Place) -> None:
    with (
        between(place, "drop") as (url, seen),
        Client(url, place.keys[DECIDE]) as client,
        pytest.raises(UnreachableError, match="no_connection"),
    ):
        client.select_offer(customer=customer())
    assert len(seen) == 1


def test_an_event_is_tried_again_and_kept_once(place: Place) -> None:
    who = customer()
    with between(place, "drop") as (url, seen), Client(url, place.keys[SEND]) as client:
        assert client.track(event="Signed Up", customer=who)["repeated"] == 1
    assert len(seen) == 2
    assert len(place.events(who)) == 1


def test_a_busy_service_is_asked_again_when_it_says(place: Place) -> None:
    began = time.monotonic()
    with between(place, "busy") as (url, seen), Client(url, place.keys[DECIDE]) as client:
        assert client.recommend(k=1)["items"]
    assert len(seen) == 2
    assert time.monotonic() - began > 1


@pytest.mark.parametrize(
    ("first", "code", "tries"),
    [(("busy",) * 9, "try_again", 3), (("down",), "try_again", 1), (("page",), "not_attune", 1)],
)
def test_what_another_try_does_not_help_is_an_error(place: Place, first: tuple[str], code: str, tries: int) -> None:
    with (
        between(place, *first) as (url, seen),
        Client(url, place.keys[DECIDE]) as client,
        pytest.raises(RefusedError) as refused,
    ):
        client.recommend(k=1)
    assert (refused.value.code, len(seen)) == (code, tries)


def test_who_does_not_answer_in_time_is_given_up(place: Place) -> None:
    with (
        between(place, "mute") as (url, seen),
        Client(url, place.keys[DECIDE], timeout=0.2) as client,
        pytest.raises(UnreachableError) as late,
    ):
        client.recommend(k=1, idempotency_key=customer())
    assert (late.value.code, len(seen)) == ("timeout", 1)
