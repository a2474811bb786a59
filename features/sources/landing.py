"""Landing: the campaign that a page's address names, and the address without what may name a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from features.sources.values import MAX_TEXT

MOST = 100  # parts of a query
UTM = {
    "utm_campaign": "name",
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_term": "term",
    "utm_content": "content",
}
ADDRESSES = ("url", "referrer")


def bare(address: str) -> str:
    """The address without query and fragment, where tokens, searches and e-mail addresses stand."""
    return address.partition("#")[0].partition("?")[0]


def bared(told: Any) -> Any:
    """The same for an address, or for the addresses of an object."""
    if isinstance(told, Mapping):
        return {name: bared(value) if name in ADDRESSES else value for name, value in told.items()}
    return bare(told) if isinstance(told, str) else told


def campaign_of(address: Any) -> dict[str, str]:
    """The campaign by the names that an SDK gives its parts; empty where the address names none that can be kept."""
    try:
        asked = dict(parse_qsl(urlsplit(address).query, max_num_fields=MOST)) if isinstance(address, str) else {}
    except ValueError:
        return {}
    told = {ours: asked[name] for name, ours in UTM.items() if asked.get(name)}
    return {ours: value for ours, value in told.items() if len(value) <= MAX_TEXT and "\0" not in value}
