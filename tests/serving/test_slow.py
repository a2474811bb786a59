"""Who is slow, too large or gone harms nobody, and is told where somebody still listens."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from features.keys import SEND, create
from features.ledger import Ledger
from features.workspace import Workspace

HEAD = "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def connected(service: httpx.Client) -> socket.socket:
    port = service.base_url.port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def until_closed(connection: socket.socket) -> bytes:
    """What was answered until the service closed."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"", b"POST /v1/recom", b"POST /v1/recommend HTTP/1.1\r\nhost: 127.0.0.1\r\nx: "])
def test_headers_that_do_not_come_end_the_connection(service: httpx.Client, start: bytes) -> None:
    began = time.monotonic()
    with connected(service) as connection:
        connection.sendall(start)
        assert until_closed(connection) == b""
    assert 3 < time.monotonic() - began < 14


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/recommend", "/api/recommend"])
def test_a_body_that_does_not_come_is_told_and_ends_the_connection(service: httpx.Client, path: str) -> None:
    with connected(service) as connection:
        connection.sendall(f"{HEAD.format(path=path)}content-length: 100\r\n\r\n{{".encode())
        answer = until_closed(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "too_slow"


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/track", "/api/recommend", "/v1/forms/key", "/v1/pages/x"])
def test_who_goes_away_within_a_body_leaves_no_trace(service: httpx.Client, shop: Workspace, path: str) -> None:
    for _ in range(5):
        with connected(service) as connection:
            connection.sendall(f"{HEAD.format(path=path)}content-length: 100\r\n\r\n{{".encode())
    time.sleep(0.5)
    assert service.post("/v1/recommend", json={}).status_code == 200
    log = next(shop.state.glob(f"service-{service.base_url.port}.log")).read_text()
    assert "Traceback" not in log
    assert "Disconnect" not in log


LARGE = 10_000_000  # bytes
BODIES = {
    "/v1/recommend": b'{"history": ["%s"]}',
    "/v1/decide": b'{"slot": "%s"}',
    "/v1/recommend/batch": b'{"customers": ["%s"]}',
    "/v1/outcomes": b'{"outcome": "order", "id": "%s"}',
}


@pytest.fixture(scope="module")
def key(shop: Workspace) -> str:
    return create(Ledger.at(shop.ledger), "large", SEND, datetime.now(UTC))


def in_pieces(content: bytes) -> Iterator[bytes]:
    """Its length is not announced."""
    return (content[start : start + 65_536] for start in range(0, len(content), 65_536))


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path", list(BODIES))
def test_a_body_of_ten_megabytes_is_refused_soon_and_others_are_answered_meanwhile(
    service: httpx.Client, key: str, path: str, announced: bool
) -> None:
    content = BODIES[path] % (b"x" * LARGE)
    auth = (key, "") if path == "/v1/outcomes" else None

    def send(_: int) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        body = content if announced else in_pieces(content)
        return httpx.post(service.base_url.join(path), content=body, auth=auth, timeout=20), time.monotonic() - began

    def ask() -> tuple[int, object]:
        answer = other.post("/v1/recommend", json={"customer": "c001"})
        return answer.status_code, answer.extensions["network_stream"].get_extra_info("client_addr")

    with httpx.Client(base_url=service.base_url, timeout=20) as other, ThreadPoolExecutor(2) as threads:
        first, sending = ask(), [threads.submit(send, number) for number in range(6)]
        meanwhile = [ask()]
        while not all(one.done() for one in sending):
            meanwhile.append(ask())
    assert set(meanwhile) == {first} == {(200, first[1])}  # on one connection
    for answer, seconds in (one.result() for one in sending):
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "1048576" in answer.json()["message"]
        assert seconds < 5  # what is refused at once takes some milliseconds; the machine may be busy


def test_headers_without_end_are_refused(service: httpx.Client) -> None:
    answer = service.get("/v1/docs", headers={"x": "y" * 200_000})
    assert answer.status_code in (400, 431)
