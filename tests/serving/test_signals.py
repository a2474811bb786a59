"""The Segment API under /v1: who is let in, what is answered, and what is in the ledger by then."""

import asyncio
import gzip
import sqlite3
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pandas as pd
import pytest
from sqlalchemy import select

from features.catalog import Catalog
from features.history import live_events
from features.keys import create, every, revoke
from features.ledger import Ledger
from features.rejects import rejects
from features.workspace import Settings, Workspace
from serving.decisions.state import State
from serving.http.app import Routes
from serving.http.auth import Keys
from serving.intake import Intake

CALLS = {
    "track": {"event": "Signed Up"},
    "identify": {"traits": {"city": "Bonn"}},
    "page": {"name": "Home"},
    "screen": {"name": "Home"},
    "group": {"groupId": "g"},
    "alias": {"previousId": "device"},
}
SHORT = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
PATHS = [*CALLS, *SHORT]
BATCHES = ["batch", "import", "b"]


@pytest.fixture(scope="module")
def ledger(shop: Workspace) -> Iterator[Ledger]:
    opened = Ledger.at(shop.ledger)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def key(ledger: Ledger) -> str:
    return create(ledger, "web", "send", datetime.now(UTC))


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Signed Up", "userId": "anna", "messageId": uuid.uuid4().hex} | fields


def body_of(path: str) -> dict[str, Any]:
    kind = SHORT.get(path, path)
    return {name: value for name, value in (event(event=None) | CALLS[kind]).items() if name != "type"}


def stored(ledger: Ledger, message: str) -> list[dict[str, Any]]:
    query = select(live_events.c.body).where(live_events.c.body.contains(message)).order_by(live_events.c.sequence)
    with ledger.read() as connection:
        return [orjson.loads(body) for body in connection.execute(query).scalars()]


def filed(ledger: Ledger, words: str) -> list[str]:
    with ledger.read() as connection:
        query = select(rejects.c.reason).where(rejects.c.body.contains(words))
        return list(connection.execute(query).scalars())


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == code
    return str(answer.json()["message"])


@pytest.mark.parametrize("path", PATHS)
def test_a_call_is_in_the_ledger_when_it_is_answered(
    service: httpx.Client, ledger: Ledger, key: str, path: str
) -> None:
    body = body_of(path)
    answer = service.post(f"/v1/{path}", json=body, auth=(key, ""))
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "stored": 1, "repeated": 0, "rejected": 0}
    (row,) = stored(ledger, body["messageId"])
    assert (row["source"], row["customer"], row["live"]) == ("web", "anna", True)


@pytest.mark.parametrize("path", BATCHES)
def test_of_a_batch_the_bad_event_is_filed_and_the_rest_is_taken(
    service: httpx.Client, ledger: Ledger, key: str, path: str
) -> None:
    first, last = event(), event(type="page")
    mark = uuid.uuid4().hex
    bad = event(event=None, properties={"mark": mark})
    answer = service.post(f"/v1/{path}", json={"batch": [first, bad, last, first]}, auth=(key, ""))
    assert answer.status_code == 200
    said = answer.json()
    assert said.pop("rejects") == [{"event": 1, "reason": "event == None, the name of what happened is needed"}]
    assert said == {"success": True, "stored": 2, "repeated": 1, "rejected": 1}
    assert [len(stored(ledger, one["messageId"])) for one in (first, last)] == [1, 1]
    assert filed(ledger, mark) == ["event == None, the name of what happened is needed"]


def test_a_message_is_stored_once_per_source_for_ever(service: httpx.Client, ledger: Ledger, key: str) -> None:
    other = create(ledger, "app", "send", datetime.now(UTC))
    body = body_of("track")
    counts = [service.post("/v1/track", json=body, auth=(one, "")).json()["stored"] for one in (key, key, other, other)]
    assert counts == [1, 0, 1, 0]
    assert [row["source"] for row in stored(ledger, body["messageId"])] == ["web", "app"]


