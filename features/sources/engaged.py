"""Page Engaged: how long somebody was on a page, as the page told: `engaged_ms`, in seconds as the event's quantity."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

MOST = 1800.0  # seconds for one page: whoever is longer on it has left the tab open


def seconds(properties: Mapping[str, Any]) -> float | None:
    """The seconds, at most half an hour; None where the page told none that can be."""
    told = properties.get("engaged_ms")
    if isinstance(told, bool) or not isinstance(told, int | float) or not isfinite(told) or told <= 0:
        return None
    return min(told / 1000, MOST)
