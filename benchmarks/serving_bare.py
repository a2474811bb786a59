"""Bare: the top 10 as a Starlette app, `uvicorn benchmarks.serving_bare:app --workers 2`."""

from __future__ import annotations

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.serving_peers import Factors, K

factors = Factors.here()


async def recommend(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    found = factors.best(asked["customer"], asked.get("k", K))
    return Response(orjson.dumps({"items": found}), media_type="application/json")


async def implicit(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    found = factors.implicit_best(asked["customer"], asked.get("k", K))
    return Response(orjson.dumps({"items": found}), media_type="application/json")


async def ready(_request: Request) -> Response:
    return Response()


ASKED = {"/recommend": recommend, "/implicit": implicit}
app = Starlette(routes=[Route("/ready", ready), *(Route(path, one, methods=["POST"]) for path, one in ASKED.items())])
