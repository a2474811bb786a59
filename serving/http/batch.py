"""`POST /v1/recommend/batch`: recommendations for many customers at once, all journalled with one write.

One batch at a time in a worker, in a thread, so that other requests go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.decisions import RETRY, Decision
from serving.decisions.batch import Made, recommend_each
from serving.decisions.challenge import answering_each, noted, shadowed
from serving.decisions.explained import explained
from serving.decisions.journal import Journal
from serving.decisions.recommend import recommend
from serving.decisions.requests import BatchRequest
from serving.decisions.shelf import stocked
from serving.decisions.state import State
from serving.http.answers import Answer, Asked, durable, fresh, id_of_key, in_time, newest, refusing, same
from serving.http.aside import aside
from serving.http.counters import count
from serving.http.errors import HttpError, answer, body_of

if TYPE_CHECKING:
    from serving.http.app import Routes

LOOK_SECONDS = 2.0  # for all that is read of a thousand customers
WAIT_SECONDS = 2.0  # for batches asked for before
NAME = "recommend/batch"


class Batch:
    """One handler."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._one = asyncio.Lock()

    def known(self) -> list[Route]:
        return [Route("/recommend/batch", self.batch, methods=["POST"])]

    async def batch(self, request: Request) -> Response:
        """One answer per customer, in their order, each as `/v1/recommend` gives it."""
        state, body = self._routes.ready(), await body_of(request, BatchRequest)
        asked = Asked(NAME, recommend, body, request.headers.get("idempotency-key"))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._one.acquire()
        except TimeoutError:
            raise HttpError(503, "try_again", "batches are answered one at a time", {"retry-after": "1"}) from None
        try:
            return await aside(_response, state, asked, body, self._routes.now())
        finally:
            self._one.release()


def _response(state: State, asked: Asked, body: BatchRequest, now: datetime) -> Response:
    return answer({"answers": answers(newest(state), asked, body, now)})


def answers(state: State, asked: Asked, body: BatchRequest, now: datetime) -> list[Answer]:
    """The answers, after their decisions are in the journal; with a key, those that were given first under it."""
    if asked.key is None:
        ids = [fresh(now) for _ in body.customers]
    else:
        parts = (asked.name, asked.key) if state.journal is not None else (asked.name, asked.key, asked.body)
        ids = [id_of_key(*parts, str(place)) for place in range(len(body.customers))]
    if asked.key is not None and state.journal is not None:
        return _once(state, state.journal, asked, body, ids, now)
    return [one for _, one in _first(state, asked, body, ids, now)]


def _once(
    state: State, journal: Journal, asked: Asked, body: BatchRequest, ids: Sequence[str], now: datetime
) -> list[Answer]:
    """The key's answers from the ledger; of a customer who was erased since, a new one."""
    with durable():
        rows = journal.all_committed(ids)
    for row in rows.values():
        same(asked, row["context"][RETRY])
    if len(rows) < len(ids):
        _first(state, asked, body, ids, now)
        with durable():
            rows = journal.all_committed(ids)
    return [same(asked, rows[decision_id]["context"][RETRY]) for decision_id in ids]


def _first(state: State, asked: Asked, body: BatchRequest, ids: Sequence[str], now: datetime) -> list[Made]:
    """What is decided, written."""
    started = perf_counter()
    made = _made(state, body, ids, now)
    with durable():
        _write(state, asked, made)
    each = (perf_counter() - started) / len(made)
    for (decision, _), customer in zip(made, body.customers, strict=True):
        count(decision, each)
        shadowed(state, decision, partial(_again, body, customer, decision.decision_id, now))
    return made


def _again(body: BatchRequest, customer: str, decision_id: str, now: datetime, by: State) -> Decision:
    return recommend(by, body.of(customer), decision_id, now)[0]


def _write(state: State, asked: Asked, made: Sequence[Made]) -> None:
    if state.journal is None:
        return
    if asked.key is None:
        state.journal.append(*(decision for decision, _ in made))
    else:
        state.journal.keep_all([_kept(asked, *one) for one in made])


def _kept(asked: Asked, decision: Decision, given: Answer) -> Decision:
    return replace(decision, context={**decision.context, RETRY: {"body": asked.body, "answer": given}})


def _made(state: State, body: BatchRequest, ids: Sequence[str], now: datetime) -> list[Made]:
    """What is decided for each, by the champion or a challenger."""
    found: dict[int, Made] = {}
    with refusing():
        for by, places in answering_each(state, body.customers):
            some = body.model_copy(update={"customers": [body.customers[place] for place in places]})
            with in_time(state, LOOK_SECONDS):
                stock = by if by is state else stocked(by)
                decided = recommend_each(stock, some, [ids[place] for place in places], now)
            for place, one in zip(places, decided, strict=True):
                decision, given = noted(state, by, *one, now)
                found[place] = decision, explained(body, decision, given)
    return [found[place] for place in range(len(ids))]
