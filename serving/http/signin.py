"""Sign-in: an analyst tells a key that may read once, and the browser keeps a session, never the key."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from features.keys import READ
from serving.http import sessions
from serving.http.aside import aside
from serving.http.auth import Asker
from serving.http.errors import HttpError, content_of
from serving.http.guarded import ASKER, role_of
from serving.http.roles import OPEN
from serving.pages.links import secret_of
from serving.pages.shell import section, shell, words

if TYPE_CHECKING:
    from serving.http.app import Routes

SIGN_IN, START = "/reports/sign-in", "/reports/"
BACK = re.compile(r"/reports/[A-Za-z0-9_.~/-]*(?:\?[A-Za-z0-9=&_.-]*)?")
MOST = 4_096  # bytes of the form
OWN = {"referrer-policy": "same-origin"}  # else a browser does not say whose form it sends
STYLE = "<style>label{display:block}input{font:inherit;width:100%;padding:.5rem;margin:.35rem 0 1rem}</style>"
Made = TypeVar("Made")
Handler = Callable[[Request], Awaitable[Response]]


class SignIn:
    """Handlers of the form, and the guard of what is behind it."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def known(self) -> list[Route]:
        return [
            Route("/sign-in", self.form, methods=["GET"]),
            Route("/sign-in", self.enter, methods=["POST"]),
            Route("/sign-out", self.leave, methods=["POST"]),
        ]

    def behind(self, route: Route) -> Route:
        """The route, for who has a key or signed in; a browser without is shown the form."""
        handler: Handler = route.endpoint
        if role_of("/reports", route) == OPEN:
            return Route(route.path, for_people(handler), methods=list(route.methods or ()))

        async def admitted(request: Request) -> Response:
            request.scope[ASKER] = await self._asker(request)
            return await handler(request)

        return Route(route.path, for_people(admitted), methods=list(route.methods or ()))

    async def form(self, request: Request) -> Response:
        """The form; it leads back to where somebody wanted to go."""
        return _form(_back(request.query_params.get("next", "")))

    async def enter(self, request: Request) -> Response:
        """A session for who told a key that may read."""
        _require_own(request)
        told = dict(parse_qsl((await content_of(request, MOST)).decode("utf-8", "replace")))
        back, secret = _back(told.get("next", "")), await self._with_state(secret_of)
        try:
            key = await self._routes.keys().reading(told.get("key", "").strip())
        except HttpError as error:
            if error.status in (401, 403):  # of 401 a browser would make a question of its own
                return _form(back, "This is no key that may read reports, or it was revoked.", 403)
            raise
        response = RedirectResponse(back, 303)
        until = int(self._routes.now().timestamp()) + sessions.SECONDS
        sessions.begin(response, sessions.token(secret, key, until), request)
        return response

    async def leave(self, request: Request) -> Response:
        """Ends the session, also where its cookie was copied to."""
        _require_own(request)
        if await self._session(request) is not None:
            await self._with_state(sessions.finish, request.cookies[sessions.NAME], self._routes.now().timestamp())
        response = RedirectResponse(SIGN_IN, 303)
        sessions.end(response, request)
        return response

    async def _asker(self, request: Request) -> Asker:
        asker = None if "authorization" in request.headers else await self._session(request)
        return asker or await self._routes.keys().admitted(request.scope, READ, now=self._routes.now())

    async def _session(self, request: Request) -> Asker | None:
        """Who signed in with the session of the request; None where it has none that is good."""
        told = request.cookies.get(sessions.NAME)
        if told is None:
            return None
        secret, now = await self._with_state(secret_of), self._routes.now().timestamp()
        asker = await self._routes.keys().session(
            sessions.id_of(told), lambda key: sessions.good(secret, key, told, now)
        )
        return None if asker is None or await self._with_state(sessions.finished, told) else asker

    async def _with_state(self, function: Callable[..., Made], *given: Any) -> Made:
        """What the function makes of the workspace, whose `.attune/` it reads or writes."""
        workspace = self._routes.ready().workspace
        if workspace is None:
            raise HttpError(503, "no_workspace", "this service has no workspace, so it has no reports")
        try:
            return await aside(function, workspace, *given)
        except OSError:
            raise HttpError(503, "no_state", "no session begins or ends now: .attune/ cannot be written") from None


def for_people(handler: Handler) -> Handler:
    """The handler, whose errors a person sees as a page; who is to sign in first is led to the form."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except HttpError as error:
            if not _is_browser(request):
                raise
            return _to_form(request) if error.status == 401 and request.method == "GET" else _fault(error)

    return answered


def _require_own(request: Request) -> None:
    if not sessions.is_own(request):
        raise HttpError(403, "wrong_origin", "this form was sent by a page of somebody else's")


def _is_browser(request: Request) -> bool:
    told = request.headers
    return request.method in ("GET", "POST") and "text/html" in told.get("accept", "") and "authorization" not in told


def _to_form(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='/')}", 303)


def _fault(error: HttpError) -> Response:
    """What went wrong as a page, which leads to what is there."""
    said = section("", words(error.message), f'<p><a href="{START}">All reports</a></p>')
    return HTMLResponse(shell("Reports: this cannot be shown", said), error.status, headers=error.headers)


def _back(wanted: str) -> str:
    """Where to go after the form: only to reports of this service."""
    sound = BACK.fullmatch(wanted) and "//" not in wanted and ".." not in wanted
    return wanted if sound and not wanted.startswith(SIGN_IN) else START


def _form(back: str, fault: str = "", status: int = 200) -> Response:
    alert = f'<p role="alert">{escape(fault)}</p>' if fault else ""
    fields = (
        f'<input type="hidden" name="next" value="{escape(back)}">'
        '<input name="user" value="reports" autocomplete="username" hidden>'  # under which a browser keeps the key
        '<label for="key">A key of the role <code>read</code></label>'
        '<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>'
        "<button>Sign in</button>"
    )
    form = section("", alert, f'<form method="post" action="{SIGN_IN}">{fields}</form>')
    more = section(
        "",
        words("It holds for 12 hours in this browser, and ends with the key. Whoever runs the service makes one:"),
        "<p><code>attune keys create ANALYST --role read</code></p>",
        f'<p>Signed in already, and led here by a link of a mail? <a href="{escape(back)}">Go on</a>.</p>',
    )
    return HTMLResponse(shell("Reports: sign in", STYLE, form, more), status, headers=OWN)
