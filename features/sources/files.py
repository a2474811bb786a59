"""Anybody's own events: a CSV or Parquet file, and a map that says what its columns are."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import yaml
from pydantic import Field

from features.consent import ConsentMap
from features.events import ADDED, CLICKED, COLUMNS, OPENED, ORDERED, REFUNDED, SCHEMA, VIEWED, utc
from features.imports import Parsed, moment, readable, relation
from features.workspace import Frozen, Settings, Zone

PREVIEW = 10
WORDS = {  # lower case, without accents; the first that a file has wins
    "customer": (
        "customer", "customer_id", "customerid", "user_id", "userid", "user", "client_id", "household_id",
        "kundennummer", "kunden_id", "kunde", "client", "id_client", "numero_client", "cliente", "id_cliente",
    ),
    "time": (
        "time", "timestamp", "ts", "date", "datetime", "created_at", "event_time", "invoicedate", "order_date",
        "datum", "bestelldatum", "kaufdatum", "zeitpunkt", "date_commande", "fecha", "fecha_pedido",
    ),
    "name": ("event", "event_name", "event_type", "type", "action", "name", "ereignis", "evenement", "evento"),
    "item": (
        "item", "item_id", "product_id", "productid", "product", "sku", "stockcode", "article_id",
        "artikelnummer", "artikel_id", "artikel", "produkt", "article", "produit", "articulo", "producto",
    ),
    "quantity": ("quantity", "qty", "units", "count", "menge", "anzahl", "stuckzahl", "quantite", "cantidad"),
    "price": (
        "price", "unit_price", "unitprice", "amount", "sales_value",
        "preis", "einzelpreis", "stuckpreis", "prix", "prix_unitaire", "precio", "precio_unitario",
    ),
    "order_id": (
        "order_id", "orderid", "order", "invoiceno", "invoice", "basket_id", "transaction_id",
        "bestellnummer", "auftragsnummer", "bestellung", "commande", "numero_commande", "pedido", "numero_pedido",
    ),
    "channel": ("channel", "medium", "kanal", "canal"),
    "campaign": ("campaign", "campaign_id", "kampagne", "campagne", "campana"),
    "coupon": (
        "coupon", "coupon_code", "voucher", "voucher_code", "discount_code", "promo_code",
        "gutschein", "gutscheincode", "code_promo", "bon_de_reduction", "cupon", "codigo_descuento",
    ),
    "currency": ("currency", "currency_code", "wahrung", "waehrung", "devise", "moneda"),
    "message_id": ("message_id", "messageid", "event_id"),
}  # fmt: skip
NAMES = {
    "view": VIEWED, "pageview": VIEWED, "product_viewed": VIEWED, "click": VIEWED,
    "cart": ADDED, "add_to_cart": ADDED, "addtocart": ADDED, "product_added": ADDED, "warenkorb": ADDED,
    "purchase": ORDERED, "order": ORDERED, "transaction": ORDERED, "buy": ORDERED, "order_completed": ORDERED,
    "kauf": ORDERED, "bestellung": ORDERED, "achat": ORDERED, "commande": ORDERED, "compra": ORDERED, "pedido": ORDERED,
    "refund": REFUNDED, "return": REFUNDED, "order_refunded": REFUNDED, "retoure": REFUNDED,
    "open": OPENED, "email_opened": OPENED, "email_click": CLICKED,
}  # fmt: skip
SHOWN = {"time": "time (UTC)", "name": "event", "customer": "customer", "item": "item", "price": "price",
         "quantity": "quantity"}  # fmt: skip
LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001  # when a row that is only shown was received


class EventMap(Frozen):
    """`map.yaml`. `columns`: our name -> the file's. `names`: the file's event name -> ours; others stay."""

    format: Literal["columns", "attune"] = "columns"
    source: str = Field(default="file", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    timezone: Zone = "UTC"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    decimal: Literal[".", ","] = "."  # in the prices and quantities of a CSV
    consent: ConsentMap = ConsentMap()
    columns: Mapping[str, str] = {}
    event: str = ORDERED  # where the file has no column of event names
    names: Mapping[str, str] = {}


def read(path: Path, using: EventMap, settings: Settings, received_at: datetime) -> Parsed:
    """The file's rows as events, and its rejects with their reasons."""
    with readable(path), duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = {quoted(using.timezone)}")  # of times without a zone of their own
        source = relation(connection, path)
        source.create_view("source")
        if using.format == "attune":
            return _passed_through(connection, path, source.columns)
        _check(path, using, source.columns)
        connection.execute(_typed(using, source.columns, settings))
        return _parsed(connection, using, source.columns, received_at)


def propose(path: Path, settings: Settings) -> EventMap:
    """A map guessed from the names of the columns and the first rows of the file."""
    with readable(path), duckdb.connect() as connection:
        source = relation(connection, path)
        known = {plain(name): name for name in source.columns}
        columns = {ours: known[word] for ours, words in WORDS.items() for word in reversed(words) if word in known}
        if "name" in columns and columns["name"] == columns.get("item"):
            del columns["name"]
        stem = "".join(letter if letter.isalnum() else "-" for letter in path.stem).strip("-")[:60] or "file"
        return EventMap(
            source=stem,
            timezone=settings.timezone,
            currency=settings.currency,
            decimal=_guessed_decimal(source, columns.get("price")),
            columns=columns,
            names=_guessed_names(source, columns.get("name")),
        )


