"""OpenAPI for every route, and a page to read it that asks nobody else."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import Any

import orjson
from pydantic import BaseModel

from features.sources.receipts import Receipt
from serving.decisions.requests import (
    PLAIN,
    AssignRequest,
    BasketRequest,
    BatchRequest,
    DecideRequest,
    OfferRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.http import calls
from serving.http.catalog import ItemsRequest
from serving.http.found import FOUND
from serving.http.schemes import SCHEMES, secured
from serving.http.schemes import statuses as refusals

ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body get the same decision and answer; the same key and another body get 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
ROUTES: tuple[tuple[str, str, str, type[BaseModel] | None, dict[str, Any] | None], ...] = (
    (
        "post",
        "/v1/recommend",
        "The best items for a customer or a history.",
        RecommendRequest,
        {"history": ["i0001", {"item": "i0002", "event": "Product Viewed"}], "include_bought": "mixed"},
    ),
    (
        "post",
        "/v1/recommend/basket",
        "What completes a cart.",
        BasketRequest,
        {"cart": ["i0001", "i0002"], "customer": "c000007", "k": 3},
    ),
    ("post", "/v1/recommend/similar", "The items most like this one.", SimilarRequest, {"item": "i0001", "k": 3}),
    (
        "post",
        "/v1/recommend/batch",
        "The best items for each of many customers.",
        BatchRequest,
        {"customers": ["c000007", "c000008"], "k": 3},
    ),
    ("post", "/v1/offers/select", "An offer or nothing.", OfferRequest, {"customer": "c000007"}),
    (
        "post",
        "/v1/decide",
        "What a slot shows: texts, items and an offer.",
        DecideRequest,
        {"slot": "home-hero", "customer": "c000007"},
    ),
    ("post", "/v1/experiments/{key}/assign", "The customer's arm of a test.", AssignRequest, {"customer": "c000007"}),
    (
        "post",
        "/v1/catalog/items",
        "Items, prices, stock and images, as the shop has them now.",
        ItemsRequest,
        {"items": [{"item": "i0001", "price": 4.5, "stock": 0}]},
    ),
    (
        "post",
        "/v1/forms/{key}",
        "An HTML form, urlencoded or multipart; its fields stand in docs/sources.md.",
        None,
        None,
    ),
    (
        "post",
        "/v1/receipts/{source}",
        "What an e-mail provider reports, signed as Standard Webhooks has it.",
        Receipt,
        {
            "type": "email.opened",
            "timestamp": "2026-03-01T12:00:00Z",
            "data": {"customer": "c000007", "email_id": "m1", "user_agent": "Mozilla/5.0"},
        },
    ),
    ("get", "/v1/experiments/{key}/report", "The stored report of a test, and its age.", None, None),
    ("get", "/v1/customers/{customer}", "All that is known of a customer.", None, None),
    (
        "get",
        "/v1/decisions/{decision}",
        "The whole row of a decision: what was considered, chosen, and why.",
        None,
        None,
    ),
    ("get", "/v1/ready", "The releases that answer and their ages, what was refused, which store fails.", None, None),
    ("get", "/v1/pages/{token}", "The page behind a signed link: unsubscribe, preferences, why.", None, None),
    ("post", "/v1/pages/{token}", "Does what the page's form says; unsubscribes with one click.", None, None),
)

KEYED = (
    "/v1/catalog/items",
    "/v1/forms/{key}",
    "/v1/receipts/{source}",
)  # asked with a key or a signature; they decide nothing


PAGE = "/v1/pages/{token}"
FORM = "/v1/forms/{key}"
TEXT = {"type": "string", "minLength": 1, "pattern": PLAIN}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": ERROR} | calls.schemas()
    for method, path, summary, model, example in ROUTES:
        paths.setdefault(path, {})[method] = _operation(path, summary, model, example)
        schemas |= {} if model is None else _schema(model).get("$defs", {})
    paths |= calls.paths()
    title = {"title": "Attune", "version": "1", "description": "Decisions over HTTP, each with its reason."}
    return {
        "openapi": "3.1.0",
        "info": title,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SCHEMES},
    }


@cache
def page() -> str:
    """Every route with its fields and an example to paste."""
    parts = []
    for method, path, summary, model, example in ROUTES:
        fields = "" if model is None else _fields(model)
        call = f"curl -s localhost:3000{path}"
        if example is not None:
            call += f" -H 'content-type: application/json' -d '{orjson.dumps(example).decode()}'"
        parts.append(
            f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(summary)}</p>"
            f"{f'<table>{fields}</table>' if fields else ''}<pre>{escape(call)}</pre></section>"
        )
    parts += [_signal(*route) for route in calls.shown()]
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    style += "pre{background:#f4f6f9;padding:.8rem;overflow-x:auto}td{padding:.2rem 1rem .2rem 0;vertical-align:top}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{style}</style>'
    intro = "Errors are {code, message}. An Idempotency-Key header gives a retry the same answer. Schema: "
    link = '<a href="openapi.json">openapi.json</a>'
    return f"<!doctype html><title>Attune API</title>{head}<h1>Attune API</h1><p>{intro}{link}</p>{''.join(parts)}"


def _signal(path: str, summary: str, example: dict[str, Any]) -> str:
    call = f"curl -s localhost:3000{path} -u WRITE_KEY: -d '{orjson.dumps(example).decode()}'"
    return f"<section><h2><code>POST {path}</code></h2><p>{escape(summary)}</p><pre>{escape(call)}</pre></section>"


def _operation(path: str, summary: str, model: type[BaseModel] | None, example: Any) -> dict[str, Any]:
    statuses = {"200": "Found", "400": "The request is wrong", "404": "Not found", "405": "Not allowed"}
    statuses |= {"413": "The body is too large", "503": "Nothing can be answered"} | refusals(path)
    statuses["504"] = "There was no answer in time"
    if model is not None or path in KEYED:
        statuses["408"] = "The body did not come in time"
    if path.startswith("/v1/receipts/"):
        statuses["401"] = "The signature is wrong"
    if model is not None and path not in KEYED:
        statuses["422"] = "The Idempotency-Key came with another body before"
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    found = {"application/json": {"schema": FOUND.get(path, {"type": "object"})}}
    responses: dict[str, Any] = {
        status: {"description": text, "content": found if status == "200" else error}
        for status, text in statuses.items()
    }
    operation: dict[str, Any] = {"summary": summary, "responses": responses} | secured(path)
    for name in re.findall(r"\{(\w+)\}", path):
        part = {"name": name, "in": "path", "required": True, "schema": TEXT}
        operation.setdefault("parameters", []).append(part)
    if model is not None:
        schema = {name: part for name, part in _schema(model).items() if name != "$defs"}
        content = {"schema": schema, "example": example}
        if path not in KEYED:
            operation.setdefault("parameters", []).append(KEY)
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if path in (FORM, PAGE):
        _of_browser(path, operation)
    return operation


def _of_browser(path: str, operation: dict[str, Any]) -> None:
    """Adds what a form sends, and what is a page."""
    operation["responses"]["303"] = {"description": "Done; the next page is at Location"}
    if path == PAGE:
        for status in ("200", "400", "404"):
            operation["responses"][status]["content"] = {"text/html": {"schema": {"type": "string"}}}
        return
    fields = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data")
    operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, fields)}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a body; the parts it names stand among the document's schemas."""
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


def _fields(model: type[BaseModel]) -> str:
    schemas = _schema(model)["properties"]
    return "".join(_field(name, field, schemas[name]) for name, field in model.model_fields.items())


def _kind(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "enum" in schema:
        return ", ".join(map(repr, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return " or ".join(map(_kind, either))
    inner = f" of ({_kind(schema['items'])})" if "items" in schema else ""
    return f"{schema.get('type', 'anything')}{inner}"


def _field(name: str, field: Any, schema: dict[str, Any]) -> str:
    default = "required" if field.is_required() else f"default {orjson.dumps(field.default).decode()}"
    cells = (f"<code>{escape(name)}</code>", escape(_kind(schema)), escape(default))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
