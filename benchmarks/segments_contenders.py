"""Segments of one log in two ways: Attune, and SQL written by hand for DuckDB; a flag per customer and segment.

python -m benchmarks.segments_contenders {attune,sql} LOG RESULTS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd

from benchmarks.features_contenders import AS_OF, peak_gb

SQL = Path(__file__).parent / "plans" / "segments.sql"
SHOP = Path(__file__).parents[1] / "examples" / "shop"
ASKED = (
    "new", "loyal", "active", "at-risk", "lapsed", "frequency-high", "money-high", "money-middle", "young",
    "city-dwellers", "from-email", "web-only", "high-intent", "cart-abandoner",
)  # fmt: skip


def main() -> None:
    """Asks, then writes what it cost and what came out."""
    contender, log, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    ask = {"attune": attune, "sql": sql}[contender]
    _warm(contender)
    cpu, wall = time.process_time(), time.perf_counter()
    table = ask(log)
    cost = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    table.to_parquet(results / f"{contender}.parquet")
    print(json.dumps(cost | {"peak_gb": peak_gb()}))


def attune(log: Path) -> pd.DataFrame:
    """What `attune segments` asks."""
    from features.conditions import members
    from features.engine import connect
    from features.events import Events
    from features.segments import conditions, read_segments

    shipped = conditions(read_segments(SHOP))
    found = members({key: shipped[key] for key in ASKED}, Events.of(connect().read_parquet(log)), AS_OF)
    flags = pd.DataFrame(found.inside, columns=list(found.names))
    flags.insert(0, "customer", found.customers.to_pandas())
    return flags


def sql(log: Path) -> pd.DataFrame:
    """The statement of `plans/segments.sql`."""
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "2GB"})
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{log}')")
    return connection.execute(SQL.read_text(), {"moment": AS_OF}).to_arrow_table().to_pandas()


def _warm(contender: str) -> None:
    """Imports and a first query are not part of the question."""
    import duckdb

    duckdb.sql("SELECT 1").fetchall()
    if contender == "attune":
        import ibis
        import pyarrow as pa

        import features.conditions
        import features.segments  # noqa: F401  # start-up is not counted

        ibis.memtable(pa.table({"one": [1]})).to_pyarrow()


if __name__ == "__main__":
    main()
