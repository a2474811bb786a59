"""Touches: where a customer came from, first and last, as traits that nobody told.

    first_source, last_source        `context.campaign.source`, else the site that referred, else the form
    first_campaign, last_campaign    the campaign's name

An event is a touch when it says one of these. They are derived at read, of all events up to the moment; a person's own
traits of these names are not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from features.events import SUBMITTED

if TYPE_CHECKING:
    import ibis.expr.types as ir

FIRST, LAST = ("first_source", "first_campaign"), ("last_source", "last_campaign")
TOUCHES = (*FIRST, *LAST)
ORDER = ("time", "received_at", "source", "message_id", "line")
HOST = "^https?://(?:www\\.)?([^/:?#@]+)"
REFERRERS = (("context", "page", "referrer"), ("context", "referrer", "url"), ("context", "referrer"))


def touched(events: ir.Table, trait: str) -> ir.Table:
    """One row per customer who came from somewhere: this trait as JSON text, like `profile.latest`."""
    import ibis

    kept = events.filter(events.properties.notnull(), said(events))
    kept = kept.mutate(value=_campaign(kept) if trait.endswith("campaign") else _source(kept))
    kept = kept.filter(kept.value.notnull())
    order = [kept[name] if trait in FIRST else ibis.desc(name) for name in ORDER]
    ranked = kept.mutate(rank=ibis.row_number().over(group_by="customer", order_by=order))
    to_json = ibis.udf.scalar.builtin(_to_json, name="to_json", signature=(("string",), "json"))
    first = ranked.filter(ranked["rank"] == 0)
    return first.select("customer", value=to_json(first.value).cast("string"))


def said(events: ir.Table) -> ir.BooleanValue:
    """The rows that may be touches."""
    return (events.name == SUBMITTED) | events.properties.contains('"context"')


def touch(rows: Iterable[Mapping[str, Any]], trait: str) -> str | None:
    """The trait of the customer whose rows these are; None where no row is a touch."""
    places = sorted(rows, key=lambda row: tuple(row[name] for name in ORDER), reverse=trait in LAST)
    return next((found for row in places if (found := touch_of(row, trait))), None)


def touch_of(row: Mapping[str, Any], trait: str) -> str | None:
    """What one row says of the trait; None where it is no touch."""
    if not may_touch(row):
        return None
    return _campaign_of(row) if trait.endswith("campaign") else _source_of(row)


def may_touch(row: Mapping[str, Any]) -> bool:
    """Whether the row may be a touch: `said` of one."""
    told = row["properties"]
    return told is not None and (row["name"] == SUBMITTED or '"context"' in told)


def _source(rows: ir.Table) -> ir.StringValue:
    import ibis

    refers = ibis.coalesce(*(_text(rows, *path) for path in REFERRERS))
    host, own = _host(refers), _host(_text(rows, "context", "page", "url"))
    outside = ibis.ifelse(own.isnull() | (host != own), host, None)
    form = ibis.ifelse(rows.name == SUBMITTED, _text(rows, "form"), None)
    return ibis.coalesce(_text(rows, "context", "campaign", "source"), outside, form)


def _campaign(rows: ir.Table) -> ir.StringValue:
    import ibis

    return ibis.coalesce(_text(rows, "context", "campaign", "name"), rows.campaign.nullif(""))


def _text(rows: ir.Table, *path: str) -> ir.StringValue:
    """The text at this place of the properties; null where there is another thing, or none."""
    import ibis

    extract = ibis.udf.scalar.builtin(_json_extract, name="json_extract", signature=(("string", "string"), "json"))
    found = extract(rows.properties, "/" + "/".join(path)).str
    return found.nullif("")


def _host(address: ir.StringValue) -> ir.StringValue:
    return address.lower().re_extract(HOST, 1).nullif("")


def _source_of(row: Mapping[str, Any]) -> str | None:
    told = orjson.loads(row["properties"])
    host = _host_of(next((found for path in REFERRERS if (found := _at(told, *path))), None))
    outside = host if host != _host_of(_at(told, "context", "page", "url")) else None
    form = _at(told, "form") if row["name"] == SUBMITTED else None
    return _at(told, "context", "campaign", "source") or outside or form


def _campaign_of(row: Mapping[str, Any]) -> str | None:
    return _at(orjson.loads(row["properties"]), "context", "campaign", "name") or row["campaign"] or None


def _at(told: Any, *path: str) -> str | None:
    for name in path:
        told = told.get(name) if isinstance(told, dict) else None
    return told or None if isinstance(told, str) else None


def _host_of(address: str | None) -> str | None:
    found = re.search(HOST, (address or "").lower())
    return found[1] if found else None


def _json_extract(json: ir.StringValue, pointer: str) -> ir.JSONValue:
    """DuckDB's own."""


def _to_json(text: ir.StringValue) -> ir.JSONValue:
    """DuckDB's own."""
