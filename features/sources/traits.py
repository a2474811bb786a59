"""Attributes of customers out of a CRM: a CSV or Parquet file, one row per customer, as `Identify` events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import yaml
from pydantic import Field

from features.consent import ConsentMap
from features.events import IDENTIFIED, SCHEMA, utc
from features.imports import Parsed, moment, readable, relation
from features.sources.files import PREVIEW, WORDS, identifier, plain, quoted, rejected
from features.workspace import Frozen, Settings, Zone

UPDATED = ("updated_at", "modified_at", "last_modified", "changed_at", *WORDS["time"])
# without leading zeros, so that a postal code stays a text; at most 15 digits, what a float holds
NUMBER = "^-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,15})?$"
SHOWN = ("customer", "time", "properties")


class TraitsMap(Frozen):
    """`map-SOURCE.yaml`. `customer` and `time` are columns of the file; `traits`: our name -> the file's column."""

    source: str = Field(default="crm", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    timezone: Zone = "UTC"
    consent: ConsentMap = ConsentMap()
    customer: str
    time: str | None = None  # since when it is so; without it: since the import
    traits: Mapping[str, str] = Field(min_length=1, max_length=200)


def read(path: Path, using: TraitsMap, received_at: datetime) -> Parsed:
    """The file's rows as `Identify` events, and its rejects with their reasons."""
    with readable(path), duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = {quoted(using.timezone)}")
        return _parsed(connection, path, relation(connection, path), using, received_at)


def propose(path: Path, settings: Settings) -> TraitsMap:
    """A map guessed from the names of the columns: what is neither the customer nor the time is a trait."""
    with readable(path), duckdb.connect() as connection:
        columns = relation(connection, path).columns
    known = {plain(name): name for name in columns}
    customer = next((known[word] for word in (*WORDS["customer"], "id", "email") if word in known), None)
    if customer is None:
        raise ValueError(f"{path}: no column looks like a customer's id; the file has {columns}")
    time = next((known[word] for word in UPDATED if word in known), None)
    stem = "".join(letter if letter.isalnum() else "-" for letter in path.stem).strip("-")[:60] or "crm"
    traits = {plain(name): name for name in columns if name not in (customer, time)}
    return TraitsMap(source=stem, timezone=settings.timezone, customer=customer, time=time, traits=traits)


def preview(path: Path, using: TraitsMap, now: datetime) -> str:
    """The first rows of the file as the map would store them, and those that it would reject."""
    with readable(path), duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = {quoted(using.timezone)}")
        parsed = _parsed(connection, path, relation(connection, path).limit(PREVIEW), using, now)
    rows = parsed.events.select(list(SHOWN)).to_pylist()
    lines = [f"{row['customer']}  {row['time']:%Y-%m-%d %H:%M}  {row['properties']}" for row in rows]
    return "\n".join([*(lines or ["no row can be stored"]), *map(rejected, parsed.rejected.to_pylist())])


def as_yaml(using: TraitsMap) -> str:
    """The map as a file to look over and edit."""
    head = "# What the columns are. Look it over, say on which consent the data rests, then import with --map.\n"
    return head + yaml.safe_dump(using.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _parsed(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    source: duckdb.DuckDBPyRelation,
    using: TraitsMap,
    received_at: datetime,
) -> Parsed:
    asked = [using.customer, *([using.time] if using.time else []), *using.traits.values()]
    if absent := [name for name in asked if name not in source.columns]:
        raise ValueError(f"{path}: lacks the columns {absent} that the map names; it has {source.columns}")
    every = ", ".join(f"nullif(trim({identifier(name)}::VARCHAR), '') AS c{i}" for i, name in enumerate(source.columns))
    source.create_view("source")
    connection.execute(f"CREATE TEMP TABLE texts AS SELECT row_number() OVER () AS position, {every} FROM source")
    place = {name: f"c{i}" for i, name in enumerate(source.columns)}
    now = f"TIMESTAMP '{utc(received_at).isoformat(sep=' ')}'"
    connection.execute(_typed(connection, using, place, now))
    rows = connection.execute(
        f"""
        SELECT {quoted(using.source)} AS source, md5(customer || told || moment::VARCHAR) AS message_id,
            0::INTEGER AS line, '{IDENTIFIED}' AS name, customer, NULL::VARCHAR AS anonymous, moment AS time,
            original AS original_time, {now} AS received_at, false AS live, NULL::VARCHAR AS item,
            NULL::DOUBLE AS quantity, NULL::DOUBLE AS price, NULL::VARCHAR AS order_id, 'crm' AS channel,
            NULL::VARCHAR AS campaign, false AS machine, told AS properties
        FROM typed WHERE reason IS NULL ORDER BY position
        """
    ).to_arrow_table()
    kept = ", ".join(f"{place[name]} AS {identifier(name)}" for name in source.columns if name != "reason")
    lost = connection.execute(f"SELECT reason, {kept} FROM typed WHERE reason IS NOT NULL ORDER BY position")
    rejects: pa.Table = lost.to_arrow_table()
    return Parsed(rows.cast(SCHEMA), rejects, {}, rows.num_rows + rejects.num_rows)


def _typed(connection: duckdb.DuckDBPyConnection, using: TraitsMap, place: Mapping[str, str], now: str) -> str:
    """SQL: each row with its customer, its moment, what it tells as JSON, and why it cannot be taken."""
    told = ", ".join(f"{identifier(ours)} := {_value(connection, place[name])}" for ours, name in using.traits.items())
    time, original = (moment(place[using.time]), place[using.time]) if using.time else (now, "NULL::VARCHAR")
    again = "false" if using.time else f"row_number() OVER (PARTITION BY {place[using.customer]} ORDER BY position) > 1"
    return f"""
    CREATE TEMP TABLE typed AS SELECT *,
        CASE WHEN customer IS NULL THEN 'customer is absent' WHEN moment IS NULL THEN 'time cannot be read'
             WHEN again THEN 'the customer comes twice, and no time says which is later' END AS reason
    FROM (SELECT *, {place[using.customer]} AS customer, {time} AS moment, {again} AS again,
        {original} AS original, to_json(struct_pack({told}))::VARCHAR AS told
        FROM texts)
    """


def _value(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    """SQL: the column as numbers, or as true and false, where all that is known of it is that; else as texts."""
    asked = f"""SELECT count({column}), coalesce(bool_and(regexp_matches({column}, '{NUMBER}')), false),
        coalesce(bool_and(lower({column}) IN ('true', 'false')), false) FROM texts"""
    known, numbers, truths = connection.execute(asked).fetchone() or (0, False, False)
    kind = "DOUBLE" if known and numbers else "BOOLEAN" if known and truths else "VARCHAR"
    return f"{column}::{kind}"
