"""Signals: the calls of Segment's and RudderStack's libraries, which deliver here unmodified.

body -> inflated -> parsed -> key -> rows and rejects -> intake -> 200 once all of it is in the ledger
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.events import utc
from features.keys import SEND
from features.rejects import Reject
from features.sources.sdk import MADE, MAX_EVENTS, Call, parsed, taken
from features.workspace import Settings
from serving.decisions.state import State
from serving.http.auth import Asker, Keys, in_header
from serving.http.errors import HttpError, answer, content_of, refused
from serving.http.inflate import inflated
from serving.intake import FullError, Intake, Parcel

MAX_BODY = 4 << 20  # bytes, also of what a compressed one holds: RudderStack's limit, eight times Segment's
BATCHES = ("batch", "import", "b")
SHORT = {
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}  # of the browser library
NAMED = 10  # rejects that an answer names
RETRY_SECONDS = 1
LARGE = 100_000  # bytes: what takes longer than some milliseconds
AGE = 86_400  # seconds for which a browser remembers what it may send
Handler = Callable[[Request], Awaitable[Response]]
Lost = Sequence[tuple[int, Reject]]  # their places


@dataclass(frozen=True)
class Writing:
    """What of the service's state takes events in."""

    keys: Keys
    intake: Intake
    settings: Settings


class Signals:
    """The routes that take events in."""

    def __init__(self, ready: Callable[[], State], now: Callable[[], datetime]) -> None:
        self._ready, self._now = ready, now

    def routes(self) -> list[Route]:
        """One for each word a library sends to, each also asked by browsers beforehand."""
        kinds = {**dict.fromkeys(BATCHES), **{kind: kind for kind in MADE}, **SHORT}
        routes = [route(f"/{path}", self._taking(kind)) for path, kind in kinds.items()]
        return [*routes, route("/m", _dropped)]

    def _taking(self, kind: str | None) -> Handler:
        async def take(request: Request) -> Response:
            state, asker = with_ledger(self._ready()), None
            if in_header(dict(request.scope["headers"])):  # before the body is looked at
                asker = await self._admitted(request, kind)
            with state.intake.room() as hold:
                content = await content_of(request, MAX_BODY, hold)
                content = inflated(content, request.headers.get("content-encoding", ""), MAX_BODY)
                hold(len(content))
                body = await _reckoned(content, _parsed, content)
                asker = asker or await self._admitted(request, kind, _in_body(body))
                return await self._take(content, body, kind, asker)

        return take

    async def _admitted(self, request: Request, kind: str | None, told: str | None = None) -> Asker:
        keys, pages = with_ledger(self._ready()).keys, kind not in (None, "alias")  # as `PAGES` says
        return await keys.admitted(request.scope, SEND, now=self._now(), pages=pages, told=told)

    async def _take(self, content: bytes, body: dict[str, Any], kind: str | None, asker: Asker) -> Response:
        state = with_ledger(self._ready())
        events = _events(body) if kind is None else [{**body, "type": kind}]
        asker.require_own(body.get("userId"))
        call = Call.of(body if kind is None else {}, asker.source, utc(self._now()), state.settings)
        found, lost = await _reckoned(content, taken, events, call)
        stored = await state.intake.add(Parcel(found, [reject for _, reject in lost]))
        if kind is not None:
            require_taken(lost)
        return counted(stored, found, lost)


def require_taken(lost: Lost) -> None:
    """400 for a single event that could not be taken."""
    if lost:
        raise HttpError(400, "rejected", lost[0][1].reason)


def counted(stored: int, found: Sequence[Any], lost: Lost) -> Response:
    """What became of many events."""
    counts = {"stored": stored, "repeated": len(found) - stored, "rejected": len(lost)}
    reasons = {"rejects": [{"event": at, "reason": one.reason} for at, one in lost[:NAMED]]} if lost else {}
    return answer({"success": True, **counts, **reasons})


async def _reckoned(content: bytes, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives; of a large body in a thread, so that other answers need not wait for it."""
    if len(content) > LARGE:
        return await run_in_threadpool(function, *arguments)
    return function(*arguments)


def with_ledger(state: State) -> Writing:
    if state.intake is None or state.keys is None:
        raise HttpError(503, "unavailable", "a bento has no ledger to keep events in; run `attune serve -w WORKSPACE`")
    return Writing(state.keys, state.intake, state.settings)


def route(path: str, handler: Handler) -> Route:
    """The handler, for pages of any origin: a key says who sends, not where the page came from."""

    async def answered(request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=204)
        else:
            response = await _tried(handler, request)
        _allow(response, request)
        return response

    return Route(path, answered, methods=["POST", "OPTIONS"])


async def _tried(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except HttpError as error:
        return refused(error)
    except (FullError, OSError, SQLAlchemyError) as error:
        # where the ledger is is nobody's business who sends
        said = error if isinstance(error, FullError) else "the ledger could not be read"
        response = refused(HttpError(503, "try_again", f"{said}; send the same again"))
        response.headers["retry-after"] = str(RETRY_SECONDS)
        return response


def _allow(response: Response, request: Request) -> None:
    response.headers["access-control-allow-origin"] = "*"
    response.headers["access-control-expose-headers"] = "retry-after"
    if request.method == "OPTIONS":
        asked = request.headers.get("access-control-request-headers", "authorization, content-type")
        response.headers["access-control-allow-headers"] = asked[:1000]
        response.headers["access-control-allow-methods"] = "POST"
        response.headers["access-control-max-age"] = str(AGE)


async def _dropped(_request: Request) -> Response:
    """What the browser library counts about itself: answered, so that it does not send it again, and not kept."""
    return answer({"success": True})


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        return parsed(content)
    except ValueError as error:
        raise HttpError(400, "not_json", f"the body is not JSON that can be taken: {error}") from None


def _in_body(body: dict[str, Any]) -> str | None:
    key = body.get("writeKey")
    return key if isinstance(key, str) else None


def _events(body: dict[str, Any]) -> list[Any]:
    events = body.get("batch")
    if not isinstance(events, list):
        raise HttpError(400, "bad_request", f"batch == {events!r:.80}, a list of events is needed")
    if len(events) > MAX_EVENTS:
        raise HttpError(413, "too_large", f"the batch has {len(events)} events, at most {MAX_EVENTS} are taken")
    return events
