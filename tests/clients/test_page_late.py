"""attune.js where the service is late, fails, or is not there: the page keeps its own default."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from benchmarks.served import free_port
from tests.clients.conftest import Place, Shop

pytestmark = pytest.mark.browser


@contextmanager
def slow(place: Place, how: str) -> Iterator[tuple[str, list[str]]]:
    """A proxy before the service that is late, drops, fails or talks nonsense where it is asked to decide."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(httpx.get(f"{place.url}{self.path}"))

        def do_OPTIONS(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            asked.append(self.path)
            if how == "dropped" and self.path == "/v1/decide":
                return
            if how == "late" and self.path == "/v1/decide":
                time.sleep(1)
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            told = httpx.request(self.command, f"{place.url}{self.path}", content=body, headers=kept)
            self.answer(told, NONSENSE.get(how) if self.path == "/v1/decide" and self.command == "POST" else None)

        def answer(self, told: httpx.Response, instead: bytes | None = None) -> None:
            content = told.content if instead is None else instead
            with suppress(ConnectionError):  # the page has left
                self.send_response(500 if how == "failed" and instead is not None else told.status_code)
                for name, value in {**told.headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


NONSENSE = {"failed": b"{}", "cut": b'{"kind": "we', "a list": b"[]", "no elements": b'{"kind": "web"}'}


def test_the_default_stays_where_no_answer_comes_in_time_and_no_view_is_told(shop: Shop) -> None:
    with slow(shop.place, "late") as (host, asked):
        for _ in range(20):
            shop.open(host=host)
            shop.tab.wait_for_timeout(3000)  # the answer comes, and a view would be told by then
            assert (shop.text("h1"), shop.text("#prompt")) == ("Default", "Default prompt")
            if asked.count("/v1/decide") > 1:  # on a busy machine the time may be over before
                break
    assert {"/v1/decide", "/v1/identify"} == set(asked)
    assert shop.tab.evaluate("[told.length, errors.length]") == [0, 0]


@pytest.mark.parametrize("how", ["dropped", *NONSENSE])
def test_the_default_stays_where_the_answer_is_none(patient: Shop, how: str) -> None:
    with slow(patient.place, how) as (host, asked):
        patient.open(host=host)
        patient.tab.wait_for_timeout(3000)
        assert (patient.text("h1"), patient.text("#prompt")) == ("Default", "Default prompt")
        assert patient.tab.evaluate("[told.length, errors.length]") == [0, 0]
    assert {"/v1/decide", "/v1/identify"} == set(asked)


def test_a_service_that_is_not_there_harms_no_page(shop: Shop) -> None:
    shop.open(host=f"http://127.0.0.1:{free_port()}")
    assert shop.text("h1") == "Default"
