"""Depth: JSON may be nested deeper than it can be written or shown again; such is refused where it comes in."""

from __future__ import annotations

from typing import Any

import orjson

MOST = 250  # orjson reads 1,024 levels and writes 254; Python shows less than 1,000


def writable(value: Any, content: bytes) -> Any:
    """The value of this JSON; ValueError where it could not be written again."""
    if content.count(b"{") + content.count(b"[") > MOST:
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError:
            raise ValueError(f"nested more than {MOST} deep") from None
    return value
