"""The BentoML service: reads the workspace at start, mounts the routes under `/v1`, and answers probes and metrics.

The main calls are there a second time under `/api`, as BentoML's own, and call the same functions.
"""

import gc
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import bentoml
import orjson
from bentoml.validators import ContentType
from threadpoolctl import threadpool_limits

from features.workspace import Workspace
from serving.decisions.offers import select
from serving.decisions.recommend import recommend
from serving.decisions.requests import AssignRequest, OfferRequest, RecommendRequest
from serving.decisions.state import State
from serving.http.answers import decided
from serving.http.app import Routes, assigned
from serving.http.errors import HttpError, checked

BUNDLED = Path(__file__).parent / "bundled"  # the item sides that a bento carries
TIMEOUT = 5  # seconds; BentoML keeps a timer per request until it runs out

Json = Annotated[str, ContentType("application/json")]  # BentoML would rebuild a schema for every other answer
routes = Routes()


@bentoml.asgi_app(routes.app(), path="/v1")
@bentoml.service(name="attune", workers=int(os.environ.get("ATTUNE_WORKERS", "1")), traffic={"timeout": TIMEOUT})
class Attune:
    """Decides over HTTP."""

    def __init__(self) -> None:
        threadpool_limits(1, user_api="blas")
        folder = os.environ.get("ATTUNE_WORKSPACE")
        routes.state = State.of(Workspace.open(Path(folder))) if folder else State.bundled(BUNDLED)
        gc.collect()
        gc.freeze()  # the models' objects live as long as the process: the collector need not walk them

    @bentoml.on_shutdown
    def close(self) -> None:
        if routes.state and routes.state.journal:
            routes.state.journal.close()

    @bentoml.api(route="/api/recommend")
    def recommend(self, request: dict[str, Any]) -> Json:
        return _answered(RecommendRequest, recommend, request)

    @bentoml.api(route="/api/offers/select")
    def select(self, request: dict[str, Any]) -> Json:
        return _answered(OfferRequest, select, request)

    @bentoml.api(route="/api/experiments/assign")
    def assign(self, experiment: str, request: dict[str, Any]) -> Json:
        return _answered(AssignRequest, partial(assigned, experiment), request)


def _answered(model: Any, decide: Any, request: dict[str, Any]) -> str:
    try:
        return orjson.dumps(decided(routes.ready(), decide, checked(request, model), None)).decode()
    except HttpError as error:
        raise bentoml.exceptions.InvalidArgument(error.message) from None
