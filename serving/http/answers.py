"""From a checked request to a journalled answer: what the routes and the BentoML calls have in common."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from features.decisions import RETRY, Decision
from features.ledger import LOOK_MS
from features.patience import hurried
from serving.decisions import offers, recommend
from serving.decisions.challenge import answering, noted, shadowed
from serving.decisions.explained import explained
from serving.decisions.journal import Journal
from serving.decisions.limits import UsedUpError, take, taken
from serving.decisions.requests import DecideRequest, OfferRequest, Request
from serving.decisions.shelf import stocked
from serving.decisions.state import State
from serving.http.aside import aside, looking, writing
from serving.http.counters import count
from serving.http.errors import HttpError

log = logging.getLogger("attune.answers")
Answer = dict[str, Any]
Decide = Callable[[State, Any, str, datetime], tuple[Decision, Answer]]
LOOK_SECONDS = LOOK_MS / 1000  # for all that a request reads: less than the budget that most placements have
MAX_KEY = 255  # characters of an Idempotency-Key
GIVING = (OfferRequest, DecideRequest)  # what may give out an offer: one with a limit is counted in the ledger
LIGHT: dict[Decide, Callable[[State, Any], bool]] = {recommend.recommend: recommend.light, offers.select: offers.light}


@dataclass(frozen=True)
class Asked:
    """What is asked for, by which body, and the key that makes a retry the same request."""

    name: str  # of the route; a key belongs to one
    decide: Decide
    request: Request
    key: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not 0 < len(self.key) <= MAX_KEY:
            raise HttpError(
                400, "bad_request", f"Idempotency-Key has {len(self.key)} characters, 1 to {MAX_KEY} needed"
            )

    @property
    def body(self) -> str:
        """The fingerprint of the request as it was understood: order, spaces and defaults make no difference."""
        return _digest(orjson.dumps(self.request.model_dump(), option=orjson.OPT_SORT_KEYS))


async def answered(state: State, asked: Asked, now: datetime) -> Answer:
    """The answer: at once where nothing is waited for, else from a thread, so that others need not wait for it."""
    light = LIGHT.get(asked.decide)
    by = answering(state, getattr(asked.request, "customer", None))  # a challenger may take longer
    if asked.key is not None or (isinstance(asked.request, GIVING) and not offers.quick(state)):
        return await writing(decided, state, asked, now)
    if light is None or not light(by, asked.request):
        return await aside(decided, state, asked, now)
    return decided(state, asked, now) if near(state) else await looking(decided, state, asked, now)


def near(state: State) -> bool:
    """Whether a look at the ledger waits for nobody (docs/decisions/0006): there is none, or a file of this host."""
    return state.ledger is None or state.ledger.stays


def in_time(state: State, seconds: float = LOOK_SECONDS) -> AbstractContextManager[None]:
    """Within it a ledger that does not answer soon is as one that is gone; a file of this host is not waited for."""
    return nullcontext() if near(state) else hurried(seconds)


def newest(state: State) -> State:
    """The state with the newest stock, as far as the ledger says it in time."""
    with in_time(state):
        return stocked(state)


def decided(state: State, asked: Asked, now: datetime) -> Answer:
    """The answer, after its decision is in the journal; with a key, the first answer that was given under it."""
    state = newest(state)
    if asked.key is not None and state.journal is not None:
        return _once(state, state.journal, asked, now)
    # without a journal nothing is remembered: a key and a body together still fix the draw
    decision_id = fresh(now) if asked.key is None else id_of_key(asked.name, asked.key, asked.body)
    answer: Answer = _first(state, asked, decision_id, now)["answer"]
    return answer


def _once(state: State, journal: Journal, asked: Asked, now: datetime) -> Answer:
    """The key's answer from the ledger, which all workers share and which outlives them."""
    decision_id = id_of_key(asked.name, str(asked.key))
    with durable():
        row = journal.committed(decision_id)
    first = _first(state, asked, decision_id, now) if row is None else row["context"][RETRY]
    return same(asked, first)


def same(asked: Asked, first: dict[str, Any]) -> Answer:
    """The answer that was kept under the key, for the same body."""
    if first["body"] != asked.body:
        raise HttpError(
            422, "key_reused", f"Idempotency-Key {asked.key!r} came with another body before; use a new key"
        )
    answer: Answer = first["answer"]
    return answer


def _first(state: State, asked: Asked, decision_id: str, now: datetime) -> dict[str, Any]:
    """Decides, again where others took the last of the chosen offer meanwhile; the answer, its decision written."""
    started = perf_counter()
    while True:
        decision, answer = _decide(state, asked, decision_id, now)
        try:
            with durable():
                kept = _written(state, asked, decision, answer)
        except UsedUpError:
            continue
        count(decision, perf_counter() - started)
        shadowed(state, decision, lambda by: asked.decide(by, asked.request, decision_id, now)[0])
        return kept


def _written(state: State, asked: Asked, decision: Decision, answer: Answer) -> dict[str, Any]:
    """The answer that holds: the first under a key, with what was taken of its offer."""
    if state.journal is None:
        return {"answer": answer}
    if asked.key is None and taken(state, decision) is None:
        state.journal.append(decision)
        return {"answer": answer}

    def made(connection: Connection) -> Decision:
        given = take(connection, state, decision)
        kept = {"body": asked.body, "answer": answer | given}
        return replace(decision, context={**decision.context, **given, RETRY: kept})

    row = state.journal.keep(decision.decision_id, made)  # another worker may have been first
    first: dict[str, Any] = row["context"][RETRY]
    return first


def _decide(state: State, asked: Asked, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    by = answering(state, getattr(asked.request, "customer", None))
    with refusing():
        with in_time(state):
            by = by if by is state else stocked(by)
            made = asked.decide(by, asked.request, decision_id, now)
        decision, answer = noted(state, by, *made, now)
    return decision, explained(asked.request, decision, answer)


@contextmanager
def refusing() -> Iterator[None]:
    """What cannot be decided is an error with a status."""
    try:
        yield
    except ValueError as error:
        raise HttpError(400, "bad_request", str(error)) from None


@contextmanager
def durable() -> Iterator[None]:
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        log.warning("a decision could not be written: %s", error)  # where the store is is nobody's business who asks
        raise HttpError(503, "not_journalled", "the decision could not be written; nothing was decided") from None


def fresh(now: datetime) -> str:
    """An id of 32 digits that nobody can guess; those of one time stand together in the ledger's index."""
    return f"{int(now.timestamp() * 1e6):014x}{os.urandom(9).hex()}"


def id_of_key(*parts: str) -> str:
    return _digest(":".join(parts).encode())[:32]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
