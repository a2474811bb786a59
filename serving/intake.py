"""Intake: live events into the ledger, by one writer per process that groups requests into transactions.

request -> rows -> the queue -> one transaction for all that wait -> each request is answered

Whoever is answered has been committed. What waits is bounded: above it nothing more is taken.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from features.history import key_of, store
from features.ledger import Ledger
from features.rejects import Reject, keep

log = logging.getLogger("attune.intake")
MOST_HELD = 32 << 20  # bytes of bodies; parsed they take some ten times that
GROUP = 2_000  # rows in a transaction: more would keep other writers waiting for long
WAIT_SECONDS = 4.0  # BentoML answers by itself after 5


class FullError(Exception):
    """More waits than the ledger can take now; nothing of the request was stored, or nobody knows: send it again."""


@dataclass(frozen=True)
class Parcel:
    """The events of one request: each one's rows, and what could not be taken."""

    events: Sequence[Sequence[dict[str, Any]]]
    rejects: Sequence[Reject] = ()


@dataclass
class _Waiting:
    rejects: Sequence[Reject]
    keys: list[list[bytes]]  # of each event's rows
    rows: dict[bytes, dict[str, Any]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]
    stored: int = 0


class Intake:
    """The queue and its writer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Waiting] = []
        self._held, self._closing, self._fails = 0, False, False
        self._more = threading.Condition()
        self._writer = threading.Thread(target=self._run, name="intake", daemon=True)
        self._writer.start()

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes that a request makes us hold, until it is answered; refuses more than there is room for."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._held + size > MOST_HELD:
                raise FullError(f"{self._held:,} bytes of events wait for the ledger")
            held, self._held = held + size, self._held + size

        try:
            yield hold
        finally:
            self._held -= held

    async def add(self, parcel: Parcel) -> int:
        """How many of the events were new, once all of them are in the ledger."""
        if not parcel.events and not parcel.rejects:
            return 0
        waiting = _waiting(parcel, asyncio.get_running_loop())
        with self._more:
            self._waiting.append(waiting)
            self._more.notify()
        try:
            return await asyncio.wait_for(waiting.done, WAIT_SECONDS)
        except TimeoutError:
            raise FullError("the ledger does not keep up") from None

    @property
    def waiting(self) -> int:
        """How many requests wait for their transaction."""
        return len(self._waiting)

    def close(self) -> None:
        """Commits what waits."""
        with self._more:
            self._closing = True
            self._more.notify()
        self._writer.join()

    def _run(self) -> None:
        while (group := self._next()) is not None:
            failure = self._tried(group)
            for one in group:
                with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
                    one.loop.call_soon_threadsafe(_answer, one, failure)

    def _tried(self, group: list[_Waiting]) -> FullError | None:
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001  # the edge of a thread: a full disk must not end it
            if not self._fails:
                log.error("events are not taken, and sent again: %s", error)
            self._fails = True
            return FullError("the ledger could not be written")  # where it is is nobody's business who sends
        if self._fails:
            log.warning("events are taken again")
        self._fails = False
        return None

    def _next(self) -> list[_Waiting] | None:
        """The requests of the next transaction, as soon as there is one; None at the end."""
        with self._more:
            self._more.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            count, rows = 1, len(self._waiting[0].rows)
            while count < len(self._waiting) and (rows := rows + len(self._waiting[count].rows)) <= GROUP:
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
        return [one for one in group if not one.done.cancelled()]  # whoever gave up was told to send again

    def _commit(self, group: list[_Waiting]) -> None:
        if not group:
            return
        rows: dict[bytes, dict[str, Any]] = {}
        for one in reversed(group):
            rows |= one.rows  # of the same message twice the first stays
        with self._ledger.write() as connection:
            fresh = store(connection, rows)
            rejects = [reject for one in group for reject in one.rejects]
            if rejects:
                keep(connection, rejects)
        for one in group:
            one.stored = len({keys[0] for keys in one.keys} & fresh)
            fresh -= one.rows.keys()


def _waiting(parcel: Parcel, loop: asyncio.AbstractEventLoop) -> _Waiting:
    keys = [[key_of(row) for row in rows] for rows in parcel.events]
    rows: dict[bytes, dict[str, Any]] = {}
    for of_event, event in zip(keys, parcel.events, strict=True):
        for key, row in zip(of_event, event, strict=True):
            rows.setdefault(key, row)
    return _Waiting(parcel.rejects, keys, rows, loop, loop.create_future())


def _answer(one: _Waiting, failure: FullError | None) -> None:
    if one.done.done():
        return
    if failure is None:
        one.done.set_result(one.stored)
    else:
        one.done.set_exception(failure)
