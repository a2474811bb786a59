"""Connections to PostgreSQL that are given up when whoever is in a hurry has no time left (`patience.py`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import psycopg

from features.patience import LATE, Patience

Came = SimpleQueue[Callable[[], "Connection"]]


class Connection(psycopg.Connection[Any]):
    """One connection."""

    patience: Patience | None = None

    def wait(self, gen: Any, *words: Any, **named: Any) -> Any:
        left = None if self.patience is None else self.patience.left()
        if self.patience is None or left is None:
            return super().wait(gen, *words, **named)
        try:
            return super().wait(gen, *words, **{**named, "timeout": left})
        except psycopg.errors._WaitTimeout:  # psycopg has no public name for it; test_ledger_away sees it
            self.close()  # what it was asked may be answered yet, to nobody
            self.patience.gave_up()
            raise psycopg.OperationalError(LATE) from None


def connected(patience: Patience, *words: Any, **named: Any) -> Connection:
    """A new connection; one that comes too late is closed."""
    if patience.away is not None:
        raise psycopg.OperationalError("it was away when this process began, and was not found right since")
    left = patience.left()
    if left is None:
        return _made(patience, words, named)
    came, gone = Came(), Event()
    Thread(target=_come, args=(came, gone, patience, words, named), name="connect", daemon=True).start()
    try:
        return came.get(timeout=left)()
    except Empty:
        gone.set()
        _close(came)
        patience.gave_up()
        raise psycopg.OperationalError(LATE) from None


def _made(patience: Patience, words: Any, named: Any) -> Connection:
    connection = Connection.connect(*words, **named)
    connection.patience = patience
    return connection


def _come(came: Came, gone: Event, patience: Patience, words: Any, named: Any) -> None:
    try:
        connection = _made(patience, words, named)
    except psycopg.Error as error:
        came.put(_raising(error))
    else:
        came.put(lambda: connection)
        if gone.is_set():
            _close(came)


def _close(came: Came) -> None:
    """Closes what came meanwhile; whoever of the two threads is second finds it."""
    with suppress(Empty, psycopg.Error):
        came.get_nowait()().close()


def _raising(error: Exception) -> Callable[[], Connection]:
    def fail() -> Connection:
        raise error

    return fail
