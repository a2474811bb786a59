"""What is asked most goes from BentoML's metrics straight to our routes; all the rest goes its way.

metrics -> Short -> the app under /v1                  what is straight
                 -> middleware -> Door -> the rest
"""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.api import Door, _metrics

passed: list[tuple[str, str]] = []


class RunnerTrafficMetricsMiddleware:
    """As BentoML's is called."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            passed.append((type(self).__name__, scope["path"]))
        await self.app(scope, receive, send)


class Slow(RunnerTrafficMetricsMiddleware):
    """What stands between."""


async def told(request: Request) -> Response:
    return PlainTextResponse(f"{request.url.path} {await request.body()!r}")


@pytest.fixture
def around() -> Starlette:
    """An app as BentoML makes it."""
    mounted = Starlette(routes=[Route("/{path:path}", told, methods=["GET", "POST"])])
    door: dict[str, Any] = {"mounted": mounted, "straight": lambda scope: scope["path"] == "/v1/recommend"}
    middleware = [Middleware(RunnerTrafficMetricsMiddleware), Middleware(Slow), Middleware(Door, **door)]
    return Starlette(routes=[Mount("/v1", mounted)], middleware=middleware)


async def asked(app: Starlette, *paths: str) -> list[str]:
    """What the app answers once it has started."""
    await started(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        return [(await client.post(path, content=b"asked")).text for path in paths]


async def started(app: Starlette) -> None:
    told: list[Message] = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> Message:
        return told.pop()

    async def send(message: Message) -> None:
        assert "failed" not in message["type"]

    await app({"type": "lifespan", "asgi": {}}, receive, send)


def test_only_what_is_straight_leaves_the_rest_out_and_all_of_it_is_counted(around: Starlette) -> None:
    passed.clear()
    paths = ("/v1/recommend", "/v1/other")
    assert asyncio.run(asked(around, *paths)) == [f"{path} b'asked'" for path in paths]
    every = RunnerTrafficMetricsMiddleware.__name__
    assert passed == [(every, "/v1/recommend"), (every, "/v1/other"), (Slow.__name__, "/v1/other")]


def test_bentomls_app_has_the_middleware_that_counts() -> None:
    """Where BentoML calls it otherwise one day, requests that go straight would not be counted."""
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware as Theirs

    assert type(_metrics(Theirs(told))).__name__ == Theirs.__name__  # type: ignore[arg-type]  # never called
