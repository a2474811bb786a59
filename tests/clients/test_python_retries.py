"""What the Python client tries again, and what not; a proxy stands between it and the running service."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from attune_client import AsyncClient, Client, RefusedError, UnreachableError
from features.keys import DECIDE, SEND
from tests.clients.conftest import Place


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
