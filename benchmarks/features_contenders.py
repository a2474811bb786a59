"""Features and matrix of one log in three ways: Attune, SQL written by hand for DuckDB, and pandas.

Each gives a frame of features by customer and a frame of pairs. Run one in a process of its own:

    python -m benchmarks.features_contenders {attune,sql,pandas} LOG RESULTS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from features.interactions import Interactions

AS_OF = datetime(2026, 1, 1)  # tables keep UTC without a zone; the end of the simulated log
SQL = Path(__file__).parent / "plans" / "features.sql"
Built = tuple[pd.DataFrame, Any, Callable[[Any], pd.DataFrame]]  # features, pairs, and pairs as a frame with ids


def main() -> None:
    """Builds, then writes what it cost and what came out."""
    contender, log, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    build = {"attune": attune, "sql": sql, "pandas": by_pandas}[contender]
    _warm(contender)
    cpu, wall = time.process_time(), time.perf_counter()
    table, pairs, finish = build(log)
    cost = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "peak_gb": peak_gb()}
    table.to_parquet(results / f"{contender}-features.parquet")
    finish(pairs).to_parquet(results / f"{contender}-pairs.parquet")
    print(json.dumps(cost))


def attune(log: Path) -> Built:
    """What a pipeline calls."""
    from features.engine import connect
    from features.events import Events
    from features.table import FeatureTable
    from features.workspace import InteractionSettings

    events = Events.of(connect().read_parquet(log))
    table = FeatureTable.build(events, AS_OF)
    interactions = Interactions.build(events, AS_OF, InteractionSettings())
    sparse.csr_matrix(interactions.matrix)
    return table.to_pandas(), interactions, _named


def _named(log: Interactions) -> pd.DataFrame:
    ids = {"customer": log.customers[log.customer], "item": log.items[log.item]}
    return pd.DataFrame({**ids, "weight": log.weight, "purchases": log.purchases})


def sql(log: Path) -> Built:
    """The statements of `plans/features.sql`."""
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "2GB"})
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{log}')")
    for statement in SQL.read_text().split(";\n"):
        if statement.strip():
            connection.execute(statement, {"moment": AS_OF})
    table = connection.execute("SELECT * FROM features").to_arrow_table().to_pandas().set_index("customer")
    query = "SELECT customer, item, weight::FLOAT AS weight, greatest(bought, 0)::FLOAT AS purchases, first, last"
    pairs = connection.execute(f"{query} FROM pairs WHERE weight > 1e-12").to_arrow_table()
    customer, item = (pairs[name].combine_chunks().dictionary_encode() for name in ("customer", "item"))
    positions = (customer.indices.to_numpy(), item.indices.to_numpy())
    sparse.csr_matrix((pairs["weight"].to_numpy(), positions))
    return table, pairs, lambda rows: rows.select(["customer", "item", "weight", "purchases"]).to_pandas()


def by_pandas(log: Path) -> Built:
    """Vectorised pandas: ids as categories from the start, one pass of group-bys per question, no apply."""
    past, customers, items = _past(log)
    table = _activity(past).join(_spend(past))
    pairs = _pairs(past)
    table = table.join(_affinity(pairs))
    table = _derived(table)
    table = table.set_axis(customers[table.index], axis=0).sort_index()
    kept = pairs[pairs["weight"] > 1e-12].reset_index()
    sparse.csr_matrix((kept["weight"].astype(np.float32), (kept["customer"], kept["item"])))
    kept = kept.assign(purchases=kept["bought"].clip(lower=0)).drop(columns=["bought", "viewed"])
    return table, kept, lambda rows: rows.assign(customer=customers[rows["customer"]], item=items[rows["item"]])


def _past(log: Path) -> tuple[pd.DataFrame, pd.Index, pd.Index]:
    """The rows before the moment with ids as numbers, and the ids."""
    columns = ["customer", "item", "order_id", "name", "time", "received_at", "live", "machine", "quantity", "price"]
    rows = pq.read_table(log, columns=columns, read_dictionary=columns[:4])
    rows = rows.unify_dictionaries().to_pandas()
    known = (rows["time"] < AS_OF) & (~rows["live"] | (rows["received_at"] < AS_OF))
    known &= rows["customer"].notna() & ~rows["machine"]
    rows = rows[known].drop(columns=["received_at", "live", "machine"])
    if (rows["order_id"].isna() & rows["name"].isin(["Order Completed", "Order Refunded"])).any():
        raise ValueError("an order without an id: this contender expects ids")
    names = [pd.Index(rows[column].cat.categories.astype("str")) for column in ("customer", "item")]
    codes = {column: rows[column].cat.codes for column in ("customer", "item", "order_id")}
    return rows.assign(**codes), *names


def _activity(past: pd.DataFrame) -> pd.DataFrame:
    by = past.groupby("customer")["time"]
    table = pd.DataFrame({"last_event": by.max(), "first_event": by.min()})
    names = {"view": "Product Viewed", "open": "Email Opened", "click": "Email Link Clicked", "identified": "Identify"}
    for kind, name in names.items():
        table[f"last_{kind}"] = past[past["name"] == name].groupby("customer")["time"].max()
    windows = {
        "views": ("Product Viewed", (7, 30, 90)), "adds": ("Product Added", (30,)),
        "emails": ("Email Delivered", (90,)), "opens": ("Email Opened", (90,)), "clicks": ("Email Link Clicked", (90,)),
    }  # fmt: skip
    for kind, (name, lengths) in windows.items():
        named = past.loc[past["name"] == name, ["customer", "time"]]
        for days in lengths:
            recent = named[named["time"] >= AS_OF - pd.Timedelta(days=days)]
            table[f"{kind}_{days}d"] = recent.groupby("customer").size()
    table["unsubscribed"] = past[past["name"] == "Unsubscribed"].groupby("customer").size()
    return table


def _spend(past: pd.DataFrame) -> pd.DataFrame:
    lines = past[past["name"].isin(["Order Completed", "Order Refunded"])]
    lines = lines.assign(refund=lines["name"] == "Order Refunded")
    units = np.where(lines["refund"], -1.0, 1.0) * lines["quantity"].fillna(1.0)
    lines = lines.assign(units=units, value=units * lines["price"].fillna(0.0))
    orders = lines.groupby(["customer", "order_id", "refund"])
    orders = orders.agg(time=("time", "max"), units=("units", "sum"), value=("value", "sum")).reset_index()
    by, placed = orders.groupby("customer"), orders[~orders["refund"]]
    kept = placed.groupby("customer")
    table = by.agg(units=("units", "sum"), revenue=("value", "sum"))
    table = table.join(
        kept.agg(
            last_order=("time", "max"), first_order=("time", "min"), orders=("time", "size"), ordered=("value", "sum"),
            order_value_max=("value", "max"),
        )
    )  # fmt: skip
    for days in (30, 90, 365):
        recent = orders[orders["time"] >= AS_OF - pd.Timedelta(days=days)]
        table[f"revenue_{days}d"] = recent.groupby("customer")["value"].sum()
    for days in (90, 180):
        recent = placed[placed["time"] >= AS_OF - pd.Timedelta(days=days)]
        table[f"orders_{days}d"] = recent.groupby("customer").size()
    return table


def _pairs(past: pd.DataFrame) -> pd.DataFrame:
    weights = {"Product Viewed": 0.1, "Product Added": 0.3, "Order Completed": 1.0, "Order Refunded": -1.0}
    seen = past[(past["item"] >= 0) & past["name"].isin(list(weights))]
    days = (pd.Timestamp(AS_OF) - seen["time"].dt.floor("s")).dt.total_seconds() / 86400.0
    name = seen["name"]
    rows = pd.DataFrame(
        {
            "customer": seen["customer"],
            "item": seen["item"],
            "bought": (name == "Order Completed").astype(np.int8) - (name == "Order Refunded").astype(np.int8),
            "viewed": name == "Product Viewed",
            "weight": name.map(weights).astype(float) * np.exp(-np.log(2) / 180.0 * days),
            "time": seen["time"],
        }
    )
    by = rows.groupby(["customer", "item"])
    sums = by[["bought", "viewed", "weight"]].sum()
    return sums.assign(first=by["time"].min(), last=by["time"].max())


def _affinity(pairs: pd.DataFrame) -> pd.DataFrame:
    positive = pairs["bought"].clip(lower=0)
    flags = pd.DataFrame({"items_bought": positive > 0, "items_viewed": pairs["viewed"] > 0, "lines": positive})
    table = flags.groupby(level="customer").sum()
    return table.assign(lines_top=pairs["bought"].groupby(level="customer").max())


def _derived(known: pd.DataFrame) -> pd.DataFrame:
    def days(name: str) -> pd.Series:
        return (pd.Timestamp(AS_OF) - known[name].dt.floor("s")).dt.total_seconds() / 86400.0

    numbers = known.select_dtypes("number").columns.drop("order_value_max")
    known[numbers] = known[numbers].astype(float).fillna(0.0)
    lasts = ("event", "order", "view", "open", "click")
    table = pd.DataFrame({f"days_since_{kind}": days(f"last_{kind}") for kind in lasts})
    same = [name for name in numbers if name not in ("ordered", "orders_180d", "lines", "lines_top")]
    table[[*same, "order_value_max"]] = known[[*same, "order_value_max"]]
    lines, orders = known["lines"].replace(0, np.nan), known["orders"].replace(0, np.nan)
    table["order_value"] = known["ordered"] / orders
    table["refund_share"] = (known["ordered"] - known["revenue"]) / known["ordered"].replace(0, np.nan)
    table["open_share"] = known["opens_90d"] / known["emails_90d"].replace(0, np.nan)
    table["top_item_share"] = known["lines_top"] / lines
    table["repeat_share"] = (lines - known["items_bought"]) / lines
    table["days_since_first_event"], table["days_since_first_order"] = days("first_event"), days("first_order")
    gap = (days("first_order") - days("last_order")) / (orders - 1).replace(0, np.nan)
    table["days_between_orders"] = gap.replace(0, np.nan)
    table["overdue"] = table["days_since_order"] / table["days_between_orders"]
    since, first = table["days_since_order"], table["days_since_first_order"]
    loyal = (since <= 90) & (known["orders_180d"] >= 3)
    stages = [first <= 30, loyal, since <= 90, since <= 180, since > 180]
    table["stage"] = np.select(stages, [0.0, 4.0, 1.0, 2.0, 3.0], np.nan)
    table["orders_trend"] = 2 * known["orders_90d"] - known["orders_180d"]
    table["days_since_identified"] = days("last_identified")
    return table


def _warm(contender: str) -> None:
    """Imports what the contender needs: start-up is not what is measured."""
    import duckdb

    duckdb.connect().execute("SELECT 1")
    pd.DataFrame({"a": pa.array(["a"])}).groupby("a").size()
    if contender == "attune":
        import ibis

        import features.customers.combine
        import features.engine
        import features.interactions
        import features.table  # noqa: F401  # start-up is measured apart

        ibis.duckdb.connect().sql("SELECT 1").to_pyarrow()


def peak_gb() -> float:
    """The most memory this process ever held; unlike `ru_maxrss` it forgets the parent's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    main()
