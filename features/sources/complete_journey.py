"""The Complete Journey (dunnhumby, CC0): a grocer's purchases, its products and what is known of the households.

Transactions become `Order Completed`, one row per line; the price per unit is what was paid (`sales_value`) over the
quantity. Demographics become one `Identify` event per household, at the log's first moment, so that they are known
before anything was bought. Times are local (America/New_York).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from features.events import IDENTIFIED, ORDERED, SCHEMA, utc
from features.imported import fingerprint
from features.imports import Parsed, readable, relation

SOURCE = "complete-journey"
PROOF = "public data set, CC0, pseudonymous households"
ZONE = "America/New_York"
TRAITS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
TABLES = {
    "transactions": ("household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"),
    "products": ("product_id", "department", "brand", "product_category", "product_type"),
    "demographics": ("household_id", *TRAITS),
}

TYPED = """
CREATE TEMP VIEW typed AS SELECT *, row_number() OVER () AS position,
    timezone('UTC', timezone('{zone}', TRY_CAST(transaction_timestamp AS TIMESTAMP))) AS moment,
    TRY_CAST(quantity AS DOUBLE) AS units, TRY_CAST(sales_value AS DOUBLE) AS paid,
    CASE WHEN moment IS NULL THEN 'time cannot be read'
         WHEN product_id IS NULL THEN 'item is absent'
         WHEN units IS NULL OR units <= 0 THEN 'quantity is absent or 0'
         WHEN paid IS NULL OR NOT isfinite(paid) THEN 'price is absent'
         WHEN paid < 0 THEN 'price is negative' END AS reason
FROM transactions
"""

ORDERS = """
SELECT '{source}' AS source, md5(concat_ws('|', {columns})) AS message_id, 0::INTEGER AS line, '{ordered}' AS name,
    household_id::VARCHAR AS customer, NULL::VARCHAR AS anonymous, moment AS time,
    transaction_timestamp::VARCHAR AS original_time, $received_at::TIMESTAMP AS received_at, false AS live,
    product_id::VARCHAR AS item, units AS quantity, paid / units AS price, basket_id::VARCHAR AS order_id,
    'store' AS channel, NULL::VARCHAR AS campaign, false AS machine, NULL::VARCHAR AS properties
FROM typed WHERE reason IS NULL
"""

HOUSEHOLDS = """
SELECT '{source}' AS source, 'household ' || household_id AS message_id, 0::INTEGER AS line, '{identified}' AS name,
    household_id::VARCHAR AS customer, NULL::VARCHAR AS anonymous, (SELECT min(moment) FROM typed) AS time,
    NULL::VARCHAR AS original_time, $received_at::TIMESTAMP AS received_at, false AS live, NULL::VARCHAR AS item,
    NULL::DOUBLE AS quantity, NULL::DOUBLE AS price, NULL::VARCHAR AS order_id, NULL::VARCHAR AS channel,
    NULL::VARCHAR AS campaign, false AS machine, to_json(struct_pack({traits}))::VARCHAR AS properties
FROM demographics WHERE household_id IS NOT NULL AND EXISTS (SELECT 1 FROM typed WHERE moment IS NOT NULL)
"""

CATALOG = """
SELECT product_id::VARCHAR AS item, any_value(coalesce(product_type, product_category, department)) AS name,
    any_value(department) AS category, NULL::DOUBLE AS price, NULL::DOUBLE AS stock, any_value(brand) AS brand
FROM products WHERE product_id IS NOT NULL GROUP BY product_id ORDER BY item
"""


def read(folder: Path, received_at: datetime) -> Parsed:
    """The purchases and households as events, the rejects with their reasons, and the products as a catalogue."""
    with readable(folder), duckdb.connect() as connection:
        for table, needed in TABLES.items():
            path = _file(folder, table)
            source = relation(connection, path)
            missing = [name for name in needed if name not in source.columns]
            if missing:
                raise ValueError(f"{path}: Complete Journey lacks the columns {missing}; it has {source.columns}")
            source.create_view(table)
        connection.execute(TYPED.format(zone=ZONE))
        columns = [f'"{name}"' for name in connection.table("transactions").columns]
        orders = ORDERS.format(source=SOURCE, ordered=ORDERED, columns=", ".join(columns))
        traits = ", ".join(f'"{trait}" := "{trait}"' for trait in TRAITS)
        households = HOUSEHOLDS.format(source=SOURCE, identified=IDENTIFIED, traits=traits)
        moment = {"received_at": utc(received_at)}
        parts = [connection.execute(query, moment).to_arrow_table().cast(SCHEMA) for query in (orders, households)]
        texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in columns)
        lost = connection.execute(f"SELECT reason, {texts} FROM typed WHERE reason IS NOT NULL ORDER BY position")
        rejected = lost.to_arrow_table()
        rows = pa.concat_tables(parts)
        catalog = connection.execute(CATALOG).to_arrow_table()
        return Parsed(rows, rejected, {}, rows.num_rows + rejected.num_rows, catalog)


def mark(folder: Path, consent: str) -> str:
    """One fingerprint of the three files."""
    marks = [fingerprint(_file(folder, table)) for table in TABLES]
    return fingerprint(_file(folder, "transactions"), SOURCE, consent, *marks)


def _file(folder: Path, table: str) -> Path:
    """The table's file, a sample or whole, Parquet or CSV."""
    names = [f"{table}{part}.{end}" for part in ("", "_sample") for end in ("parquet", "csv")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{folder}: no {table} here; one of {names} is needed")
