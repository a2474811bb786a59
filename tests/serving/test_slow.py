"""Who is slow, too large or gone harms nobody, and is told where somebody still listens."""

import json
import socket
import time

import httpx
import pytest

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


def test_headers_without_end_are_refused(service: httpx.Client) -> None:
    answer = service.get("/v1/docs", headers={"x": "y" * 200_000})
    assert answer.status_code in (400, 431)
