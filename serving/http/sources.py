"""The routes by which sources other than an SDK send: the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.keys import CATALOG
from features.ledger import Ledger
from serving.http.auth import Keys, in_header
from serving.http.catalog import ItemsRequest, change
from serving.http.errors import HttpError, answer, body_of, stored

if TYPE_CHECKING:
    from serving.http.app import Routes


class Sources:
    """Handlers that write to the ledger of the service's state."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._keys: Keys | None = None

    def known(self) -> list[Route]:
        return [Route("/catalog/items", self.items, methods=["POST"])]

    async def items(self, request: Request) -> Response:
        """Items, prices, stock and images, as the shop has them now."""
        ledger = self._ledger()
        await self._allowed(ledger, request, CATALOG)
        body = await body_of(request, ItemsRequest)
        with stored():
            return answer(await run_in_threadpool(change, ledger, body, self._routes.now()))

    def _ledger(self) -> Ledger:
        if (ledger := self._routes.ready().ledger) is None:
            raise HttpError(503, "no_ledger", "this service has no workspace, so it keeps nothing")
        return ledger

    async def _allowed(self, ledger: Ledger, request: Request, role: str) -> None:
        self._keys = self._keys or Keys(ledger)
        with stored():
            await self._keys.of(in_header(request), role)
