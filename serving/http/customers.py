"""`GET /v1/customers/{id}`: everything that is known of one customer, for who runs the shop."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.workspace import Workspace
from serving.decisions.known import Known, known
from serving.decisions.state import State
from serving.http.aside import aside
from serving.http.errors import HttpError, answer, id_of

if TYPE_CHECKING:
    from serving.http.app import Routes

log = logging.getLogger("attune.customers")
WAIT_SECONDS = 2.0  # for those asked for before: one costs most of a second of one core, which decisions need too


class Customers:
    """One handler."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._one = asyncio.Lock()

    def known(self) -> list[Route]:
        return [Route("/customers/{customer:path}", self.customer, methods=["GET"])]

    async def customer(self, request: Request) -> Response:
        """Who it is, what it said and did, and what would be decided now; nothing is journalled."""
        state, customer = self._routes.ready(), id_of(request, "customer")
        if state.workspace is None:
            raise HttpError(503, "no_workspace", "this service has no workspace, so it knows no customers")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._one.acquire()
        except TimeoutError:
            raise HttpError(503, "try_again", "customers are shown one at a time", {"retry-after": "1"}) from None
        try:
            return answer(await aside(_known, state, state.workspace, customer, self._routes.now()))
        finally:
            self._one.release()


def _known(state: State, workspace: Workspace, customer: str, now: datetime) -> Known:
    try:
        found = known(state, workspace, customer, now)
    except (OSError, SQLAlchemyError) as error:
        log.warning("a customer could not be shown: %s", error)
        said = "what is known of the customer cannot be read; ask again"
        raise HttpError(503, "try_again", said, {"retry-after": "1"}) from None
    if found is None:
        raise HttpError(404, "not_found", f"nothing is known of the customer {customer!r}")
    return found
