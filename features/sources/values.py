"""Values: what a sender's JSON holds, as text, number or object; one line where it is something else."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

MAX_TEXT = 256  # characters of an id or a name: what every ledger takes


def text(name: str, value: Any, most: int = MAX_TEXT) -> str | None:
    """An id or a name; a number is its digits, nothing and blank are None."""
    if value is None:
        return None
    if type(value) is not str:
        value = _digits(name, value)
    if len(value) > most or "\0" in value:
        raise ValueError(f"{name} == {value[:20]!r}... of {len(value)} characters, at most {most} and no NUL is taken")
    return value if value.strip() else None


def number(name: str, value: Any) -> float | None:
    """A number, also one that is written as text."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{name} == {value!r:.80}, must be a number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise ValueError(f"{name} == {value!r:.80}, must be a number")
    return found


def record(name: str, value: Any) -> Mapping[str, Any]:
    """An object; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} == {value!r:.80}, must be an object")
    return value


def _digits(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} == {value!r:.80}, must be text")
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53  # beyond, floats skip numbers
    return str(int(value) if whole else value)
