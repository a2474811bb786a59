"""What is asked most goes from BentoML's metrics straight to our routes; all the rest goes its way.

metrics -> Short -> the app under /v1      what is straight
                 -> middleware -> the rest
"""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.api import Short


class Between:
    """What stands between, and whom it saw."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self.app, self.seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(scope["path"])
        await self.app(scope, receive, send)


async def told(request: Request) -> Response:
    return PlainTextResponse(f"{request.url.path} {await request.body()!r}")


async def asked(app: ASGIApp, *paths: str) -> list[str]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        return [(await client.post(path, content=b"asked")).text for path in paths]


def test_only_what_is_straight_leaves_the_rest_out_and_is_answered_alike() -> None:
    seen: list[str] = []
    mounted = Starlette(routes=[Route("/{path:path}", told, methods=["POST"])])
    around = Starlette(routes=[Mount("/v1", mounted)], middleware=[Middleware(Between, seen=seen)])
    app = Short(around, mounted, lambda scope: scope["path"] == "/v1/recommend")
    paths = ("/v1/recommend", "/v1/other")
    assert asyncio.run(asked(app, *paths)) == [f"{path} b'asked'" for path in paths]
    assert seen == ["/v1/other"]
