"""Machines: opens and clicks that no person made. Counted, never learned from, never branched on.

A reason is one of the words below, kept with the event. What is not told apart here counts as a person's: of the image
proxies of Gmail and Yahoo that is right as a rule, they fetch when somebody opens.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from features.events import CLICKED, DELIVERED, OPENED

AT_ONCE = timedelta(seconds=10)  # nobody reads so fast after a delivery; scanners and prefetching proxies do
MANY = 3  # different links of one message in the same `AT_ONCE`
APPLE = ipaddress.ip_network("17.0.0.0/8")  # Mail Privacy Protection fetches from here, all of it Apple's
BARE = "Mozilla/5.0"  # all that Apple's proxies say of themselves
SCANNER = re.compile(
    r"barracuda|proofpoint|mimecast|messagelabs|symantec|trend ?micro|fireeye|forcepoint|sophos|bitdefender|ironport"
    r"|urlscan|safelinks|headlesschrome|python-|curl/|wget/|go-http-client|java/|okhttp|libwww|bot\b|crawler|spider",
    re.IGNORECASE,
)
PROXIES = {"GoogleImageProxy": "gmail", "YahooMailProxy": "yahoo"}
Row = Mapping[str, Any]  # of an earlier event: `name`, `time` and its `properties` as a mapping


def machine(name: str, time: datetime, told: Mapping[str, Any], earlier: Sequence[Row]) -> str | None:
    """Why a machine made this open or click, or None: `told` is the report, `earlier` what came of the same message."""
    if name not in (OPENED, CLICKED):
        return None
    if SCANNER.search(told.get("user_agent") or ""):
        return "scanner: its agent says so"
    sure = _opened(told) if name == OPENED else _clicked(time, told, earlier)
    if sure is None and _at_once(time, told, earlier):
        return f"prefetch: within {AT_ONCE.seconds} seconds of the delivery"
    return sure


def _opened(told: Mapping[str, Any]) -> str | None:
    return "apple-mpp: a privacy proxy opens all mail" if _apple(told) else None


def _clicked(time: datetime, told: Mapping[str, Any], earlier: Sequence[Row]) -> str | None:
    if told.get("hidden"):
        return "scanner: the link cannot be seen"
    many = _links(time, told, earlier) >= MANY
    return f"scanner: {MANY} links in {AT_ONCE.seconds} seconds" if many else None


def proxy(told: Mapping[str, Any]) -> str | None:
    """The mail provider whose image proxy fetched: then neither agent nor address say who opened."""
    agent = told.get("user_agent") or ""
    return next((name for word, name in PROXIES.items() if word in agent), None)


def _apple(told: Mapping[str, Any]) -> bool:
    if (told.get("user_agent") or "").strip() == BARE:
        return True
    try:
        return ipaddress.ip_address(told.get("ip") or "") in APPLE
    except ValueError:
        return False


def _at_once(time: datetime, told: Mapping[str, Any], earlier: Sequence[Row]) -> bool:
    known = [told["delivered_at"]] if told.get("delivered_at") else []
    delivered = known or [row["time"] for row in earlier if row["name"] == DELIVERED]
    return any(timedelta(0) <= time - moment <= AT_ONCE for moment in delivered)


def _links(time: datetime, told: Mapping[str, Any], earlier: Sequence[Row]) -> int:
    near = [row for row in earlier if row["name"] == CLICKED and abs(row["time"] - time) <= AT_ONCE]
    return len({told.get("link"), *(row["properties"].get("link") for row in near)} - {None})
