"""Server: what uvicorn, BentoML and Python's log must do otherwise where strangers ask.

headers that do not come    the connection is closed
metrics by path             by route: a path may hold a customer or a key, and strangers would make paths for ever
an error's words in a log   its type and place: the words may hold what somebody asked
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http import auto

from serving.http.roles import route_of

HEADER_SECONDS = 5
PATH = "attune.path"  # in the scope, while `path` is the route


class Patient(auto.AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # which of two it is, uvicorn finds out at run time
    """uvicorn's protocol, where a request's headers come within seconds of the connection or of their first byte."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif before is None or before.response_complete:
            self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._stop()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class ByRoute:
    """ASGI middleware: `counting` sees the route as the path, and the app below it the path itself."""

    def __init__(self, app: ASGIApp, counting: Callable[..., ASGIApp], **options: Any) -> None:
        async def restored(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "path": scope[PATH]} if PATH in scope else scope, receive, send)

        self._counted = counting(restored, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = {**scope, "path": route_of(scope["path"]), PATH: scope["path"]} if scope["type"] == "http" else scope
        await self._counted(told, receive, send)


class Wordless(logging.LogRecord):
    """A record whose error has no words."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.exc_info and self.exc_info[0] is not None:
            kind, _, trace = self.exc_info
            bare = type(kind.__name__, (Exception,), {"__module__": kind.__module__})
            self.exc_info = (bare, bare(), trace)


def patient() -> None:
    """From now on new connections must not be slow."""
    auto.AutoHTTPProtocol = Patient


def wordless() -> None:
    """From now on the log tells where something failed, and not the words."""
    logging.setLogRecordFactory(Wordless)
