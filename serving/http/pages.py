"""The pages behind signed links: `GET` shows, only `POST` changes something."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.state import State
from serving.http.aside import aside, writing
from serving.http.errors import HttpError, content_of
from serving.pages import preferences, unsubscribe, why
from serving.pages.links import Link, read, secret_of, token
from serving.pages.shell import HEADERS, section, shell, words

if TYPE_CHECKING:
    from serving.http.app import Routes

log = logging.getLogger("attune.pages")
Place = tuple[State, Workspace, Ledger]


class Pages:
    """Handlers; each reads its link first, and what is no link of ours is answered as an unknown page."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def known(self) -> list[Route]:
        return [Route("/pages/{token}", self.page, methods=["GET", "POST"])]

    async def page(self, request: Request) -> Response:
        """Shows the page, or does what its form says."""
        place, now = self._place(), self._routes.now()
        link = read(secret_of(place[1]), request.path_params["token"])
        if link is None:
            return _html(shell("This link is not valid", section("", words("Open it again from the message."))), 404)
        form = (
            {} if request.method != "POST" else dict(parse_qsl((await content_of(request)).decode("utf-8", "replace")))
        )
        try:
            if request.method != "POST":
                return _html(await aside(_shown, place, link, now))
            return await writing(_posted, place, link, form, now)
        except (OSError, SQLAlchemyError) as error:
            log.warning("a page could not be answered: %s", error)
            return _html(shell("This does not work just now", section("", words("Try again in a few minutes."))), 503)

    def _place(self) -> Place:
        state = self._routes.ready()
        if state.workspace is None or state.ledger is None:
            raise HttpError(503, "no_workspace", "this service has no workspace, so it knows no customers")
        return state, state.workspace, state.ledger


def _shown(place: Place, link: Link, now: datetime) -> str:
    state, workspace, ledger = place
    show: dict[str, Callable[[], str]] = {
        "unsubscribe": lambda: unsubscribe.shown(link, state.settings),
        "preferences": lambda: preferences.shown(ledger, link, state.settings, now),
        "why": lambda: why.shown(state, workspace, link, now),
    }
    return show[link.page]()


def _posted(place: Place, link: Link, form: dict[str, str], now: datetime) -> Response:
    """An unsubscription is answered at once, without a redirect (RFC 8058); a switch leads back to its page."""
    state, workspace, ledger = place
    try:
        if link.page == "unsubscribe":
            unsubscribe.posted(ledger, link, form, now)
            return _html(unsubscribe.done(link, state.settings))
        if link.page == "preferences":
            preferences.posted(ledger, link, form, state.settings, now)
        else:
            why.posted(ledger, link, form, now)
    except ValueError as error:
        return _html(shell("That did not work", section("", words(str(error)))), 400)
    return RedirectResponse(token(secret_of(workspace), link), 303, headers=HEADERS)  # to itself, also behind a proxy


def _html(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, headers=HEADERS)
