"""The clients: the same calls, answered or awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from attune_client import calls
from attune_client.calls import Call
from attune_client.tries import TRIES, Came, found, pause

TIMEOUT = 5.0  # seconds: the service gives up on a request as long after
IDLE = 2.0  # seconds after which a connection at rest is not used again: the service closes it after 5
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class Endpoint(Generic[Asked, Answer]):
    """A call as a method of both clients."""

    def __init__(self, call: Callable[Asked, Call[Answer]]) -> None:
        self.call = call

    @overload
    def __get__(self, client: Client, owner: type) -> Callable[Asked, Answer]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[Asked, Coroutine[Any, Any, Answer]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    def __get__(self, client: Client | AsyncClient | None, owner: type) -> object:
        if client is None:
            return self

        @wraps(self.call)
        def method(*args: Asked.args, **named: Asked.kwargs) -> object:
            return client.ask(self.call(*args, **named))

        return method


class Calls:
    """What both clients can ask."""

    recommend = Endpoint(calls.recommend)
    recommend_batch = Endpoint(calls.recommend_batch)
    basket = Endpoint(calls.basket)
    similar = Endpoint(calls.similar)
    select_offer = Endpoint(calls.select_offer)
    decide = Endpoint(calls.decide)
    assign = Endpoint(calls.assign)
    report = Endpoint(calls.report)
    customer = Endpoint(calls.customer)
    decision = Endpoint(calls.decision)
    outcomes = Endpoint(calls.outcomes)
    track = Endpoint(calls.track)
    identify = Endpoint(calls.identify)


class Client(Calls):
    """Asks the service at `url` with this key; threads may share it. `timeout`: seconds for each try."""

    def __init__(self, url: str, key: str | None = None, *, timeout: float = TIMEOUT) -> None:
        self._http = httpx.Client(**_settings(url, key, timeout))

    def ask(self, call: Call[Answer]) -> Answer:
        """The answer, after a few tries where another may help."""
        came = self._try(call)
        for tries in range(1, TRIES):
            if (seconds := pause(call, came, tries)) is None:
                break
            time.sleep(seconds)
            came = self._try(call)
        answer: Answer = found(came)
        return answer

    def _try(self, call: Call[Any]) -> Came:
        try:
            return self._http.request(call.method, call.path, json=call.body, headers=call.headers)
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(Calls):
    """The same, awaited."""

    def __init__(self, url: str, key: str | None = None, *, timeout: float = TIMEOUT) -> None:
        self._http = httpx.AsyncClient(**_settings(url, key, timeout))

    async def ask(self, call: Call[Answer]) -> Answer:
        """The answer, after a few tries where another may help."""
        came = await self._try(call)
        for tries in range(1, TRIES):
            if (seconds := pause(call, came, tries)) is None:
                break
            await asyncio.sleep(seconds)
            came = await self._try(call)
        answer: Answer = found(came)
        return answer

    async def _try(self, call: Call[Any]) -> Came:
        try:
            return await self._http.request(call.method, call.path, json=call.body, headers=call.headers)
        except httpx.RequestError as error:
            return error

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _settings(url: str, key: str | None, timeout: float) -> Mapping[str, Any]:
    return {
        "base_url": url,
        "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        "timeout": timeout,
        "limits": httpx.Limits(keepalive_expiry=IDLE),
    }
