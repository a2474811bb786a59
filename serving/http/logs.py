"""Logs: with `attune serve --log json` each line is an object, and each request has one; none holds what was asked."""

from __future__ import annotations

import logging
import os
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.roles import route_of

VARIABLE, JSON = "ATTUNE_LOG", "json"
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})  # asked every few seconds, and counted
log = logging.getLogger("attune.request")
_decided: ContextVar[list[str] | None] = ContextVar(
    "decided", default=None
)  # a list: threads have a copy of the context


class Lines(logging.Formatter):
    """A record as one line of JSON; `told` in it are further fields."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": when, "level": record.levelname.lower(), "logger": record.name}
        line |= getattr(record, "told", None) or {"message": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class Requests:
    """ASGI middleware: one line for each request, by its route and with its decision."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            return await self.app(scope, receive, send)
        began, status, ids = perf_counter(), 0, list[str]()

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = _decided.set(ids)
        try:
            await self.app(scope, receive, seen)
        finally:
            _decided.reset(token)
            told = {"route": route_of(scope["path"]), "status": status, "ms": round(1000 * (perf_counter() - began), 3)}
            log.info("request", extra={"told": told | ({"decision_id": ids[0]} if len(ids) == 1 else {})})


def note(decision_id: str) -> None:
    """The request's line names this decision, where there is a line."""
    ids = _decided.get()
    if ids is not None:
        ids.append(decision_id)


def wanted() -> bool:
    """Whether lines are objects."""
    return os.environ.get(VARIABLE) == JSON


def written() -> None:
    """From now on what this process logs is JSON, and requests are logged."""
    log.setLevel(logging.INFO)
    for name in ("", "bentoml", "uvicorn.error", "circus"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(Lines())
