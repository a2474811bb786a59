"""Tries: what came of one, whether another is worth it, and what the last one means."""

from __future__ import annotations

from typing import Any

import httpx

from attune_client.calls import Call
from attune_client.errors import RefusedError, UnreachableError

TRIES = 3
LONGEST = 10  # seconds that a `Retry-After` is waited for: whoever waits for a page has left by then
PAUSE = 0.1  # seconds before a dropped connection is tried again; twice as long each time
BUSY = (429, 503)
Came = httpx.Response | httpx.RequestError


def pause(call: Call[Any], came: Came, tries: int) -> float | None:
    """Seconds until it is worth to try again after so many tries; None where what came holds."""
    if isinstance(came, httpx.Response):
        told = came.headers.get("retry-after", "")
        return float(told) if came.status_code in BUSY and told.isdigit() and int(told) <= LONGEST else None
    unsent = isinstance(came, httpx.ConnectError)
    dropped = isinstance(came, httpx.NetworkError | httpx.RemoteProtocolError)
    return PAUSE * 2**tries if unsent or (dropped and call.again) else None


def found(came: Came) -> Any:
    """The answer; an error where there is none."""
    if isinstance(came, httpx.RequestError):
        code = "timeout" if isinstance(came, httpx.TimeoutException) else "no_connection"
        raise UnreachableError(code, f"{type(came).__name__} {came}".strip()) from came
    try:
        told = came.json()
        if came.status_code == httpx.codes.OK:
            return told
        code, message = told["code"], told["message"]
    except (ValueError, KeyError, TypeError):  # somebody else answered: a proxy, or another service
        said = f"{came.url}: status {came.status_code} and no answer of Attune's: {came.text[:80]!r}"
        raise RefusedError(came.status_code, "not_attune", said) from None
    raise RefusedError(came.status_code, code, message)
