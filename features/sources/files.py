"""Anybody's own events: a CSV or Parquet file, and a map that says what its columns are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import yaml
from pydantic import Field

from features.consent import Basis
from features.events import ADDED, CLICKED, COLUMNS, OPENED, ORDERED, REFUNDED, SCHEMA, VIEWED, utc
from features.imports import Parsed, readable, relation
from features.workspace import Frozen, Settings, Zone

PREVIEW = 10
WORDS = {
    "customer": ("customer", "customer_id", "customerid", "user_id", "userid", "user", "client_id", "household_id"),
    "time": ("time", "timestamp", "ts", "date", "datetime", "created_at", "event_time", "invoicedate", "order_date"),
    "name": ("event", "event_name", "event_type", "type", "action", "name"),
    "item": ("item", "item_id", "product_id", "productid", "product", "sku", "stockcode", "article_id"),
    "quantity": ("quantity", "qty", "units", "count"),
    "price": ("price", "unit_price", "unitprice", "amount", "sales_value"),
    "order_id": ("order_id", "orderid", "order", "invoiceno", "invoice", "basket_id", "transaction_id"),
    "channel": ("channel", "medium"),
    "campaign": ("campaign", "campaign_id"),
    "currency": ("currency", "currency_code"),
    "message_id": ("message_id", "messageid", "event_id"),
}
NAMES = {
    "view": VIEWED, "pageview": VIEWED, "product_viewed": VIEWED, "click": VIEWED,
    "cart": ADDED, "add_to_cart": ADDED, "addtocart": ADDED, "product_added": ADDED,
    "purchase": ORDERED, "order": ORDERED, "transaction": ORDERED, "buy": ORDERED, "order_completed": ORDERED,
    "refund": REFUNDED, "return": REFUNDED, "order_refunded": REFUNDED,
    "open": OPENED, "email_opened": OPENED, "email_click": CLICKED,
}  # fmt: skip


class ConsentMap(Frozen):
    """On which basis the customers' data may be used."""

    purposes: tuple[str, ...] = ()
    proof: str = ""

    def basis(self) -> Basis:
        return Basis(self.purposes, self.proof)


class EventMap(Frozen):
    """`map.yaml`. `columns`: our name -> the file's. `names`: the file's event name -> ours; others stay."""

    format: Literal["columns", "attune"] = "columns"
    source: str = Field(default="file", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    timezone: Zone = "UTC"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    consent: ConsentMap = ConsentMap()
    columns: Mapping[str, str] = {}
    event: str = ORDERED  # where the file has no column of event names
    names: Mapping[str, str] = {}


def read(path: Path, using: EventMap, settings: Settings, received_at: datetime) -> Parsed:
    """The file's rows as events, and its rejects with their reasons."""
    with readable(path), duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = {_quoted(using.timezone)}")  # of times without a zone of their own
        source = relation(connection, path)
        source.create_view("source")
        if using.format == "attune":
            return _passed_through(connection, path, source.columns)
        _check(path, using, source.columns)
        connection.execute(_typed(using, source.columns, settings))
        return _parsed(connection, using, source.columns, received_at)


def propose(path: Path, settings: Settings) -> tuple[EventMap, pa.Table]:
    """A map guessed from the names of the columns, and the first rows of the file."""
    with readable(path), duckdb.connect() as connection:
        source = relation(connection, path)
        known = {name.lower().replace(" ", "_"): name for name in source.columns}
        columns = {ours: known[word] for ours, words in WORDS.items() for word in reversed(words) if word in known}
        if "name" in columns and columns["name"] == columns.get("item"):
            del columns["name"]
        names = _guessed_names(source, columns.get("name"))
        stem = "".join(letter if letter.isalnum() else "-" for letter in path.stem).strip("-")[:60] or "file"
        proposed = EventMap(
            source=stem, timezone=settings.timezone, currency=settings.currency, columns=columns, names=names
        )
        return proposed, source.limit(PREVIEW).to_arrow_table()


def as_yaml(using: EventMap) -> str:
    """The map as a file to look over and edit."""
    head = "# What the columns are. Look it over, say on which consent the data rests, then import with --map.\n"
    body = using.model_dump(mode="json", exclude={"format"})
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)


def _guessed_names(source: duckdb.DuckDBPyRelation, column: str | None) -> dict[str, str]:
    if column is None:
        return {}
    found = source.project(f"{_identifier(column)}::VARCHAR AS name").distinct().limit(200).fetchall()
    given = sorted(name for (name,) in found if name)
    return {name: NAMES[name.lower().replace(" ", "_")] for name in given if name.lower().replace(" ", "_") in NAMES}


def _passed_through(connection: duckdb.DuckDBPyConnection, path: Path, columns: list[str]) -> Parsed:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"{path}: `format: attune` needs the columns {list(COLUMNS)}; it lacks {missing}")
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM source").to_arrow_table().cast(SCHEMA)
    return Parsed(rows, pa.table({"reason": pa.array([], pa.string())}), {}, rows.num_rows)