def preview(path: Path, using: EventMap, settings: Settings) -> str:
    """The first rows of the file as the map would store them, and those that it would reject."""
    with readable(path), duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = {quoted(using.timezone)}")
        source = relation(connection, path).limit(PREVIEW)
        if "time" not in using.columns:
            return source.df().to_string(index=False)  # nothing can be stored without a time: the file as it is
        source.create_view("source")
        connection.execute(_typed(using, source.columns, settings))
        parsed = _parsed(connection, using, source.columns, LONG_AGO)
    rows = parsed.events.select(list(SHOWN)).rename_columns(list(SHOWN.values()))
    frame = rows.append_column("currency", pa.array([settings.currency] * len(rows), pa.string())).to_pandas()
    lost = [rejected(row) for row in parsed.rejected.to_pylist()]
    return "\n".join([frame.to_string(index=False, na_rep="-") if len(frame) else "no row can be stored", *lost])


def rejected(row: Mapping[str, object]) -> str:
    """The row and why it cannot be stored."""
    given = ", ".join(f"{name}={value}" for name, value in row.items() if name != "reason" and value is not None)
    return f"rejected: {row['reason']} ({given})"


def plain(name: str) -> str:
    """The name in lower case, without accents and spaces."""
    letters = unicodedata.normalize("NFKD", name.strip().lower()).replace(" ", "_")
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _guessed_decimal(source: duckdb.DuckDBPyRelation, column: str | None) -> Literal[".", ","]:
    """A comma where prices end in one with one or two digits behind it, as in 12,50."""
    if column is None:
        return "."
    price = f"regexp_matches({identifier(column)}::VARCHAR, '^[^,]*,[0-9]{{1,2}}$')"
    return "," if source.filter(price).limit(1).to_arrow_table().num_rows else "."


def as_yaml(using: EventMap) -> str:
    """The map as a file to look over and edit."""
    head = "# What the columns are. Look it over, say on which consent the data rests, then import with --map.\n"
    body = using.model_dump(mode="json", exclude={"format"})
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)


def _guessed_names(source: duckdb.DuckDBPyRelation, column: str | None) -> dict[str, str]:
    if column is None:
        return {}
    found = source.project(f"{identifier(column)}::VARCHAR AS name").distinct().limit(200).fetchall()
    given = sorted(name for (name,) in found if name)
    return {name: NAMES[plain(name)] for name in given if plain(name) in NAMES}


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

    def number(name: str) -> str:
        if using.decimal == "." or name not in using.columns:
            return f"TRY_CAST({text(name)} AS DOUBLE)"
        written = f"replace(replace({text(name)}, '.', ''), ',', '.')"  # 1.234,50
        plain = f"typeof(c{columns.index(using.columns[name])}) <> 'VARCHAR'"  # a number of a Parquet file
        return f"TRY_CAST(CASE WHEN {plain} THEN {text(name)} ELSE {written} END AS DOUBLE)"

    cases = " ".join(f"WHEN {quoted(given)} THEN {quoted(ours)}" for given, ours in using.names.items())
    name = f"coalesce({text('name')}, {quoted(using.event)})"
    event = f"CASE {name} {cases} ELSE {name} END" if cases else name
    rates = {settings.currency: 1.0, **settings.rates}
    rate = " ".join(f"WHEN {quoted(code)} THEN {float(value)!r}" for code, value in rates.items())
    money = f"coalesce(upper({text('currency')}), {quoted(using.currency)})"
    every = ", ".join(f"{identifier(column)} AS c{i}" for i, column in enumerate(columns))  # no name meets ours
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
        {moment(text("time"))} AS moment,
        {text("customer")} AS who, {text("item")} AS what, {event} AS event,
        {number("quantity") if "quantity" in using.columns else "1.0::DOUBLE"} AS units,
        {number("price")} AS unit_price, {money} AS money, CASE {money} {rate} END AS rate,
        {text("order_id")} AS the_order, {text("channel")} AS the_channel, {text("campaign")} AS the_campaign,
        {text("coupon")} AS the_coupon,
        coalesce({text("message_id")}, md5(to_json(struct_pack({packed}))::VARCHAR)) AS message
        FROM (SELECT {every} FROM source))
    """


def _parsed(
    connection: duckdb.DuckDBPyConnection, using: EventMap, columns: list[str], received_at: datetime
) -> Parsed:
    rows = connection.execute(
        f"""
        SELECT {quoted(using.source)} AS source, message AS message_id, 0::INTEGER AS line,
            CASE WHEN event = '{ORDERED}' AND units < 0 THEN '{REFUNDED}' ELSE event END AS name, who AS customer,
            NULL::VARCHAR AS anonymous, moment AS time,
            original AS original_time, $received_at::TIMESTAMP AS received_at, false AS live, what AS item,
            abs(units) AS quantity, unit_price * rate AS price, the_order AS order_id, the_channel AS channel,
            the_campaign AS campaign, false AS machine,
            CASE WHEN the_coupon IS NOT NULL THEN to_json(struct_pack(coupon := the_coupon))::VARCHAR END AS properties
        FROM typed WHERE reason IS NULL
        """,
        {"received_at": utc(received_at)},
    ).to_arrow_table()
    kept = ["reason given" if column == "reason" else column for column in columns]
    every = ", ".join(f"c{i}::VARCHAR AS {identifier(column)}" for i, column in enumerate(kept))
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


def quoted(text: str) -> str:
    """SQL: the text."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """SQL: the name of a column."""
    return '"' + name.replace('"', '""') + '"'
