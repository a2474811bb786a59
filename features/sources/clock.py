"""Clock: when a live event happened, by a sender's clock that may be wrong.

original   the sender's clock when it happened
sent       the sender's clock when it was sent: how far the two lie apart is right, whatever the clock says
received   our clock
corrected  received - (sent - original), never after receipt
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from features.events import utc

EARLIEST = datetime(1970, 1, 1)  # noqa: DTZ001  # UTC without a zone; nobody sent a signal before
MAX_TIME = 64  # characters of a written time


def read(name: str, value: Any) -> datetime | None:
    """A written time in UTC, None where there is none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TIME:
        raise ValueError(f"{name} == {value!r:.80}, must be a time as ISO 8601 writes it")
    try:
        return utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        raise ValueError(f"{name} == {value!r:.80}, must be a time as ISO 8601 writes it") from None


def lenient(value: Any) -> datetime | None:
    """The time at which something was sent; None where nobody can read it: the clock is then taken as right."""
    try:
        return read("sentAt", value)
    except ValueError:
        return None


def corrected(original: datetime | None, sent: datetime | None, received: datetime) -> datetime:
    """When it happened, by our clock."""
    if original is None:
        return received
    try:
        moment = original if sent is None else received - (sent - original)
    except OverflowError:
        raise ValueError(f"timestamp == {original}, sent {sent}: that long ago there were no signals") from None
    if moment < EARLIEST:
        raise ValueError(f"timestamp == {original}, sent {sent}: that long ago there were no signals")
    return min(moment, received)
