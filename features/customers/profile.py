"""Profile: what a customer or the CRM told: traits as of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pandas as pd
import pyarrow as pa

from features.customers.base import Family
from features.customers.days import days_before
from features.customers.touches import TOUCHES, touched
from features.events import CODE, IDENTIFIED
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "profile"
FEATURES = (Feature("days_since_identified", NAME, "days", "Days since traits were last told; unknown without any."),)


def rows(events: ir.Table, _moment: datetime) -> Columns:
    """The last time that traits were told."""
    return {"last_identified": events.time.max(where=events.name == CODE[IDENTIFIED])}


def columns(known: ir.Table, moment: datetime) -> Columns:
    """Days since traits were told."""
    return {"days_since_identified": days_before(moment, known.last_identified)}


def latest(events: ir.Table, trait: str) -> ir.Table:
    """One row per customer who was told this trait: its latest value as JSON text."""
    if trait in TOUCHES:
        return touched(events, trait)
    found = latest_of(events, {"value": trait})
    return found.filter(found.value.notnull())


def latest_of(events: ir.Table, traits: Mapping[str, str]) -> ir.Table:
    """One row per customer who was told any trait: the latest value of each of these, by its column, as JSON text.

    A trait told as null is unknown from then on; between two told at the same time, the later message id counts.
    """
    import ibis

    told = events.filter(events.name == IDENTIFIED, events.properties.notnull())
    json, order = told.properties.cast("json"), ("time", "received_at", "source", "message_id", "line")
    values = {column: _of_key(json, trait).cast("string") for column, trait in traits.items()}
    told = told.select("customer", told_at=ibis.struct({name: told[name] for name in order}), **values)
    newest = {column: told[column].argmax(told.told_at, where=told[column].notnull()) for column in values}
    return told.group_by("customer").aggregate(**newest)


def _of_key(json: ir.JSONValue, key: str) -> ir.JSONValue:
    """The value under this key, by a JSON pointer: Ibis' own `json[key]` takes `a.b` or `*` for a path."""
    import ibis

    extract = ibis.udf.scalar.builtin(_json_extract, name="json_extract", signature=(("json", "string"), "json"))
    return extract(json, "/" + key.replace("~", "~0").replace("/", "~1"))


def _json_extract(json: ir.JSONValue, pointer: str) -> ir.JSONValue:
    """DuckDB's own."""


def parsed(texts: pa.Array) -> pd.Series:
    """JSON texts as one feature column: numbers where every known value is a number, otherwise a category."""
    values = [None if text is None else orjson.loads(text) for text in texts.to_pylist()]
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pd.Series(values, dtype="float64")
    words = [None if value is None else _word(value) for value in values]
    levels = sorted({word for word in words if word is not None})
    return pd.Series(pd.Categorical(words, categories=levels))


def described(trait: str, values: pd.Series) -> Feature:
    """The description of a trait's column."""
    unit = "number" if values.dtype == "float64" else "category"
    return Feature(trait, NAME, unit, f"The trait {trait!r} as last told before the moment.")


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


FAMILY = Family(FEATURES, columns, rows=rows)
