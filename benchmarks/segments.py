"""What population segments cost beside SQL written by hand for DuckDB, over the same simulated log.

    python -m benchmarks segments [--events N] [--seed N]

Several segments at once: stages of the lifecycle, bands of money, intent, source and a trait. Each contender runs in a
process of its own, in turns; start-up is not counted. `ratio_to_sql` is CPU over CPU, `differing` how many answers
(customer and segment) are not the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.apart import apart
from benchmarks.features import simulate

EVENTS, ROUNDS = 20_000_000, 3


def figures(seed: int, events: int = EVENTS) -> dict[str, Any]:
    """The figures, and under `comparators` what each contender cost in each round."""
    with tempfile.TemporaryDirectory(prefix="attune-benchmark-") as name:
        folder = Path(name)
        log = folder / "log.parquet"
        simulate(seed, {log: events})
        costs: dict[str, list[dict[str, float]]] = {"attune": [], "sql": []}
        for turn in range(ROUNDS):
            for contender in ("attune", "sql") if turn % 2 == 0 else ("sql", "attune"):
                costs[contender].append(apart("segments_contenders", contender, log, folder))
        ours, theirs = (pd.read_parquet(folder / f"{name}.parquet") for name in costs)
    cpu = {name: float(np.median([cost["cpu_s"] for cost in spent])) for name, spent in costs.items()}
    return {
        "ratio_to_sql": cpu["attune"] / cpu["sql"],
        "differing": _differing(ours, theirs),
        "customers": len(ours),
        "segments": len(ours.columns) - 1,
        "attune_cpu_s": cpu["attune"],
        "sql_cpu_s": cpu["sql"],
        "peak_rss_gb": max(cost["peak_gb"] for cost in costs["attune"]),
        "events": events,
        "comparators": costs,
    }


def _differing(ours: pd.DataFrame, theirs: pd.DataFrame) -> int:
    if list(ours.columns) != list(theirs.columns) or len(ours) != len(theirs):
        return max(ours.size, theirs.size)
    return int((ours.to_numpy() != theirs.to_numpy()).sum())
