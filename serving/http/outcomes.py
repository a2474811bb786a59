"""`POST /v1/outcomes`: what came of decisions, from a shop without a library; in the ledger before it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.events import utc
from features.keys import SEND
from features.sources.sdk import Call, taken
from features.sources.split import Broken
from serving.decisions.journal import find_all
from serving.decisions.outcomes import MAX_OUTCOMES, Outcome, call_of, whose
from serving.decisions.state import State
from serving.http.aside import aside
from serving.http.errors import HttpError, checked, content_of, loaded
from serving.http.signals import counted, require_taken, route, with_ledger
from serving.intake import Parcel

if TYPE_CHECKING:
    from serving.http.app import Routes

MANY = "outcomes"
Read = Outcome | Broken


class Outcomes:
    """One handler."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def known(self) -> list[Route]:
        return [route("/outcomes", self.take)]

    async def take(self, request: Request) -> Response:
        """Outcomes, one or many; one that cannot be taken costs none of the others."""
        state, now = self._routes.ready(), self._routes.now()
        writing = with_ledger(state)
        asker = await writing.keys.admitted(request.scope, SEND, now=now)
        with writing.intake.room() as hold:
            body = loaded(await content_of(request, hold=hold))
            given = _many(body) if MANY in body else [body]
            events = await aside(_events, state, given)
            call = Call.of({}, asker.source, utc(now), state.settings)
            found, lost = await run_in_threadpool(taken, events, call)
            stored = await writing.intake.add(Parcel(found, [reject for _, reject in lost]))
        if MANY not in body:
            require_taken(lost)
        return counted(stored, found, lost)


def _many(body: dict[str, Any]) -> list[Any]:
    given, more = body[MANY], sorted(body.keys() - {MANY})
    if more:
        raise HttpError(400, "bad_request", f"unknown field {more[0]!r:.80} beside {MANY!r}")
    if not isinstance(given, list) or not given:
        raise HttpError(400, "bad_request", f"{MANY} == {given!r:.80}, a list of outcomes is needed")
    if len(given) > MAX_OUTCOMES:
        raise HttpError(413, "too_large", f"{MANY} has {len(given)} entries, at most {MAX_OUTCOMES} are taken")
    return given


def _events(state: State, given: Sequence[Any]) -> list[Any]:
    """Per outcome the call of a library, or what is wrong with it."""
    read = [_read(raw) for raw in given]
    orphans = {one.decision_id for one in read if isinstance(one, Outcome) and one.orphan}
    rows = _decisions(state, [str(one) for one in orphans])
    return [one if isinstance(one, Broken) else _event(one, raw, rows) for one, raw in zip(read, given, strict=True)]


def _decisions(state: State, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    assert state.workspace is not None and state.ledger is not None  # noqa: S101, PT018  # `with_ledger` has seen them
    return find_all(state.workspace.state / "journal", state.ledger, ids) if ids else {}


def _read(raw: Any) -> Read:
    if not isinstance(raw, dict):
        return _broken(raw, f"the outcome == {raw!r:.80}, must be an object")
    try:
        outcome: Outcome = checked(raw, Outcome)
    except HttpError as error:
        return _broken(raw, error.message)
    return outcome


def _event(outcome: Outcome, raw: Any, rows: dict[str, dict[str, Any]]) -> Any:
    try:
        who = whose(rows.get(str(outcome.decision_id)), outcome.decision_id) if outcome.orphan else None
    except ValueError as error:
        return _broken(raw, str(error))
    return call_of(outcome, who)


def _broken(raw: Any, fault: str) -> Broken:
    return Broken(orjson.dumps(raw).decode(), fault)
