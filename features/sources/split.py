"""Split: the events of a batch that is no JSON as a whole, so that one broken event costs none of its neighbours.

{"batch": [{"type": "track", ...}, {"type": "tra\xff", ...}], "sentAt": "..."}
          |<- an event ------->|  |<- broken ---------->|     the rest is the envelope
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from features.depth import writable

TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
BATCH = b'"batch"'
MOST = 300_000  # brackets: what needs more to be told apart is no batch of events


@dataclass(frozen=True, slots=True)
class Broken:
    """The text of an event that is not JSON, and why."""

    text: str
    fault: str


def split(content: bytes) -> dict[str, Any]:
    """The body, its broken events as `Broken`; ValueError where there is no batch to tell events apart in."""
    if content.count(b"{") + content.count(b"[") > MOST:
        raise ValueError("nested too deeply, or with too many parts")
    start, spans, end = _events(content)
    if start is None or end is None:
        return _object(_value(content))
    envelope = _object(_value(content[:start] + b"[]" + content[end:]))
    return envelope | {"batch": [_event(content[first:last]) for first, last in spans]}


def _events(content: bytes) -> tuple[int | None, list[tuple[int, int]], int | None]:
    """Where the batch begins, where its events stand, and where it ends."""
    depth, start, first, named = 0, None, 0, False
    spans: list[tuple[int, int]] = []
    for token in TOKENS.finditer(content):
        sign = token.group()
        if sign in (b"{", b"["):
            depth += 1
            if depth == 2 and sign == b"[" and named and start is None:
                start = token.start()
            elif depth == 3 and start is not None:
                first = token.start()
        elif sign in (b"}", b"]"):
            if depth == 3 and start is not None:
                spans.append((first, token.end()))
            elif depth == 2 and start is not None:
                return start, spans, token.end()
            depth -= 1
        if depth == 1:
            named = sign == BATCH
    return start, spans, None


def _event(text: bytes) -> Any:
    try:
        return _value(text)
    except ValueError as error:
        return Broken(text.decode("utf-8", "backslashreplace"), f"not JSON: {error}")


def _value(text: bytes) -> Any:
    """The value; what Python's own `json` writes for no number (NaN) is null."""
    try:
        return writable(orjson.loads(text), text)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in text and b"Infinity" not in text:
            raise ValueError(str(error)) from None
    try:
        return writable(json.loads(text, parse_constant=lambda _: None), text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"the body is a {type(value).__name__}, an object is needed")
    return value
