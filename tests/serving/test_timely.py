"""An answer begins in time, or who waits is told that there is none."""

import asyncio
import json
import threading
import time
from typing import Any

import httpx
import pytest

from features.ledger import Ledger
from features.workspace import Workspace
from serving.http.timely import Timely

Sent = list[dict[str, Any]]
START = {"type": "http.response.start", "status": 200, "headers": []}


def answered(app: Any, kind: str = "http") -> Sent:
    """What a client gets of an app that has a tenth of a second."""
    sent: Sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(Timely(app, timeout=0.1)({"type": kind}, receive, send))
    return sent


def test_an_answer_that_does_not_begin_in_time_is_504_in_our_words() -> None:
    async def late(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(10)

    start, body = answered(late)
    assert start["status"] == 504
    told = json.loads(body["body"])
    assert told["code"] == "too_long"
    assert "0.1 seconds" in told["message"]


def test_an_answer_that_has_begun_goes_on() -> None:
    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"whole"})

    assert [one.get("body") for one in answered(slow)] == [None, b"whole"]


def test_an_app_that_fails_is_not_waited_for() -> None:
    async def failing(_scope: Any, _receive: Any, _send: Any) -> None:
        raise KeyError("at once")

    began = time.perf_counter()
    with pytest.raises(KeyError):
        answered(failing)
    assert time.perf_counter() - began < 0.1


def test_the_service_says_so_while_another_holds_the_ledger(service: httpx.Client, shop: Workspace) -> None:
    keyed = {"json": {"customer": "c001"}, "headers": {"Idempotency-Key": "while another writes"}}
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with Ledger.at(shop.ledger).write():
            held.set()
            enough.wait(20)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(20)
    try:
        late = service.post("/v1/offers/select", **keyed)
    finally:
        enough.set()
        holding.join()
    assert (late.status_code, late.json()["code"]) == (504, "too_long")
    assert late.headers["x-content-type-options"] == "nosniff"
    again = service.post("/v1/offers/select", **keyed)
    assert again.status_code == 200
    document = service.get("/v1/openapi.json").json()
    assert all("504" in one["responses"] for path in document["paths"].values() for one in path.values())
