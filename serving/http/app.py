"""The routes under `/v1`, as one Starlette app: a route parses, calls and answers."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving.decisions.assign import assign
from serving.decisions.offers import select
from serving.decisions.recommend import recommend, similar
from serving.decisions.requests import AssignRequest, OfferRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from serving.http.answers import Decide, decided
from serving.http.errors import HttpError, answer, body_of, refused
from serving.http.openapi import document, page


class Routes:
    """The routes; `state` is set once, when the service starts."""

    def __init__(self) -> None:
        self.state: State | None = None

    def app(self) -> Starlette:
        """The app to mount."""
        routes = [
            Route("/recommend", self.recommend, methods=["POST"]),
            Route("/recommend/similar", self.similar, methods=["POST"]),
            Route("/offers/select", self.select, methods=["POST"]),
            Route("/experiments/{key}/assign", self.assign, methods=["POST"]),
            Route("/experiments/{key}/report", self.report, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/docs", self.docs, methods=["GET"]),
        ]
        handlers: dict[Any, Any] = {HttpError: _on_error, HTTPException: _on_status}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def recommend(self, request: Request) -> Response:
        return await self._decided(request, RecommendRequest, recommend)

    async def similar(self, request: Request) -> Response:
        return await self._decided(request, SimilarRequest, similar)

    async def select(self, request: Request) -> Response:
        return await self._decided(request, OfferRequest, select)

    async def assign(self, request: Request) -> Response:
        key = request.path_params["key"]
        _known(self.ready(), key)
        return await self._decided(request, AssignRequest, partial(assigned, key))

    async def report(self, request: Request) -> Response:
        """The stored report and its age; made by `attune report experiment KEY`."""
        state, key = self.ready(), request.path_params["key"]
        _known(state, key)
        path = None if state.reports is None else state.reports / f"experiment-{key}.json"
        if path is None or not path.exists():
            raise HttpError(404, "no_report", f"no report yet; run `attune report experiment {key}`")
        stored = await run_in_threadpool(path.read_bytes)
        return answer({**orjson.loads(stored), "age_seconds": round(time.time() - path.stat().st_mtime)})

    async def openapi(self, _request: Request) -> Response:
        return answer(document())

    async def docs(self, _request: Request) -> Response:
        return HTMLResponse(page())

    def ready(self) -> State:
        """The state; 503 while the service starts."""
        if self.state is None:
            raise HttpError(503, "starting", "the service has not read its workspace yet")
        return self.state

    async def _decided(self, request: Request, model: Any, decide: Decide) -> Response:
        state, key = self.ready(), request.headers.get("idempotency-key")
        body = await body_of(request, model)
        return answer(await run_in_threadpool(decided, state, decide, body, key))


def assigned(key: str, state: State, request: Any, decision_id: str, now: Any) -> Any:
    return assign(state, key, request, decision_id, now)


def _known(state: State, key: str) -> None:
    if key not in state.experiments:
        raise HttpError(404, "not_found", f"experiment {key!r} is not one of {sorted(state.experiments)}")


async def _on_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)  # noqa: S101  # registered for this class only
    return refused(error)


async def _on_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "error")
    return refused(HttpError(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}"))
