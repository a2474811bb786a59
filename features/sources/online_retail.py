"""Online Retail (UCI): the purchases of a UK gift wholesaler, one row per invoice line, dirty as it came.

Times are local (Europe/London). Exact duplicates share their key and are stored once. Lines without a customer are
stored for item similarity. Lines with a negative quantity are returns. Lines without a positive price are rejected.
Postage, fees and corrections are no product: their money counts, but they have no item; their code is in `properties`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from features.events import ORDERED, REFUNDED, SCHEMA, utc
from features.imports import Parsed, readable, relation
from features.sources import ONLINE_RETAIL

SOURCE = ONLINE_RETAIL
NEEDED = ("Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
PROOF = "public data set, CC BY 4.0, pseudonymous customers"
ZONE = "Europe/London"
CANONICAL = {"Quantity": "units", "InvoiceDate": "local", "UnitPrice": "unit_price", "CustomerID": "who"}

NO_PRODUCT = (  # StockCodes in capitals, and what they are called in the file without codes
    "POST", "DOT", "C2", "M", "D", "S", "B", "PADS", "BANK CHARGES", "AMAZONFEE", "CRUK", "ADJUST", "ADJUST2",
    "POSTAGE", "DOTCOM POSTAGE", "CARRIAGE", "NEXT DAY CARRIAGE", "MANUAL", "DISCOUNT", "SAMPLES", "AMAZON FEE",
    "CRUK COMMISSION", "ADJUST BAD DEBT", "PADS TO MATCH ALL CUSHIONS",
)  # fmt: skip

TYPED = """
CREATE TEMP TABLE typed AS
SELECT *, row_number() OVER () AS position,
    coalesce(TRY_CAST({time} AS TIMESTAMP), try_strptime({time}::VARCHAR, '%m/%d/%Y %H:%M')) AS local,
    TRY_CAST("Quantity" AS DOUBLE) AS units,
    TRY_CAST("UnitPrice" AS DOUBLE) AS unit_price,
    nullif(regexp_replace(trim("CustomerID"::VARCHAR), '[.]0+$', ''), '') AS who,
    nullif(trim({item}::VARCHAR), '') AS what, upper(what) IN {no_product} AS no_product, {order_id} AS invoice,
    CASE WHEN local IS NULL THEN 'time cannot be read'
         WHEN units IS NULL OR units = 0 OR NOT isfinite(units) THEN 'quantity is absent or 0'
         WHEN unit_price IS NULL OR NOT isfinite(unit_price) THEN 'price is absent'
         WHEN unit_price <= 0 THEN 'price is not positive'
         WHEN what IS NULL THEN 'item is absent' END AS reason
FROM source
"""

EVENTS = """
SELECT '{source}' AS source, md5(concat_ws('|', {content})) AS message_id, 0::INTEGER AS line,
    CASE WHEN units < 0 THEN '{refunded}' ELSE '{ordered}' END AS name, who AS customer, NULL::VARCHAR AS anonymous,
    timezone('UTC', timezone('{zone}', local)) AS time, strftime(local, '%Y-%m-%d %H:%M:%S') AS original_time,
    $received_at::TIMESTAMP AS received_at, false AS live,
    if(no_product, NULL, what) AS item, abs(units) AS quantity, unit_price AS price,
    invoice AS order_id, 'wholesale' AS channel, NULL::VARCHAR AS campaign, false AS machine,
    if(no_product, to_json(struct_pack(code := what))::VARCHAR, NULL) AS properties
FROM typed WHERE reason IS NULL
"""

CATALOG = """
SELECT what AS item, arg_max(label, (n, label)) AS name, NULL::VARCHAR AS category, median(price) AS price,
    NULL::DOUBLE AS stock
FROM (SELECT what, "Description"::VARCHAR AS label, count(*) AS n, median(unit_price) AS price
      FROM typed WHERE reason IS NULL AND NOT no_product AND "Description" IS NOT NULL GROUP BY ALL)
GROUP BY what ORDER BY what
"""


def read(path: Path, received_at: datetime) -> Parsed:
    """The file's lines as events, its rejects with their reasons, and its items as a catalogue."""
    with duckdb.connect() as connection, readable(path):
        source = relation(connection, path)
        _require(path, source.columns)
        source.create_view("source")
        connection.execute(_typed(source))
        columns = ", ".join(f'"{name}"' for name in source.columns)
        content = ", ".join(f"coalesce({_content(name)}::VARCHAR, '')" for name in source.columns)
        events = EVENTS.format(source=SOURCE, content=content, refunded=REFUNDED, ordered=ORDERED, zone=ZONE)
        rows = connection.execute(events, {"received_at": utc(received_at)}).to_arrow_table().cast(SCHEMA)
        rejected = f"SELECT reason, {columns} FROM typed WHERE reason IS NOT NULL ORDER BY position"
        return Parsed(
            events=rows,
            rejected=_texts(connection.execute(rejected).to_arrow_table()),
            noted=_noted(connection),
            read=_count(connection, "true"),
            catalog=connection.execute(CATALOG).to_arrow_table(),
        )


def _content(column: str) -> str:
    """The column as it counts for the row's key: the same row as CSV and as Parquet has the same key."""
    return CANONICAL.get(column, f'"{column}"')


def _require(path: Path, columns: list[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise ValueError(f"{path}: Online Retail lacks the columns {missing}; it has {columns}")


def _typed(source: duckdb.DuckDBPyRelation) -> str:
    columns = source.columns
    item = '"StockCode"' if "StockCode" in columns else '"Description"'
    order_id = '"InvoiceNo"::VARCHAR' if "InvoiceNo" in columns else "NULL::VARCHAR"
    return TYPED.format(time='"InvoiceDate"', item=item, order_id=order_id, no_product=NO_PRODUCT)


def _noted(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    counts = {
        "line without a customer: used for item similarity only": "reason IS NULL AND who IS NULL",
        "return: subtracts from revenue": "reason IS NULL AND units < 0",
        "postage, fee or correction: counts as money, is no item": "reason IS NULL AND no_product",
    }
    found = {name: _count(connection, condition) for name, condition in counts.items()}
    return {name: count for name, count in found.items() if count}


def _count(connection: duckdb.DuckDBPyConnection, condition: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM typed WHERE {condition}").fetchone()
    return int(row[0]) if row else 0


def _texts(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([pa.field(name, pa.string()) for name in table.column_names]))