def test_while_the_ledger_cannot_be_read_the_same_is_to_be_sent_again(tmp_path: Path) -> None:
    own = Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")
    routes, intake, empty = Routes(lambda: datetime.now(UTC)), Intake(own), Catalog.of(pd.DataFrame({"item": []}))
    routes.state = State(Settings(name="shop"), "", empty, ledger=own, intake=intake, keys=Keys(partial(every, own)))
    key = create(own, "web", "send", datetime.now(UTC))  # what was known before is answered from memory

    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(routes.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.post("/track", json=event(), auth=(key, ""))

    with own.write() as connection:
        connection.exec_driver_sql("ALTER TABLE keys RENAME TO lost")
    answer = asyncio.run(sent())
    assert str(tmp_path) not in refused(answer, 503, "try_again")
    assert answer.headers["retry-after"] == "1"
    with own.write() as connection:
        connection.exec_driver_sql("ALTER TABLE lost RENAME TO keys")
    assert asyncio.run(sent()).json()["stored"] == 1
    intake.close()


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "application/json", "x/y"])
def test_a_browser_sends_the_key_in_the_body_as_text(service: httpx.Client, key: str, kind: str) -> None:
    body = orjson.dumps(body_of("t") | {"writeKey": key, "sentAt": "2026-01-01T00:00:00.000Z"})
    assert service.post("/v1/t", content=body, headers={"content-type": kind}).json()["stored"] == 1
    batch = orjson.dumps({"writeKey": key, "batch": [event()]})
    assert service.post("/v1/b", content=batch, headers={"content-type": kind}).json()["stored"] == 1


@pytest.mark.parametrize("path", [*PATHS, *BATCHES, "m"])
def test_a_page_of_any_origin_may_send(service: httpx.Client, path: str) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    told = service.options(f"/v1/{path}", headers=asked | {"access-control-request-headers": "content-type,x-y"})
    assert told.status_code == 204
    assert told.headers["access-control-allow-origin"] == "*"
    assert told.headers["access-control-allow-headers"] == "content-type,x-y"
    assert told.headers["access-control-allow-methods"] == "POST"
    sent = service.post(f"/v1/{path}", content=b"{", headers={"origin": "https://shop.example"})
    assert sent.headers["access-control-allow-origin"] == "*"
    assert sent.headers["access-control-expose-headers"] == "retry-after"


def test_what_the_browser_library_counts_about_itself_is_answered(service: httpx.Client) -> None:
    assert service.post("/v1/m", content=b'{"series": []}').json() == {"success": True}


@pytest.mark.parametrize("path", [*PATHS, *BATCHES])
def test_who_has_no_valid_key_is_refused(service: httpx.Client, ledger: Ledger, path: str) -> None:
    body = {"batch": [event()]} if path in BATCHES else body_of(path)
    assert "writeKey" in refused(service.post(f"/v1/{path}", json=body), 401, "no_key")
    refused(service.post(f"/v1/{path}", json=body, auth=("nobody's", "")), 401, "wrong_key")
    refused(service.post(f"/v1/{path}", json=body | {"writeKey": "nobody's"}), 401, "wrong_key")
    refused(service.post(f"/v1/{path}", json=body, headers={"authorization": "Basic %%%"}), 401, "wrong_key")
    refused(service.post(f"/v1/{path}", json=body | {"writeKey": 7}), 401, "no_key")
    assert not stored(ledger, body["batch"][0]["messageId"] if path in BATCHES else body["messageId"])


def test_a_revoked_key_is_refused_within_seconds(service: httpx.Client, ledger: Ledger) -> None:
    key = create(ledger, "old", "send", datetime.now(UTC))
    assert service.post("/v1/track", json=body_of("track"), auth=(key, "")).status_code == 200
    revoke(ledger, key, datetime.now(UTC))
    time.sleep(2.1)
    refused(service.post("/v1/track", json=body_of("track"), auth=(key, "")), 401, "wrong_key")


@pytest.mark.parametrize("path", [*PATHS, *BATCHES])
@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff", b"7", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(service: httpx.Client, key: str, path: str, content: bytes) -> None:
    refused(service.post(f"/v1/{path}", content=content, auth=(key, "")), 400, "not_json")


@pytest.mark.parametrize("batch", [None, {}, "x", 7])
def test_a_batch_is_a_list(service: httpx.Client, key: str, batch: object) -> None:
    refused(service.post("/v1/batch", json={"batch": batch}, auth=(key, "")), 400, "bad_request")


@pytest.mark.parametrize("path", [*PATHS, *BATCHES])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_not_allowed(service: httpx.Client, path: str, method: str) -> None:
    refused(service.request(method, f"/v1/{path}"), 405, "not_allowed")


def test_an_unknown_path_names_the_nearest(service: httpx.Client) -> None:
    assert "/v1/track" in refused(service.post("/v1/trak", json={}), 404, "not_found")


