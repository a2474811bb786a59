"""Fetched: how OpenAPI describes what is not asked with a body: pages, probes, metrics, documents and the script."""

from __future__ import annotations

from typing import Any

from features.keys import READ
from serving.http.roles import NEEDED
from serving.http.schemes import secured, statuses

TEXT, HTML, JSON = "text/plain", "text/html", "application/json"
FETCHED: dict[str, tuple[str, str]] = {  # summary, and what kind of content comes
    "/livez": ("The process answers.", TEXT),
    "/healthz": ("The same as `/livez`.", TEXT),
    "/readyz": ("Whether decisions are answered, 503 until they are, and by name what is degraded meanwhile.", JSON),
    "/metrics": ("What is counted and measured over all workers, for Prometheus (docs/operations.md).", TEXT),
    "/schema.json": ("What BentoML says of its calls under `/api`.", JSON),
    "/v1/openapi.json": ("This document.", JSON),
    "/v1/docs": ("Every route with its fields and an example: a page.", HTML),
    "/v1/attune.js": ("What fills the slots of a page (docs/integrate.md).", "text/javascript"),
    "/reports/signals": ("Is the tracking healthy? A page.", HTML),
}
ERROR: dict[str, Any] = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
LATE = {"405": "Not allowed", "504": "There was no answer in time"}
DROPPED = {"type": "object", "required": ["success"], "properties": {"success": {"const": True}}}


def paths() -> dict[str, Any]:
    """The routes as OpenAPI's paths."""
    found = {path: {"get": _operation(path, *said)} for path, said in FETCHED.items()}
    found["/readyz"]["get"]["responses"] |= _errors({"503": "Not yet ready"})
    moved = {"307": {"description": "The page with all routes is at Location"}} | _errors(LATE)
    found["/"] = {"get": {"summary": "Leads to `/v1/docs`.", "responses": moved, **secured("/")}}
    return found | {"/v1/m": {"post": _dropped()}}


def _operation(path: str, summary: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object"} if kind == JSON else {"type": "string"}
    failed = {"503": "The service is starting, or a store cannot be read"} if NEEDED[path] == READ else {}
    responses = {"200": _described("Found", {kind: {"schema": schema}})} | _errors(statuses(path) | failed | LATE)
    return {"summary": summary, "responses": responses, **secured(path)}


def _dropped() -> dict[str, Any]:
    said = "What the browser library counts about itself: answered, not read and not kept."
    taken = _described("Dropped", {JSON: {"schema": DROPPED}})
    return {"summary": said, "responses": {"200": taken} | _errors(LATE), **secured("/v1/m")}


def _errors(said: dict[str, str]) -> dict[str, Any]:
    return {status: _described(text, ERROR) for status, text in said.items()}


def _described(text: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": content}
