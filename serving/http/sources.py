"""The routes by which sources other than an SDK send: the catalogue, forms, receipts; and the page on how they fare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.keys import SEND
from features.ledger import Ledger
from features.signals import health
from features.sources.forms import take as take_form
from features.sources.receipts import Receipt, take
from features.webhooks import secret_of, signed
from serving.http import forms
from serving.http.catalog import ItemsRequest, change
from serving.http.errors import HttpError, answer, body_of, content_of, parsed, stored
from serving.http.tracking import Tracking

if TYPE_CHECKING:
    from serving.http.app import Routes

NOTHING = "this service has no workspace, so it keeps nothing"
MAX_ID = 256  # characters of a webhook's id


class Sources:
    """Handlers that write to the ledger of the service's state."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._tracking: Tracking | None = None

    def pages(self) -> list[Route]:
        """The routes under `/reports`."""
        return [Route("/signals", self.signals, methods=["GET"])]

    def known(self) -> list[Route]:
        return [
            Route("/catalog/items", self.items, methods=["POST"]),
            Route("/forms/{key}", self.form, methods=["POST"]),
            Route("/receipts/{source}", self.receipt, methods=["POST"]),
        ]

    async def items(self, request: Request) -> Response:
        """Items, prices, stock and images, as the shop has them now."""
        ledger = self._ledger()
        body = await body_of(request, ItemsRequest)
        with stored():
            return answer(await run_in_threadpool(change, ledger, body, self._routes.now()))

    async def form(self, request: Request) -> Response:
        """An HTML form: who sent it, that it was sent, and the consent that was ticked."""
        ledger, told = self._ledger(), request.path_params["key"]
        asker = await self._routes.keys().admitted(request.scope, SEND, now=self._routes.now(), told=told)
        form = await forms.read(request)
        target, name = forms.back(request, form), form.message_id or uuid4().hex
        with stored(), _asked():
            told = await run_in_threadpool(take_form, ledger, asker.source, form, name, self._routes.now())
        return forms.answered(told, target)

    async def signals(self, _request: Request) -> Response:
        """Is the tracking healthy? A page."""
        workspace = self._routes.ready().workspace
        if workspace is None:
            raise HttpError(503, "no_ledger", NOTHING)
        self._tracking = self._tracking or Tracking(partial(health, workspace))
        with stored():
            return HTMLResponse(await run_in_threadpool(self._tracking.page, self._routes.now()))

    async def receipt(self, request: Request) -> Response:
        """What an e-mail provider reports, signed as Standard Webhooks has it."""
        ledger, source = self._ledger(), request.path_params["source"]
        content = await content_of(request)
        with stored():
            secret = await run_in_threadpool(secret_of, ledger, source)
            if secret is None:
                raise HttpError(404, "not_found", f"no secret is known of {source!r:.80}; run `attune keys webhook`")
            if not signed(secret, content, request.headers):
                raise HttpError(401, "wrong_signature", "the headers webhook-* do not sign this body")
            receipt, name = parsed(content, Receipt), request.headers["webhook-id"]
            return answer(await run_in_threadpool(take, ledger, source, name[:MAX_ID], receipt, self._routes.now()))

    def _ledger(self) -> Ledger:
        if (ledger := self._routes.ready().ledger) is None:
            raise HttpError(503, "no_ledger", NOTHING)
        return ledger


@contextmanager
def _asked() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise HttpError(400, "bad_request", str(error)) from None