def test_a_single_event_that_cannot_be_taken_is_filed_and_answered_with_its_reason(
    service: httpx.Client, ledger: Ledger, key: str
) -> None:
    body = body_of("track") | {"userId": ["anna"]}
    reason = refused(service.post("/v1/track", json=body, auth=(key, "")), 400, "rejected")
    assert filed(ledger, body["messageId"]) == [reason] == ["userId == ['anna'], must be text"]


def test_a_gzip_body_is_read(service: httpx.Client, ledger: Ledger, key: str) -> None:
    sent = [event() for _ in range(3)]
    members = gzip.compress(orjson.dumps({"batch": sent[:2]})[:10]) + gzip.compress(
        orjson.dumps({"batch": sent[:2]})[10:]
    )
    for content in (members, gzip.compress(orjson.dumps({"batch": sent[2:]}))):
        answer = service.post("/v1/batch", content=content, headers={"content-encoding": "gzip"}, auth=(key, ""))
        assert answer.status_code == 200
    assert [len(stored(ledger, one["messageId"])) for one in sent] == [1, 1, 1]


def test_a_gzip_body_that_is_none_is_refused(service: httpx.Client, key: str) -> None:
    whole = gzip.compress(orjson.dumps({"batch": [event()]}))
    for content in (whole[:-9], whole[:12], b"", b"{}", whole + b"more", whole[:30] + b"\xff\xff" + whole[32:]):
        answer = service.post("/v1/batch", content=content, headers={"content-encoding": "gzip"}, auth=(key, ""))
        refused(answer, 400, "not_gzip")
    answer = service.post("/v1/batch", content=whole, headers={"content-encoding": "br"}, auth=(key, ""))
    refused(answer, 415, "unknown_encoding")


def test_what_is_too_large_is_refused_without_reading_on(service: httpx.Client, key: str) -> None:
    five = orjson.dumps({"batch": [event(properties={"a": "x" * 30_000}) for _ in range(175)]})
    assert len(five) > 5_000_000
    bomb = gzip.compress(b" " * 100_000_000, 9)
    refused(service.post("/v1/batch", content=five, auth=(key, "")), 413, "too_large")
    for content in (gzip.compress(five), bomb):
        answer = service.post("/v1/batch", content=content, headers={"content-encoding": "gzip"}, auth=(key, ""))
        refused(answer, 413, "too_large")
    many = orjson.dumps({"batch": [{}] * 5_001})
    refused(service.post("/v1/batch", content=many, auth=(key, "")), 413, "too_large")


def test_an_event_of_33_kb_costs_none_of_its_neighbours(service: httpx.Client, ledger: Ledger, key: str) -> None:
    sent = [event(), event(properties={"a": "x" * 33_000}), event()]
    said = service.post("/v1/batch", json={"batch": sent}, auth=(key, "")).json()
    assert (said["stored"], said["rejected"]) == (2, 1)
    assert [len(stored(ledger, one["messageId"])) for one in sent] == [1, 0, 1]


def test_while_the_ledger_takes_nothing_the_answer_is_to_try_again_and_nothing_is_lost_or_doubled(
    service: httpx.Client, shop: Workspace, ledger: Ledger, key: str
) -> None:
    body = body_of("track")
    with closing(sqlite3.connect(shop.ledger_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = service.post("/v1/track", json=body, auth=(key, ""))
        assert "send the same again" in refused(answer, 503, "try_again")
        assert int(answer.headers["retry-after"]) >= 1
        other.execute("ROLLBACK")
    assert service.post("/v1/track", json=body, auth=(key, "")).status_code == 200
    assert len(stored(ledger, body["messageId"])) == 1


def test_what_waits_is_bounded(service: httpx.Client, shop: Workspace, key: str) -> None:
    """While the ledger is held, a dozen bodies of 4 MB are more than a worker keeps."""
    big = orjson.dumps({"batch": [event(properties={"a": "x" * 30_000}) for _ in range(130)]})
    with closing(sqlite3.connect(shop.ledger_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = _together(service, big, key, 12)
        other.execute("ROLLBACK")
    assert {answer.status_code for answer in answers} == {503}
    assert all("retry-after" in answer.headers for answer in answers)
    said = {answer.json()["message"].partition(" bytes")[2] or answer.json()["message"] for answer in answers}
    assert said == {
        " of events wait for the ledger; send the same again",
        "the ledger does not keep up; send the same again",
    }


def _together(service: httpx.Client, content: bytes, key: str, count: int) -> list[httpx.Response]:
    def post(_: int) -> httpx.Response:
        return httpx.post(f"{service.base_url}/v1/batch", content=content, auth=(key, ""), timeout=30)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(post, range(count)))
