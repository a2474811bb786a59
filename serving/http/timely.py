"""Timely: who waits longer than the service takes is told so in our words; it stands in the place of BentoML's own.

What a thread does meanwhile goes on, and so does an answer that has begun.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.errors import HttpError, refused


class Timely:
    """ASGI middleware: an answer begins within so many seconds, or is 504."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app, self._seconds = app, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        loop = asyncio.get_running_loop()
        in_time: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self._seconds, in_time.cancel)

        async def told(message: Message) -> None:
            _came(in_time)
            await send(message)

        asked = asyncio.ensure_future(self.app(scope, receive, told))
        asked.add_done_callback(lambda _: _came(in_time))
        await asyncio.wait([in_time])
        timer.cancel()
        if in_time.cancelled() and asked.cancel():
            return await refused(_late(self._seconds))(scope, receive, send)
        return await asked


def _came(in_time: asyncio.Future[None]) -> None:
    if not in_time.done():
        in_time.set_result(None)


def _late(seconds: float) -> HttpError:
    again = "ask again; with the same Idempotency-Key, a decision that was made all the same is answered"
    return HttpError(504, "too_long", f"there was no answer within {seconds:g} seconds; {again}")
