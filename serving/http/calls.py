"""Calls: how OpenAPI describes what the libraries send; the rows of features/sources/sdk.py are made without it."""

from __future__ import annotations

from typing import Any

from serving.decisions.outcomes import MAX_OUTCOMES, SIGNALLED, Outcome
from serving.http.schemes import secured, statuses
from serving.http.signals import SHORT

BATCH = "Many events at once; one that cannot be taken costs none of the others."
OUTCOMES = "What came of decisions, one outcome or many."
OUTCOME = {"outcome": "order", "id": "order-17", "customer": "c000007", "value": 25.9, "currency": "EUR"}
STORABLE = r"^[^\u0000]*$"
FILLED = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"  # blank is no id and no name
ID = {"type": ["string", "number", "null"], "maxLength": 256, "pattern": STORABLE}
GIVEN = ID | {"type": ["string", "number"], "pattern": FILLED}
TIME = {"type": ["string", "null"], "format": "date-time", "pattern": SIGNALLED}
OBJECT = {"type": ["object", "null"]}
SOMEBODY = [{"required": [one], "properties": {one: GIVEN}} for one in ("userId", "anonymousId")]
CONTEXT = {"properties": {"traits": OBJECT, "campaign": {"properties": {"name": ID, "id": ID}}}}
COMMON = {
    "userId": ID | {"description": "The customer; this or `anonymousId` is needed."},
    "anonymousId": ID,
    "messageId": ID | {"description": "The same from the same source is stored once, for ever."},
    "timestamp": TIME | {"description": "When it happened, by the sender's clock."},
    "sentAt": {"description": "When it was sent, by the same clock: what it is off by is corrected; no time: nothing."},
    "originalTimestamp": TIME | {"description": "In place of `timestamp`, as some libraries call it."},
    "channel": ID | {"maxLength": 64, "description": "browser is web, mobile is app, others stay."},
    "context": OBJECT
    | {"description": "campaign, referrer, page and traits are kept, nothing else.", "allOf": [CONTEXT]},
    "writeKey": {"type": "string", "description": "Where there is no Authorization header."},
}
CALLS: dict[str, tuple[str, list[str], dict[str, Any], dict[str, Any]]] = {  # summary, needed, fields, example
    "track": (
        "Something happened.",
        ["event"],
        {"event": GIVEN | {"type": "string"}, "properties": OBJECT},
        {"event": "Product Viewed", "properties": {"product_id": "green", "price": 4.0}},
    ),
    "identify": ("What is known of a customer.", [], {"traits": OBJECT}, {"traits": {"city": "Bonn"}}),
    "page": (
        "A page was seen.",
        [],
        {"name": {"type": ["string", "null"]}, "properties": OBJECT},
        {"name": "Home", "properties": {"path": "/"}},
    ),
    "screen": (
        "A screen of an app was seen.",
        [],
        {"name": {"type": ["string", "null"]}, "properties": OBJECT},
        {"name": "Home"},
    ),
    "group": (
        "A customer belongs to a group.",
        ["groupId"],
        {"groupId": GIVEN, "traits": OBJECT},
        {"groupId": "team-7"},
    ),
    "alias": (
        "Two ids are one customer.",
        ["userId", "previousId"],
        {"userId": GIVEN | {"description": "The customer."}, "previousId": GIVEN},
        {"previousId": "device-9"},
    ),
}
ALIASES = {**SHORT, "b": "batch", "import": "batch"}
COUNTS = {
    "success": {"const": True},
    **{name: {"type": "integer", "minimum": 0} for name in ("stored", "repeated", "rejected")},
    "rejects": {
        "type": "array",
        "items": {"type": "object", "properties": {"event": {"type": "integer"}, "reason": {"type": "string"}}},
    },
}
TAKEN = {"type": "object", "required": ["success"], "properties": COUNTS}
STATUSES = {
    "200": "In the ledger",
    "400": "Not JSON, or no event that can be taken",
    "405": "Not allowed",
    "408": "The body did not come in time",
    "413": "The body is too large",
    "415": "The body is in another encoding",
    "503": "Send the same again after Retry-After",
    "504": "There was no answer in time: send the same again",
}


def paths() -> dict[str, Any]:
    """The routes as OpenAPI's paths."""
    found = {kind: _operation(kind, call[0], _ref(kind), _example(call[3])) for kind, call in CALLS.items()}
    found["batch"] = _operation("batch", BATCH, _ref("batch"), _batch_example())
    found |= {alias: _alias(alias, name, found[name]) for alias, name in ALIASES.items()}
    found["outcomes"] = _outcomes()
    return {f"/v1/{name}": {"post": operation} for name, operation in found.items()}


def schemas() -> dict[str, Any]:
    """The schemas that the routes name."""
    own = Outcome.model_json_schema(ref_template="#/components/schemas/{model}")
    bodies = {kind: _body(kind) for kind in CALLS} | {"batch": _batch()}
    return {**own.pop("$defs"), "Outcome": own, **{_name(kind): body for kind, body in bodies.items()}}


def _name(kind: str) -> str:
    return f"{kind.capitalize()}Call"


def _ref(kind: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{_name(kind)}"}


def _alias(alias: str, name: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The same call under the path to which some of the libraries send it."""
    said = f"Alias of `/v1/{name}`, for libraries that send there."
    return {**operation, "summary": said, "operationId": alias}


def _outcomes() -> dict[str, Any]:
    one = {"$ref": "#/components/schemas/Outcome"}
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_OUTCOMES}
    several = {"type": "object", "required": ["outcomes"], "properties": {"outcomes": many}}
    either = {"anyOf": [one, several | {"additionalProperties": False}]}
    return _operation("outcomes", OUTCOMES, either, OUTCOME)


def _operation(kind: str, summary: str, schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    answers = {
        status: {
            "description": text,
            "content": {"application/json": {"schema": TAKEN if status == "200" else error}},
        }
        for status, text in (STATUSES | statuses(f"/v1/{kind}")).items()
    }
    content = {"application/json": {"schema": schema, "example": example}}
    body = {"required": True, "content": content}
    return {
        "summary": summary,
        "operationId": kind,
        "requestBody": body,
        "responses": answers,
        **secured(f"/v1/{kind}"),
    }


def _body(kind: str) -> dict[str, Any]:
    _, needed, fields, _ = CALLS[kind]
    return {"type": "object", "required": needed, "properties": COMMON | fields, "allOf": [{"anyOf": SOMEBODY}]}


def _batch() -> dict[str, Any]:
    kinds = [_body(kind) | {"required": ["type", *CALLS[kind][1]]} for kind in CALLS]
    for kind, body in zip(CALLS, kinds, strict=True):
        body["properties"] = {"type": {"const": kind}, **body["properties"]}
    shared = {name: COMMON[name] for name in ("sentAt", "context", "writeKey")}
    events = {"type": "array", "items": {"oneOf": kinds}, "maxItems": 5_000}
    return {"type": "object", "required": ["batch"], "properties": {"batch": events, **shared}}


def _example(own: dict[str, Any]) -> dict[str, Any]:
    return {"userId": "c000007", "messageId": "m-1"} | own


def _batch_example() -> dict[str, Any]:
    return {"batch": [{"type": "track"} | _example(CALLS["track"][3])]}
