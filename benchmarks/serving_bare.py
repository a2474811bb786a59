"""Bare: the top 10 as a Starlette app under uvicorn with workers, `python -m benchmarks.serving_bare PORT WORKERS`.

Its socket names TCP, as `uvicorn --workers` does not: only then asyncio sends at once, else every answer waits 40 ms
for an acknowledgement.
"""

from __future__ import annotations

import socket
import sys
from functools import cache

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.supervisors import Multiprocess

from benchmarks.serving_peers import Factors, K

factors = cache(Factors.here)


async def recommend(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    found = factors().best(asked["customer"], asked.get("k", K))
    return Response(orjson.dumps({"items": found}), media_type="application/json")


async def implicit(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    found = factors().implicit_best(asked["customer"], asked.get("k", K))
    return Response(orjson.dumps({"items": found}), media_type="application/json")


async def ready(_request: Request) -> Response:
    return Response()


ASKED = {"/recommend": recommend, "/implicit": implicit}
app = Starlette(routes=[Route("/ready", ready), *(Route(path, one, methods=["POST"]) for path, one in ASKED.items())])

if __name__ == "__main__":
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config("benchmarks.serving_bare:app", workers=int(sys.argv[2]), access_log=False)
    Multiprocess(config, [listening]).run()