def _check(path: Path, using: EventMap, columns: list[str]) -> None:
    unknown = [name for name in using.columns if name not in WORDS]
    if unknown:
        raise ValueError(f"map: columns names {unknown}, which Attune does not know; known are {list(WORDS)}")
    absent = [name for name in using.columns.values() if name not in columns]
    if absent:
        raise ValueError(f"{path}: lacks the columns {absent} that the map names; it has {columns}")
    if "time" not in using.columns:
        raise ValueError(f"{path}: the map names no column for 'time'; the file has {columns}")


def _typed(using: EventMap, columns: list[str], settings: Settings) -> str:
    def text(name: str) -> str:
        if name not in using.columns:
            return "NULL::VARCHAR"
        return f"nullif(trim(c{columns.index(using.columns[name])}::VARCHAR), '')"

    cases = " ".join(f"WHEN {_quoted(given)} THEN {_quoted(ours)}" for given, ours in using.names.items())
    name = f"coalesce({text('name')}, {_quoted(using.event)})"
    event = f"CASE {name} {cases} ELSE {name} END" if cases else name
    rates = {settings.currency: 1.0, **settings.rates}
    rate = " ".join(f"WHEN {_quoted(code)} THEN {float(value)!r}" for code, value in rates.items())
    money = f"coalesce(upper({text('currency')}), {_quoted(using.currency)})"
    every = ", ".join(f"{_identifier(column)} AS c{i}" for i, column in enumerate(columns))  # no name meets ours
    packed = ", ".join(f"c{i} := c{i}" for i in range(len(columns)))
    needs_price = f"event IN ('{ORDERED}', '{REFUNDED}')"
    return f"""
    CREATE TEMP VIEW typed AS SELECT *,
        CASE WHEN moment IS NULL THEN 'time cannot be read'
             WHEN rate IS NULL THEN 'currency has no rate: ' || money
             WHEN {needs_price} AND what IS NULL THEN 'item is absent'
             WHEN {"true" if "quantity" in using.columns else "false"} AND {needs_price}
                  AND coalesce(units, 0) = 0 THEN 'quantity is absent or 0'
             WHEN {needs_price} AND (unit_price IS NULL OR NOT isfinite(unit_price)) THEN 'price is absent'
             WHEN {needs_price} AND unit_price < 0 THEN 'price is negative' END AS reason
    FROM (SELECT *, row_number() OVER () AS position, {text("time")} AS original,
        timezone('UTC', TRY_CAST({text("time")} AS TIMESTAMPTZ)) AS moment,
        {text("customer")} AS who, {text("item")} AS what, {event} AS event,
        {f"TRY_CAST({text('quantity')} AS DOUBLE)" if "quantity" in using.columns else "1.0::DOUBLE"} AS units,
        TRY_CAST({text("price")} AS DOUBLE) AS unit_price, {money} AS money, CASE {money} {rate} END AS rate,
        {text("order_id")} AS the_order, {text("channel")} AS the_channel, {text("campaign")} AS the_campaign,
        coalesce({text("message_id")}, md5(to_json(struct_pack({packed}))::VARCHAR)) AS message
        FROM (SELECT {every} FROM source))
    """


def _parsed(
    connection: duckdb.DuckDBPyConnection, using: EventMap, columns: list[str], received_at: datetime
) -> Parsed:
    rows = connection.execute(
        f"""
        SELECT {_quoted(using.source)} AS source, message AS message_id, 0::INTEGER AS line,
            CASE WHEN event = '{ORDERED}' AND units < 0 THEN '{REFUNDED}' ELSE event END AS name, who AS customer,
            NULL::VARCHAR AS anonymous, moment AS time,
            original AS original_time, $received_at::TIMESTAMP AS received_at, false AS live, what AS item,
            abs(units) AS quantity, unit_price * rate AS price, the_order AS order_id, the_channel AS channel,
            the_campaign AS campaign, false AS machine, NULL::VARCHAR AS properties
        FROM typed WHERE reason IS NULL
        """,
        {"received_at": utc(received_at)},
    ).to_arrow_table()
    kept = ["reason given" if column == "reason" else column for column in columns]
    every = ", ".join(f"c{i}::VARCHAR AS {_identifier(column)}" for i, column in enumerate(kept))
    rejected = connection.execute(f"SELECT reason, {every} FROM typed WHERE reason IS NOT NULL ORDER BY position")
    lost = rejected.to_arrow_table()
    odd = {
        "line without a customer: used for item similarity only": "who IS NULL",
        "return: subtracts from revenue": f"event = '{ORDERED}' AND units < 0",
    }
    noted: dict[str, int] = {}
    for reason, condition in odd.items():
        found = connection.execute(f"SELECT count(*) FROM typed WHERE reason IS NULL AND {condition}").fetchone()
        noted |= {reason: int(found[0])} if found and found[0] else {}
    return Parsed(rows.cast(SCHEMA), lost, noted, rows.num_rows + lost.num_rows)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
