"""Fetched: how OpenAPI describes what is not asked with a body: pages, probes, metrics, documents and the script."""

from __future__ import annotations

from typing import Any

from features.keys import READ
from serving.http.roles import NEEDED
from serving.http.schemes import secured, statuses
from serving.reports.shelf import SEVERAL, SINGLE

TEXT, HTML, JSON, CSV = "text/plain", "text/html", "application/json", "text/csv"
FETCHED: dict[str, tuple[str, str]] = {  # summary, and what kind of content comes
    "/livez": ("The process answers.", TEXT),
    "/healthz": ("The same as `/livez`.", TEXT),
    "/readyz": ("Whether decisions are answered, 503 until they are, and by name what is degraded meanwhile.", JSON),
    "/metrics": ("What is counted and measured over all workers, for Prometheus (docs/operations.md).", TEXT),
    "/schema.json": ("What BentoML says of its calls under `/api`.", JSON),
    "/v1/openapi.json": ("This document.", JSON),
    "/v1/docs": ("Every route with its fields and an example: a page.", HTML),
    "/v1/attune.js": ("What fills the slots of a page (docs/integrate.md).", "text/javascript"),
    "/reports/": ("The stored reports with their verdicts and ages: a page; `?kind=` shows one kind.", HTML),
    "/reports/signals": ("Is the tracking healthy? A page.", HTML),
    "/reports/sign-in": ("The form by which an analyst tells a key once.", HTML),
}
SHOWN = {  # stored reports: summary, and what may stand for the name
    "/reports/{name}": ("The stored report of the whole shop; `index` with an ending is the list.", "impact"),
    "/reports/experiments/{name}": ("The stored report of a test, by its key.", "checkout-badge"),
    "/reports/models/{name}": ("The stored report of a run's recommenders.", "3f2c0a9b"),
    "/reports/uplift/{name}": ("The stored report of an uplift run.", "3f2c0a9b"),
    "/reports/campaigns/{name}": ("The stored report of a campaign, by its key.", "spring"),
}
ENDINGS = "A page; with the ending `.json` or `.csv` its numbers."
SIGNED_IN: dict[str, Any] = {
    "type": "object",
    "required": ["key"],
    "properties": {"key": {"type": "string"}, "next": {"type": "string"}},
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
    found |= {path: {"get": _shown(path, *said)} for path, said in SHOWN.items()}
    found["/reports/"]["get"] |= {"parameters": [_kind()]}
    found["/reports/"]["get"]["responses"] |= _errors({"400": "The request is wrong"})
    found["/reports/sign-in"]["post"] = _sent("/reports/sign-in", "Signs in with a key that may read.", SIGNED_IN)
    found["/reports/sign-out"] = {"post": _sent("/reports/sign-out", "Ends the session in this browser.", None)}
    return found | {"/v1/m": {"post": _dropped()}}


def _shown(path: str, summary: str, example: str) -> dict[str, Any]:
    """A stored report, in one of three forms."""
    operation = _operation(path, f"{summary} {ENDINGS}", HTML)
    contents = {kind: {"schema": {"type": "object" if kind == JSON else "string"}} for kind in (HTML, JSON, CSV)}
    operation["responses"]["200"] = _described("Found", contents)
    operation["responses"] |= _errors({"404": "No such report is stored"})
    schema = {"type": "string", "minLength": 1}
    name = {"name": "name", "in": "path", "required": True, "schema": schema, "example": example}
    return operation | {"parameters": [name]}


def _kind() -> dict[str, Any]:
    return {"name": "kind", "in": "query", "required": False, "schema": {"enum": [*SEVERAL, *SINGLE]}}


def _sent(path: str, summary: str, form: dict[str, Any] | None) -> dict[str, Any]:
    """What a form of ours does; it answers by leading on."""
    failed = {"403": "The key may not read, or the form is somebody else's", "503": "The service is starting"}
    failed |= {"408": "The body did not come in time", "413": "The body is too large"} if form else {}
    responses = {"303": {"description": "Done; the next page is at Location"}} | _errors(failed | LATE)
    responses["403"]["content"] = {HTML: {"schema": {"type": "string"}}} | responses["403"]["content"]
    operation = {"summary": summary, "responses": responses, **secured(path)}
    content = {"application/x-www-form-urlencoded": {"schema": form}}
    return operation | ({"requestBody": {"required": True, "content": content}} if form else {})


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
