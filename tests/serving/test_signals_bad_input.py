"""Whatever is sent: never a 5xx, never a lost neighbour. Bodies by hypothesis, calls by schemathesis."""

import base64
import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from schemathesis.generation import GenerationMode
from sqlalchemy import func, select

from features.history import live_events
from features.keys import create
from features.ledger import Ledger
from features.sources.sdk import MADE
from features.workspace import Workspace
from serving.http.openapi import document

FIELDS = (
    "type", "event", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp", "sentAt", "context",
    "properties", "traits", "groupId", "previousId", "name", "category", "channel", "integrations",
)  # fmt: skip
NASTY = [
    "'; DROP TABLE events; --", "\" OR 1=1", "{{ 7 * 7 }}", "{% raw %}", "${jndi:ldap://x}", "%s%n", "../../etc/passwd",
    "<script>alert(1)</script>", "\0", "\u202e", "\ufeff", "", " ", "x" * 10_000, "Product Viewed", "Order Completed",
    "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "now",
    -1, 0, 1e308, -(2**63), 2**64, 0.1, True, None, [], {}, [[]], [None], {"": None}, {"name": {"id": []}},
    {"traits": 7}, {"campaign": {"name": ["x"]}}, {"page": {"url": {"a": 1}}}, {"products": [{}, 7, None]},
    {"products": {"product_id": 7}}, {"product_id": [1], "price": {"a": 1}, "currency": ["EUR"], "quantity": "x"},
]  # fmt: skip
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENTS = some.one_of(
    JSON,
    some.sampled_from(NASTY),
    some.fixed_dictionaries(
        {"type": some.sampled_from([*MADE, *NASTY[:4]])},
        optional={name: some.sampled_from(NASTY) | JSON for name in FIELDS[1:]},
    ),
)
FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def ledger(shop: Workspace) -> Iterator[Ledger]:
    opened = Ledger.at(shop.ledger)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def key(ledger: Ledger) -> str:
    return create(ledger, "bad-input", "send", datetime.now(UTC))


def good() -> dict[str, Any]:
    return {"type": "track", "event": "Signed Up", "anonymousId": uuid.uuid4().hex, "messageId": uuid.uuid4().hex}


def kept(ledger: Ledger, *events: dict[str, Any]) -> int:
    """How many of these are among the newest in the ledger."""
    with ledger.read() as connection:
        newest = select(live_events.c.body).order_by(live_events.c.sequence.desc()).limit(200)
        ids = {orjson.loads(body)["message_id"] for body in connection.execute(newest).scalars()}
    return sum(event["messageId"] in ids for event in events)


def taken_beside(service: httpx.Client, ledger: Ledger, key: str, middle: bytes) -> None:
    """Two good events, with this between them: both are taken, whatever it is."""
    first, last = good(), good()
    body = b'{"batch": [' + b",".join([orjson.dumps(first), middle, orjson.dumps(last)]) + b"]}"
    answer = service.post("/v1/batch", content=body, auth=(key, ""))
    assert answer.status_code == 200, (middle, answer.text)
    assert kept(ledger, first, last) == 2, (middle, answer.text)


@FEW
@given(EVENTS)
def test_any_json_costs_none_of_its_neighbours(service: httpx.Client, ledger: Ledger, key: str, event: Any) -> None:
    taken_beside(service, ledger, key, _json(event))


def _json(value: Any) -> bytes:
    """As Python's own library writes it: also whole numbers of any length, and surrogates."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("field", FIELDS)
def test_nasty_values_in_every_field_cost_none_of_their_neighbours(
    service: httpx.Client, ledger: Ledger, key: str, field: str
) -> None:
    for kind in MADE:
        events = [good() | {"type": kind, field: value} for value in NASTY]
        first, last = good(), good()
        answer = service.post("/v1/batch", content=_json({"batch": [first, *events, last]}), auth=(key, ""))
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["stored"] + said["repeated"] + said["rejected"] == len(NASTY) + 2
        assert kept(ledger, first, last) == 2


@FEW
@given(some.binary(max_size=30), some.integers(0, 200))
def test_broken_bytes_are_never_a_failure_of_the_service(
    service: httpx.Client, key: str, noise: bytes, place: int
) -> None:
    whole = orjson.dumps({"batch": [good(), good()]})
    body = whole[:place] + noise + whole[place + len(noise) :]
    packed = gzip.compress(whole)
    spoilt = packed[: place % len(packed)] + noise
    for path in ("batch", "track"):
        assert service.post(f"/v1/{path}", content=body, auth=(key, "")).status_code < 500
        told = service.post(f"/v1/{path}", content=spoilt, headers={"content-encoding": "gzip"}, auth=(key, ""))
        assert told.status_code < 500


BROKEN_EVENTS = [
    b"\xff",
    b'{"type": "track", "event": "\xc3\x28"}',
    b'"\\ud800"',
    b"[" * 3_000 + b"]" * 3_000,
    b'{"a": ' * 1_000 + b"1" + b"}" * 1_000,  # orjson reads it, and nobody writes or shows it
    b'{"a": ' * 260 + b"NaN" + b"}" * 260,
    b'{"a": NaN}',
]


@pytest.mark.parametrize(
    "text", BROKEN_EVENTS, ids=["byte", "utf-8", "surrogate", "deep", "less deep", "deep NaN", "NaN"]
)
def test_an_event_that_is_not_json_costs_none_of_its_neighbours(
    service: httpx.Client, ledger: Ledger, key: str, text: bytes
) -> None:
    taken_beside(service, ledger, key, text)


@FEW
@given(some.text(max_size=60) | some.sampled_from(["'; DROP TABLE keys; --", "{{ 7 * 7 }}", "x" * 2_000]))
def test_any_key_that_is_none_is_refused(service: httpx.Client, name: str) -> None:
    assert service.post("/v1/track", content=_json(good() | {"writeKey": name})).status_code == 401
    told = {"authorization": b"Basic " + base64.b64encode(name.encode() + b":")}
    assert service.post("/v1/track", content=b"{}", headers=told).status_code == 401


def test_many_distinct_names_are_taken(service: httpx.Client, ledger: Ledger, key: str) -> None:
    before = _count(ledger)
    for start in range(0, 20_000, 4_000):
        events = [good() | {"event": f"Event {number}"} for number in range(start, start + 4_000)]
        answer = service.post("/v1/batch", content=orjson.dumps({"batch": events}), auth=(key, ""), timeout=30)
        assert answer.json()["stored"] == 4_000
    assert _count(ledger) - before == 20_000
    assert "Event 1" not in service.get("/metrics").text


def _count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(live_events)).scalar_one()


API = schemathesis.openapi.from_dict(document())
SIGNALS = [*MADE, "batch", "import"]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", SIGNALS)
def test_calls_made_from_the_schema_are_taken_or_refused_in_one_line(
    service: httpx.Client, key: str, path: str, mode: GenerationMode
) -> None:
    @settings(FEW, max_examples=15)
    @given(API[f"/v1/{path}"]["POST"].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        answer = case.call(base_url=str(service.base_url), auth=(key, ""))
        assert answer.status_code < 500, answer.text
        said = answer.json()
        assert said.get("success") is True if answer.status_code == 200 else set(said) == {"code", "message"}

    call()
