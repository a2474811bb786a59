"""Patience: how long whoever answers a customer waits for a ledger that is a server.

A lock, or a server that hangs, would hold an answer for as long as it lasts: within `hurried` all looks together have
so many seconds. What is given up is closed, and whoever is in a hurry leaves the server alone for `REST` seconds then,
so that it is not filled with queries that nobody waits for: after `MANY` with no answer between, as one alone says
nothing of a busy server. Everybody else waits as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

REST = 1.0  # seconds
MANY = 3  # looks of a process that are given up one after the other
LEAST = 0.05  # seconds, for what has begun: also to let go of a connection in good order
LATE = "the ledger did not answer in time"
_until: ContextVar[float | None] = ContextVar("until", default=None)  # by `monotonic`


@contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Within it, looks at a server have so many seconds together; then they fail as where the server is gone."""
    token = _until.set(monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


class Patience:
    """With one server, over all connections to it."""

    def __init__(self) -> None:
        self._rests = 0.0  # until then, by `monotonic`
        self._late = 0  # looks given up since the last answer
        self.away: str | None = None  # why nobody connects, as long as nobody may

    def require(self) -> None:
        """OSError where whoever is in a hurry has no time left, or should not ask yet."""
        until, now = _until.get(), monotonic()
        if until is not None and (now >= until or now < self._rests):
            raise OSError(LATE)

    def left(self) -> float | None:
        """Seconds for whoever is in a hurry; None for who is not."""
        until = _until.get()
        return None if until is None else max(until - monotonic(), LEAST)

    def gave_up(self) -> None:
        """A look was given up; after `MANY` in a row the server is left alone for a while."""
        self._late += 1
        if self._late >= MANY:
            self._rests = monotonic() + REST

    def answered(self) -> None:
        """It answers."""
        self._late = 0
