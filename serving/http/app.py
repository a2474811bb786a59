"""The routes under `/v1`, as one Starlette app: a route parses, calls and answers."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.decisions.assign import assign
from serving.decisions.offers import quick as offers_quick
from serving.decisions.offers import select
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.recommend import quick as recommend_quick
from serving.decisions.requests import (
    AssignRequest,
    BasketRequest,
    DecideRequest,
    OfferRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.decisions.state import State
from serving.experiments.challenges import ended
from serving.experiments.report import stored
from serving.http.answers import Asked, Decide, answered, near
from serving.http.aside import aside
from serving.http.auth import Keys
from serving.http.batch import Batch
from serving.http.browse import page
from serving.http.customers import Customers
from serving.http.decisions import Decisions
from serving.http.errors import HttpError, answer, body_of, refused
from serving.http.guarded import asker_of, guarded, preflight
from serving.http.logs import note
from serving.http.openapi import document
from serving.http.outcomes import Outcomes
from serving.http.pages import Pages
from serving.http.ready import Probe, readiness
from serving.http.reports import Reports
from serving.http.roles import PAGES
from serving.http.script import script
from serving.http.signals import Signals
from serving.http.signin import for_people
from serving.http.slots import of_slot
from serving.http.sources import Sources

STRAIGHT = {"/v1/recommend": recommend_quick, "/v1/offers/select": offers_quick}  # what is asked on every page view
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Routes:
    """The routes; `state` is one reference, replaced whole by `serving/watch.py`. `now` is the clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.state: State | None = None
        self.fault = "the service has not read its workspace yet"
        self.now = now
        self.sources = Sources(self)
        self.signals = Signals(self.ready, now)
        self.known, self._probe = self._known(), Probe()

    def app(self) -> Starlette:
        """The app to mount."""
        # BentoML asks the mounted app for a match and answers itself where there is none: so there always is one
        known = guarded("/v1", self.known, self.keys, self.now)
        self._ways = {f"/v1{route.path}": _way(route.endpoint) for route in known if f"/v1{route.path}" in STRAIGHT}
        routes = [*known, Route("/{path:path}", self.unknown, methods=METHODS)]
        return Starlette(routes=routes, exception_handlers=HANDLERS)

    def pages(self) -> Starlette:
        """The app to mount under `/reports`: pages for people."""
        self._shown = Reports(self).known(self.sources.pages())
        routes = [*self._shown, Route("/{path:path}", for_people(self.unshown), methods=METHODS)]
        return Starlette(routes=routes, exception_handlers=HANDLERS)

    def _known(self) -> list[Route]:
        return [
            Route("/recommend", self.recommend, methods=["POST"]),
            Route("/recommend/basket", self.basket, methods=["POST"]),
            Route("/recommend/similar", self.similar, methods=["POST"]),
            Route("/offers/select", self.select, methods=["POST"]),
            Route("/decide", self.decide, methods=["POST"]),
            Route("/experiments/{key}/assign", self.assign, methods=["POST"]),
            Route("/experiments/{key}/report", self.report, methods=["GET"]),
            *self.sources.known(),
            *self.signals.routes(),
            *Customers(self).known(),
            *Batch(self).known(),
            *Decisions(self).known(),
            *Outcomes(self).known(),
            *Pages(self).known(),
            Route("/ready", self.readiness, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/docs", self.docs, methods=["GET"]),
            Route("/attune.js", script, methods=["GET"]),
        ]

    async def recommend(self, request: Request) -> Response:
        return await self._decided(request, RecommendRequest, "recommend", recommend)

    async def basket(self, request: Request) -> Response:
        return await self._decided(request, BasketRequest, "basket", basket)

    async def similar(self, request: Request) -> Response:
        return await self._decided(request, SimilarRequest, "similar", similar)

    async def select(self, request: Request) -> Response:
        return await self._decided(request, OfferRequest, "offer", select)

    async def decide(self, request: Request) -> Response:
        return await self._decided(request, DecideRequest, "decide", of_slot)

    async def assign(self, request: Request) -> Response:
        key = request.path_params["key"]
        return await self._decided(request, AssignRequest, f"assign:{key}", partial(assigned, key))

    async def report(self, request: Request) -> Response:
        """The stored report and its age; made by `attune report experiment KEY`."""
        state, key = self.ready(), request.path_params["key"]
        if ended(key) is None:
            _experiment(state, key)
        try:
            report = None if state.reports is None else await run_in_threadpool(stored, state.reports, key, self.now())
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            said = f"the stored report cannot be read; run `attune report experiment {key}` again"
            raise HttpError(503, "broken_report", said) from None
        if report is None:
            raise HttpError(404, "no_report", f"no report yet; run `attune report experiment {key}`")
        return answer(report)

    async def readiness(self, _request: Request) -> Response:
        """What answers, of when it is, and what was refused or fails."""
        return answer(await aside(readiness, self.ready(), self.now()))

    async def probe(self) -> Response:
        """`/readyz`: 200 as soon as decisions are answered, and what is degraded meanwhile."""
        return answer({"ready": True, "degraded": await self._probe.names(self.ready(), self.now())})

    async def openapi(self, _request: Request) -> Response:
        return answer(document())

    async def docs(self, _request: Request) -> Response:
        return HTMLResponse(page())

    async def unknown(self, request: Request) -> Response:
        """405 where another method would be answered, else 404 with the nearest route."""
        path, below = request.url.path, "/" + request.path_params["path"]
        found = [route for route in self.known if route.path_regex.match(below)]
        origin = request.headers.get("origin")
        if request.method == "OPTIONS" and origin and any(f"/v1{route.path}" in PAGES for route in found):
            return await preflight(self.keys(), origin)
        if found:
            raise _not_allowed(request, found)
        paths = [
            route.path.replace(":path", "") for route in self.known if len(route.path) > 2
        ]  # a letter is near to everything
        near = difflib.get_close_matches(below, paths, n=1)
        hint = f"did you mean /v1{near[0]}?" if near else "GET /v1/docs shows all"
        raise HttpError(404, "not_found", f"there is no route {path[:200]!r}; {hint}")

    async def unshown(self, request: Request) -> Response:
        """405 where another method would be answered, else 404."""
        path, below = request.url.path, "/" + request.path_params["path"]
        found = [route for route in self._shown if route.path_regex.match(below)]
        if found:
            raise _not_allowed(request, found)
        raise HttpError(404, "not_found", f"there is no page {path[:200]!r}; GET /reports/ lists all")

    def straight(self, scope: Scope) -> ASGIApp | None:
        """What answers at once, past all that BentoML does to bound requests and Starlette to find a route.

        None where the request may wait for somebody.
        """
        quick, state = STRAIGHT.get(scope["path"]), self.state
        if quick is None or state is None or scope["method"] != "POST" or not near(state):
            return None
        if not all(quick(one) for one in (state, *state.variants.values())):
            return None
        return None if any(name == b"idempotency-key" for name, _ in scope["headers"]) else self._ways[scope["path"]]

    def ready(self) -> State:
        """The state; 503 while the service starts."""
        if self.state is None:
            raise HttpError(503, "starting", self.fault)
        return self.state

    def keys(self) -> Keys:
        """The keys that may ask."""
        keys = self.ready().keys
        assert keys is not None  # noqa: S101  # a state that answers has them; this tells the type checker
        return keys

    async def _decided(self, request: Request, model: Any, name: str, decide: Decide) -> Response:
        state, asker = self.ready(), asker_of(request)
        body = asker.own(await body_of(request, model))
        asked = Asked(asker.named(name), decide, body, request.headers.get("idempotency-key"))
        found = await answered(state, asked, self.now())
        note(found["decision_id"])
        return answer(found)


def assigned(key: str, state: State, request: Any, decision_id: str, now: datetime) -> Any:
    _experiment(state, key)
    return assign(state, key, request, decision_id, now)


def _experiment(state: State, key: str) -> None:
    if key not in state.experiments:
        raise HttpError(404, "not_found", f"experiment {key!r} is not one of {sorted(state.experiments)}")


def _not_allowed(request: Request, found: Sequence[Route]) -> HttpError:
    """What says which methods these routes answer."""
    allowed = ", ".join(sorted({one for route in found for one in route.methods or ()}))
    return HttpError(405, "not_allowed", f"{request.method} {request.url.path}: use {allowed}", {"allow": allowed})


def _way(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """The endpoint alone; its errors are answered as those of the app are."""

    async def way(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await endpoint(Request(scope, receive, send))
        except HttpError as error:
            response = refused(error)
        await response(scope, receive, send)

    return ServerErrorMiddleware(way, handler=_on_failure)


async def _on_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)  # noqa: S101  # registered for this class only
    return refused(error)


async def _on_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "error")
    said = f"{request.method} {request.url.path}: {error.detail}"
    return refused(HttpError(error.status_code, code, said, error.headers))


async def _on_failure(_request: Request, error: Exception) -> Response:
    """What nobody foresaw: the trace is in the service's log, Starlette raises it again after this answer."""
    return refused(HttpError(500, "failed", f"the service failed ({type(error).__name__}); its log says where"))


HANDLERS: dict[Any, Any] = {HttpError: _on_error, HTTPException: _on_status, Exception: _on_failure}
