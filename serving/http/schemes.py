"""Schemes: how OpenAPI says what a route needs of who asks."""

from __future__ import annotations

from typing import Any

from features.keys import SEND
from serving.http.roles import NEEDED, OPEN, PAGES, SIGNED
from serving.http.sessions import NAME
from serving.http.tokens import HEADER

SCHEMES = {
    "key": {"type": "http", "scheme": "basic", "description": "A key as the user, no password."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key."},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": HEADER,
        "description": "With a publishable key: the customer, as the shop's server signed it (docs/service.md).",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": NAME, "description": "Who signed in with a key."},
}
STATUSES = {
    "401": "No key, a wrong one, or a token that the shop did not sign",
    "403": "The key has another role; the page has another origin, or asks for somebody else",
    "429": "The key asked too often; again after Retry-After",
}
UNASKED = {OPEN: "Nobody is asked for a key.", SIGNED: "A signature stands for a key."}


def secured(path: str) -> dict[str, Any]:
    """What an operation says of it; no scheme where nobody is asked for a key."""
    role = NEEDED[path]
    if role in (OPEN, SIGNED) or (role == SEND and "{key}" in path):
        return {"security": [], "description": UNASKED.get(role, "The path holds the key.")}
    either: list[dict[str, list[str]]] = [{"key": []}, {"bearer": []}]
    said = f"Needs a key of the role `{role}`"
    if path.startswith("/reports/"):
        told = f"{said}, or a session of `/reports/sign-in`."
        return {"security": [*either, {"session": []}], "description": told}
    if path not in PAGES:
        return {"security": either, "description": f"{said}."}
    return {"security": [*either, {"bearer": [], "token": []}], "description": f"{said}, or a publishable one."}


def statuses(path: str) -> dict[str, str]:
    """The answers to who may not ask."""
    return {} if NEEDED[path] in (OPEN, SIGNED) else STATUSES
