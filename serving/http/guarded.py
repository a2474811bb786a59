"""Guarded: each route behind the role that the table asks for, and what browsers are told of other origins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.keys import SEND
from serving.http.auth import Asker, Keys
from serving.http.errors import HttpError, refused
from serving.http.roles import NEEDED, OPEN, PAGES, SIGNED
from serving.http.tokens import HEADER

ASKER = "attune.asker"  # in the scope of a request that was admitted
AGE = 600  # seconds for which a browser remembers what it may send
HEADERS = f"authorization, content-type, idempotency-key, {HEADER}"
Handler = Callable[[Request], Awaitable[Response]]


def guarded(prefix: str, routes: Iterable[Route], keys: Callable[[], Keys], now: Callable[[], datetime]) -> list[Route]:
    """The routes, each asking for its role first; where events come in they ask themselves, for keys in the body."""
    return [
        route if role_of(prefix, route) in (OPEN, SIGNED, SEND) else _guarded(prefix, route, keys, now)
        for route in routes
    ]


def role_of(prefix: str, route: Route) -> str:
    """What the route asks for; a KeyError where the table does not say it."""
    return NEEDED[_named(prefix, route)]


def _named(prefix: str, route: Route) -> str:
    """The route as the table and its document name it."""
    return prefix + route.path.replace(":path", "")


def _guarded(prefix: str, route: Route, keys: Callable[[], Keys], now: Callable[[], datetime]) -> Route:
    path, handler = _named(prefix, route), route.endpoint
    role, pages = NEEDED[path], path in PAGES

    async def admitted(request: Request) -> Response:
        request.scope[ASKER] = await keys().admitted(request.scope, role, now=now(), pages=pages)
        response: Response = await handler(request)
        return response

    return Route(route.path, _for_pages(admitted, keys) if pages else admitted, methods=list(route.methods or ()))


def asker_of(request: Request) -> Asker:
    """Who was admitted."""
    asker: Asker = request.scope[ASKER]
    return asker


def _for_pages(handler: Handler, keys: Callable[[], Keys]) -> Handler:
    """The handler, whose answer a page of a listed origin may read, also where it is an error."""

    async def answered(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is None:
            return await handler(request)
        try:
            response = await handler(request)
        except HttpError as error:
            response = refused(error)
        if await keys().lists(origin):
            _allow(response, origin)
        return response

    return answered


async def preflight(keys: Keys, origin: str) -> Response:
    """What a browser asks before a page of this origin may."""
    if not await keys.lists(origin):
        said = f"Origin == {origin[:200]!r}: no publishable key is for its pages (`attune keys create --origin`)"
        raise HttpError(403, "wrong_origin", said)
    response = Response(status_code=204)
    _allow(response, origin)
    response.headers["access-control-allow-methods"] = "POST"
    response.headers["access-control-allow-headers"] = HEADERS
    response.headers["access-control-max-age"] = str(AGE)
    return response


def _allow(response: Response, origin: str) -> None:
    response.headers["access-control-allow-origin"] = origin
    response.headers["access-control-expose-headers"] = "retry-after"
    response.headers["vary"] = "origin"
