"""The door of what BentoML answers itself: its calls under `/api`, its probes and metrics.

What is wrong is refused as under `/v1`, before BentoML reads it; what is in no table is not there. `/readyz` is
answered here: BentoML's own tells a status and nothing else.
And the short way: what is asked most, and waits for nothing, goes from BentoML's metrics straight to our own routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.decisions.requests import AssignCall, Call
from serving.http.auth import Keys
from serving.http.errors import HttpError, content_of, parsed, refused
from serving.http.roles import NEEDED, OPEN

PREFIX = "/api/"
MOUNTED = ("/v1/", "/reports/")  # their routes ask themselves
DOCS, READY = "/v1/docs", "/readyz"
MOVED = {"/": DOCS, "/reports": "/reports/"}  # BentoML's page at the first asks others, and it mounts no bare path
CALLS: dict[str, type[Call]] = {
    "/api/recommend": Call,
    "/api/offers/select": Call,
    "/api/experiments/assign": AssignCall,
}


class Door:
    """ASGI middleware: who comes through may; a call that comes through is a known one of the right shape and size."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Callable[[], Keys],
        probe: Callable[[], Awaitable[Response]],
        now: Callable[[], datetime],
    ) -> None:
        self.app, self._keys, self._probe, self._now = app, keys, probe, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # a path with a line break fits no mounted app: it is refused here, in our words
        if scope["type"] != "http" or (scope["path"].startswith(MOUNTED) and "\n" not in scope["path"]):
            return await self.app(scope, receive, send)
        try:
            if scope["path"] == READY and scope["method"] in ("GET", "HEAD"):
                return await (await self._probe())(scope, receive, send)
            content = await self._admitted(Request(scope, receive))
        except HttpError as error:
            return await refused(error)(scope, receive, send)
        if scope["path"] in MOVED:
            return await RedirectResponse(MOVED[scope["path"]])(scope, receive, send)
        if content is None:
            return await self.app(scope, receive, send)
        return await self.app(_as_json(scope), _again(content, receive), send)

    async def _admitted(self, request: Request) -> bytes | None:
        """The body of a call; None of a probe, which has none."""
        path = request.scope["path"]
        role = OPEN if path in MOVED else NEEDED.get(path)
        if role not in (None, OPEN):
            await self._keys().admitted(request.scope, str(role), now=self._now())
        if path.startswith(PREFIX):
            return await _content(request)
        if role is None:
            raise HttpError(404, "not_found", f"there is no route {path[:200]!r}; GET {DOCS} shows all")
        _require_method(request, "GET", "HEAD")
        return None


class Short:
    """ASGI: around it BentoML's metrics, behind it all that BentoML does with a request, or what answers at once."""

    def __init__(self, app: ASGIApp, straight: Callable[[Scope], ASGIApp | None]) -> None:
        self.app, self._straight = app, straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._straight(scope) if scope["type"] == "http" else None
        return await (way or self.app)(scope, receive, send)


async def _content(request: Request) -> bytes:
    path, model = request.scope["path"], CALLS.get(request.scope["path"])
    if model is None:
        raise HttpError(404, "not_found", f"there is no call {path[:200]!r}; there are {', '.join(CALLS)}")
    _require_method(request, "POST")
    content = await content_of(request)
    parsed(content, model)
    return content


def _require_method(request: Request, *methods: str) -> None:
    """405 where the request has another method."""
    if request.method not in methods:
        said, allowed = f"{request.method} {request.scope['path']}: use {methods[0]}", {"allow": ", ".join(methods)}
        raise HttpError(405, "not_allowed", said, allowed)


def _as_json(scope: Scope) -> Scope:
    """BentoML chooses how to read a body by its type; this one was found to be JSON."""
    kept = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*kept, (b"content-type", b"application/json")]}


def _again(content: bytes, receive: Receive) -> Receive:
    """Hands out the body that was read already, once."""
    messages: list[Any] = [{"type": "http.request", "body": content, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
