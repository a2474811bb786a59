"""The BentoML service: answers from the workspace as it is; mounts the routes under `/v1`, probes and metrics.

The main calls are there a second time under `/api`, as BentoML's own, and call the same functions.
"""

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import bentoml
import orjson
from bentoml._internal.server.http import instruments, traffic
from bentoml.validators import ContentType
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from serving.decisions.offers import select
from serving.decisions.recommend import recommend
from serving.decisions.requests import AssignRequest, OfferRequest, RecommendRequest
from serving.decisions.state import State
from serving.http.answers import Asked, Decide, decided
from serving.http.api import Door, Short
from serving.http.app import Routes, assigned
from serving.http.counters import BUCKETS
from serving.http.errors import HttpError, checked
from serving.http.gauges import Gauges
from serving.http.headers import Headers
from serving.http.logs import Requests, note, wanted, written
from serving.http.server import ByRoute, patient, wordless
from serving.http.stores import told
from serving.http.timely import Timely
from serving.watch import Watch, spare

BUNDLED = Path(__file__).parent / "bundled"  # the item sides that a bento carries
TIMEOUT = 5  # seconds

Json = Annotated[str, ContentType("application/json")]  # BentoML would rebuild a schema for every other answer
routes = Routes(lambda: datetime.now(UTC))
COUNTING = instruments.RunnerTrafficMetricsMiddleware
mounted = routes.app()


def outermost(app: ASGIApp, **options: Any) -> ASGIApp:
    """Around what BentoML does, or the short way past it, its metrics by route and what every answer tells."""
    counted = Headers(ByRoute(Short(app, routes.straight), COUNTING, **options))
    return Requests(counted) if wanted() else counted


patient()
if wanted():
    written()
cast(Any, instruments).RunnerTrafficMetricsMiddleware = outermost  # there is no setting for it
cast(Any, traffic).TimeoutMiddleware = Timely  # nor for its words


@bentoml.asgi_app(routes.pages(), path="/reports")
@bentoml.asgi_app(mounted, path="/v1")
@bentoml.service(
    name="attune",
    workers=int(os.environ.get("ATTUNE_WORKERS", "1")),
    traffic={"timeout": TIMEOUT},
    logging={"access": {"enabled": False}},
    metrics={"duration": {"buckets": list(BUCKETS)}},
    tracing={"excluded_urls": ".*"},  # its middleware costs a fifth of a millisecond per request
)
class Attune:
    """Decides over HTTP."""

    def __init__(self) -> None:
        threadpool_limits(1, user_api="blas")
        folder = os.environ.get("ATTUNE_WORKSPACE")
        self.watch = Watch(Path(folder), routes, routes.now) if folder else None
        if self.watch:
            self.watch.start()
        else:
            routes.state = State.bundled(BUNDLED)
            spare()
        self.gauges = Gauges(lambda: routes.state, routes.now)
        self.gauges.start()
        wordless()  # only now: what stops the service from starting is told in words

    async def __metrics__(self, counted: str) -> str:
        """BentoML's metrics and what we count, with what the stores say now."""
        return counted if routes.state is None else counted + await told(routes.state, routes.now())

    @bentoml.on_shutdown
    def close(self) -> None:
        self.gauges.end()
        if self.watch:
            self.watch.end()
        if routes.state and routes.state.intake:
            routes.state.intake.close()
        if routes.state and routes.state.journal:
            routes.state.journal.close()

    @bentoml.api(route="/api/recommend")
    def recommend(self, request: dict[str, Any], ctx: bentoml.Context) -> Json:
        return _answered("recommend", recommend, RecommendRequest, request, ctx)

    @bentoml.api(route="/api/offers/select")
    def select(self, request: dict[str, Any], ctx: bentoml.Context) -> Json:
        return _answered("offer", select, OfferRequest, request, ctx)

    @bentoml.api(route="/api/experiments/assign")
    def assign(self, experiment: str, request: dict[str, Any], ctx: bentoml.Context) -> Json:
        return _answered(f"assign:{experiment}", partial(assigned, experiment), AssignRequest, request, ctx)


def _answered(name: str, decide: Decide, model: Any, request: dict[str, Any], ctx: bentoml.Context) -> str:
    # an error is an answer with a status: BentoML would answer an exception of status 503 without its message
    try:
        asked = Asked(name, decide, checked(request, model), ctx.request.headers.get("idempotency-key"))
        answer = decided(routes.ready(), asked, routes.now())
        note(answer["decision_id"])
    except HttpError as error:
        ctx.response.status_code, answer = error.status, error.body
    return orjson.dumps(answer).decode()


cast(Any, Attune).add_asgi_middleware(Door, keys=routes.keys, probe=routes.probe, now=routes.now)
