"""The door of BentoML's own calls under `/api`: what is wrong is refused as under `/v1`, before BentoML reads it.

And the short way: what is asked most, and waits for nothing, goes from BentoML's metrics straight to our own routes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.decisions.requests import AssignCall, Call
from serving.http.errors import HttpError, content_of, parsed, refused

PREFIX, MOUNT = "/api/", "/v1"
METRICS = "RunnerTrafficMetricsMiddleware"  # BentoML's
CALLS: dict[str, type[Call]] = {
    "/api/recommend": Call,
    "/api/offers/select": Call,
    "/api/experiments/assign": AssignCall,
}


class Door:
    """ASGI middleware: a call that comes through is a known one, with a body of the right shape and size.

    `straight` says whether a request takes the short way to `mounted`, the app under `MOUNT`.
    """

    def __init__(self, app: ASGIApp, mounted: ASGIApp, straight: Callable[[Scope], bool]) -> None:
        self.app, self._mounted, self._straight = app, mounted, straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # BentoML's app has put its middlewares around this one by now
            last = _metrics(scope["app"].middleware_stack)
            last.app = Short(last.app, self._mounted, self._straight)
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self.app(scope, receive, send)
        try:
            content = await _content(Request(scope, receive))
        except HttpError as error:
            return await refused(error)(scope, receive, send)
        return await self.app(_as_json(scope), _again(content, receive), send)


class Short:
    """ASGI: around it BentoML's metrics, behind it all that BentoML does with a request, or our routes at once."""

    def __init__(self, app: ASGIApp, mounted: ASGIApp, straight: Callable[[Scope], bool]) -> None:
        self.app, self._mounted, self._straight = app, mounted, straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._straight(scope):
            return await self._mounted({**scope, "root_path": scope.get("root_path", "") + MOUNT}, receive, send)
        return await self.app(scope, receive, send)


def _metrics(outermost: Any) -> Any:
    """The middleware that counts requests, among those around each other; the outermost where nothing is counted."""
    one = outermost
    while one is not None and type(one).__name__ != METRICS:
        one = getattr(one, "app", None)
    return outermost if one is None else one


async def _content(request: Request) -> bytes:
    path, model = request.url.path, CALLS.get(request.url.path)
    if model is None:
        raise HttpError(404, "not_found", f"there is no call {path[:200]!r}; there are {', '.join(CALLS)}")
    if request.method != "POST":
        raise HttpError(405, "not_allowed", f"{request.method} {path}: use POST")
    content = await content_of(request)
    parsed(content, model)
    return content


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
