"""What features and the matrix cost beside hand-written DuckDB SQL and pandas, over the same simulated log.

    python -m benchmarks features [--events N] [--seed N]

Every contender runs in a process of its own, in turns; start-up is not counted. `ratio_to_sql` is CPU over CPU,
`speedup_over_pandas` wall over wall, `growth_exponent` from the wall time at a quarter of the events and at all.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.apart import apart
from benchmarks.features_contenders import AS_OF
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named

EVENTS, ROUNDS = 20_000_000, 2
Costs = dict[str, list[dict[str, float]]]


def figures(seed: int, events: int = EVENTS) -> dict[str, Any]:
    """The figures, and under `comparators` what each contender cost in each round."""
    with tempfile.TemporaryDirectory(prefix="attune-benchmark-") as name:
        folder = Path(name)
        quarter, whole = folder / "quarter.parquet", folder / "whole.parquet"
        simulate(seed, {quarter: events // 4, whole: events})
        costs = _costs(folder, quarter, whole)
        differences = {other: _difference(folder, other) for other in ("sql", "pandas")}
    return _found(costs, differences) | {"events": events, "comparators": costs}


def _costs(folder: Path, quarter: Path, whole: Path) -> Costs:
    costs: Costs = {"attune": [], "sql": [], "pandas": [], "attune_quarter": []}
    for turn in range(ROUNDS):
        costs["attune_quarter"].append(apart("features_contenders", "attune", quarter, folder))
        for contender in ("attune", "sql", "pandas")[: 3 if turn == 0 else 2]:  # pandas once: it takes minutes
            costs[contender].append(apart("features_contenders", contender, whole, folder))
    return costs


def _found(costs: Costs, differences: dict[str, float]) -> dict[str, float]:
    def median(contender: str, key: str) -> float:
        return float(np.median([cost[key] for cost in costs[contender]]))

    growth = math.log(median("attune", "wall_s") / median("attune_quarter", "wall_s")) / math.log(4)
    return {
        "ratio_to_sql": median("attune", "cpu_s") / median("sql", "cpu_s"),
        "speedup_over_pandas": median("pandas", "wall_s") / median("attune", "wall_s"),
        "peak_rss_gb": max(cost["peak_gb"] for cost in costs["attune"]),
        "max_rel_difference": differences["sql"],
        "max_rel_difference_pandas": differences["pandas"],
        "growth_exponent": growth,
        "attune_wall_s": median("attune", "wall_s"),
        "attune_cpu_s": median("attune", "cpu_s"),
    }


def simulate(seed: int, sizes: dict[Path, int]) -> None:
    """Writes logs of exactly these numbers of events; in a process of its own, so that memory is given back."""
    for path, events in sizes.items():
        print(f"simulating {events:,} events", file=sys.stderr)
        code = f"from benchmarks.features import write; write({str(path)!r}, {seed}, {events})"
        subprocess.run([sys.executable, "-c", code], check=True)


def write(path: str, seed: int, events: int) -> None:
    """The first `events` events of an endless shop as Parquet."""
    writer = None
    for table in simulate_events(world_named("shop"), 10**9, seed, AS_OF):
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table.slice(0, events))
        events -= table.num_rows
        if events <= 0:
            writer.close()
            return


def _difference(folder: Path, other: str) -> float:
    """The largest relative difference of any feature or matrix entry; infinite where rows or unknowns differ."""
    ours, theirs = (pd.read_parquet(folder / f"{name}-features.parquet") for name in ("attune", other))
    ours["stage"] = ours["stage"].cat.codes.where(ours["stage"].notna()).astype(float)  # the others give positions
    pairs = [
        pd.read_parquet(folder / f"{name}-pairs.parquet").astype({"customer": str, "item": str})
        for name in ("attune", other)
    ]
    ours_pairs, their_pairs = (part.set_index(["customer", "item"]).sort_index() for part in pairs)
    return max(_largest(ours, theirs[ours.columns]), _largest(ours_pairs, their_pairs[ours_pairs.columns]))


def _largest(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    a, b = (part.astype(ours.dtypes).to_numpy(np.float64) for part in (ours, theirs))  # the matrix is float32
    if a.shape != b.shape or not ours.index.equals(theirs.index) or (np.isnan(a) != np.isnan(b)).any():
        return math.inf
    scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1.0)  # below 1 the difference itself: sums that cancel
    return float(np.nanmax(np.abs(a - b) / scale))
