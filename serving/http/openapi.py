"""OpenAPI for every route that the service answers; a test compares the two."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel

from features.placements import OF_ITEMS
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
from serving.http import calls, fetched
from serving.http.catalog import ItemsRequest
from serving.http.conditions import CONDITION, NAME
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

OWN: dict[str, tuple[str, type[BaseModel], dict[str, Any]]] = {  # BentoML's calls: the same as, body, example
    "/api/recommend": ("/v1/recommend", RecommendRequest, {"request": {"customer": "c000007", "k": 3}}),
    "/api/offers/select": ("/v1/offers/select", OfferRequest, {"request": {"customer": "c000007"}}),
    "/api/experiments/assign": (
        "/v1/experiments/{key}/assign",
        AssignRequest,
        {"experiment": "checkout-badge", "request": {"customer": "c000007"}},
    ),
}
EXAMPLES = {  # of what stands in a path; what is not here nobody knows beforehand
    "/v1/experiments/{key}/assign": "checkout-badge",
    "/v1/experiments/{key}/report": "checkout-badge",
    "/v1/customers/{customer}": "c000007",
    "/v1/receipts/{source}": "mailer",
}
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
    schemas: dict[str, Any] = {"Error": ERROR, NAME: CONDITION} | calls.schemas()
    for method, path, summary, model, example in ROUTES:
        paths.setdefault(path, {})[method] = _operation(method, path, summary, model, example)
        schemas |= {} if model is None else _schemas(model)
    paths |= {path: {"post": _own(path)} for path in OWN}
    paths |= calls.paths() | fetched.paths()
    title = {"title": "Attune", "version": "1", "description": "Decisions over HTTP, each with its reason."}
    return {
        "openapi": "3.1.0",
        "info": title,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SCHEMES},
    }


def _operation(method: str, path: str, summary: str, model: type[BaseModel] | None, example: Any) -> dict[str, Any]:
    statuses = {"200": "Found", "400": "The request is wrong", "404": "Not found", "405": "Not allowed"}
    statuses |= {"413": "The body is too large", "503": "Nothing can be answered"} | refusals(path)
    statuses["504"] = "There was no answer in time"
    if method == "post":
        statuses["408"] = "The body did not come in time"
    if path.startswith("/v1/receipts/"):
        statuses["401"] = "The signature is wrong"
    if model is not None and path not in KEYED:
        statuses["422"] = "The Idempotency-Key came with another body before"
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    found = {"application/json": {"schema": FOUND.get(OWN[path][0] if path in OWN else path, {"type": "object"})}}
    responses: dict[str, Any] = {
        status: {"description": text, "content": found if status == "200" else error}
        for status, text in statuses.items()
    }
    operation: dict[str, Any] = {"summary": summary, "responses": responses} | secured(path)
    for name in re.findall(r"\{(\w+)\}", path):
        part = {"name": name, "in": "path", "required": True, "schema": TEXT}
        part |= {"example": EXAMPLES[path]} if path in EXAMPLES else {}
        operation.setdefault("parameters", []).append(part)
    if model is not None:
        content = {"schema": _ref(model), "example": example}
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
        for status in ("200", "400", "404", "503"):
            html = {"text/html": {"schema": {"type": "string"}}}
            told = operation["responses"][status]["content"] if status != "200" else {}  # before there is a page
            operation["responses"][status]["content"] = html | told
        return
    fields = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data")
    operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, fields)}


def _own(path: str) -> dict[str, Any]:
    """A call of BentoML's, which names the arguments of what it calls."""
    same, model, example = OWN[path]
    operation = _operation("post", path, f"The same as `POST {same}`, as BentoML calls it.", model, example)
    fields = {name: TEXT if name == "experiment" else _ref(model) for name in example}
    schema = {"type": "object", "required": [*fields], "properties": fields, "additionalProperties": False}
    operation["requestBody"]["content"]["application/json"]["schema"] = schema
    return operation


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a body and of the parts that it names, by their names."""
    whole = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found: dict[str, Any] = _conditioned({**whole.pop("$defs", {}), model.__name__: whole})
    return found


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _conditioned(part: Any) -> Any:
    """The part of a schema, where a condition over items is one of the grammar and not just any object."""
    if isinstance(part, list):
        return [_conditioned(one) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("description") == OF_ITEMS:
        return {"$ref": f"#/components/schemas/{NAME}"}
    return {name: _conditioned(one) for name, one in part.items()}
