"""How long an analysis takes: 1M customers by 10 metrics, 6M events into cells, and a lifetime value of 1M customers.

    python -m benchmarks experiments-speed [--seed N]

`cold_s`, `warm_s`: moments and tests of 1M customers x 10 metrics of two arms from a Parquet file of values, in a new
process that has imported nothing and again in the same (targets 3, 1); `rss_mb`: its peak less what Python and the
libraries take (300). `cells_s`, `cells_mb`: 6M events of 1M customers into values and 32 cells, two arms by 16 segments
(5, 1,000). `clv_1m_s`: both models fitted to 1M customers (5). Every part runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CUSTOMERS, METRICS, EVENTS, SEGMENTS = 1_000_000, 10, 6_000_000, 16
START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
LATER = START + timedelta(days=60)


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue."""
    with tempfile.TemporaryDirectory(prefix="attune-speed-") as name:
        folder = Path(name)
        _values(folder / "values.parquet", np.random.default_rng([seed, 0]))
        _events(folder, np.random.default_rng([seed, 1]))
        parts = [_apart(part, str(folder), str(seed)) for part in ("analysis", "cells", "lifetime")]
    return {name: value for part in parts for name, value in part.items()}


def _apart(*words: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.experiments_speed", *words]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(found, file=sys.stderr, flush=True)
    return found


def _values(path: Path, rng: np.random.Generator) -> None:
    """Half of the metrics with the customers' own past; one in ten is not 0."""
    columns: dict[str, Any] = {"arm": np.where(rng.random(CUSTOMERS) < 0.5, "control", "treatment")}
    columns["first"] = pa.array([START], pa.timestamp("us")).take(pa.array(np.zeros(CUSTOMERS, np.int64)))
    for place in range(METRICS):
        columns[f"m{place}"] = np.where(rng.random(CUSTOMERS) < 0.1, rng.gamma(1.0, 30.0, CUSTOMERS), 0.0)
        if place % 2:
            columns[f"m{place}b0"] = rng.gamma(1.0, 30.0, CUSTOMERS)
    pq.write_table(pa.table(columns), path)


def _events(folder: Path, rng: np.random.Generator) -> None:
    from features.events import ORDERED, SCHEMA

    who = [f"{number:07}" for number in range(CUSTOMERS)]
    people = {"customer": who, "arm": np.where(rng.random(CUSTOMERS) < 0.5, "control", "treatment").tolist()}
    people["segment"] = rng.integers(SEGMENTS, size=CUSTOMERS).astype(str).tolist()
    first = pa.array([START], pa.timestamp("us")).take(pa.array(np.zeros(CUSTOMERS, np.int64)))
    pq.write_table(pa.table({**people, "first": first}), folder / "people.parquet")
    seconds = rng.integers(-30 * 86_400, 30 * 86_400, size=EVENTS) * 1_000_000
    time = pa.array(np.datetime64(START, "us") + seconds.astype("timedelta64[us]"))
    number = pa.array(np.arange(EVENTS).astype(np.str_))
    names = np.where(rng.random(EVENTS) < 0.2, ORDERED, "Product Viewed")
    known = {
        "source": pa.array(["shop"]).take(pa.array(np.zeros(EVENTS, np.int64))),
        "message_id": number,
        "line": np.zeros(EVENTS, np.int32),
        "name": names,
        "customer": pa.array(who).take(pa.array(rng.integers(CUSTOMERS, size=EVENTS))),
        "time": time,
        "received_at": time,
        "live": np.zeros(EVENTS, bool),
        "quantity": np.ones(EVENTS),
        "price": rng.gamma(1.0, 30.0, EVENTS),
        "machine": np.zeros(EVENTS, bool),
    }
    empty = {field.name: pa.nulls(EVENTS, field.type) for field in SCHEMA if field.name not in known}
    pq.write_table(pa.table({**known, **empty}).select(SCHEMA.names).cast(SCHEMA), folder / "events.parquet")


def _analysis(folder: Path) -> dict[str, float]:
    """Of a process that has done nothing yet, imports and all."""
    started, before = perf_counter(), _peak()
    from features.engine import connect
    from serving.experiments.compared import Evidence

    libraries = _peak()
    told = _columns(METRICS)
    table = connect().read_parquet(str(folder / "values.parquet"), table_name="people")
    seconds = []
    for begun in (started, None):
        since = perf_counter() if begun is None else begun
        evidence = Evidence.of(table, told, LATER)
        assert len(evidence.of_arm("treatment", "control", told)) == METRICS  # noqa: S101  # all of them were tested
        seconds.append(perf_counter() - since)
    return {
        "cold_s": seconds[0],
        "warm_s": seconds[1],
        "rss_mb": _peak() - libraries,
        "rss_with_libraries_mb": _peak() - before,
    }


def _cells(folder: Path) -> dict[str, float]:
    from features.engine import connect, held
    from features.events import Events
    from serving.experiments.values import capped, cells, values

    before, started = _peak(), perf_counter()
    backend, told = connect(), _columns(2)
    people = backend.read_parquet(str(folder / "people.parquet"), table_name="people")
    rows = Events.of(backend.read_parquet(str(folder / "events.parquet"), table_name="events")).before(LATER)
    found = cells(capped(held(values(rows, people, told)), told), told, LATER, by=("arm", "segment"))
    assert len(found) == 2 * SEGMENTS  # noqa: S101  # every cell has customers
    return {"cells_s": perf_counter() - started, "cells_mb": _peak() - before}


def _lifetime(seed: int) -> dict[str, float]:
    from benchmarks.experiments_lifetime import clv_1m_s

    return {"clv_1m_s": clv_1m_s(seed)}


def _columns(many: int) -> list[Any]:
    from serving.experiments.metrics import Measure, Metric
    from serving.experiments.values import columns

    money = Measure(event="Order Completed", sum="money")
    made = [
        Metric(
            key=f"k{place}", name="It", numerator=money, cap=0.99 if place == 0 else None, before_days=90 * (place % 2)
        )
        for place in range(many)
    ]
    return columns(made, 14)


def _peak() -> float:
    """Of this process so far, MB; `getrusage` would tell that of the process which began it."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def main(words: Sequence[str]) -> None:
    part, folder, seed = words
    found = _lifetime(int(seed)) if part == "lifetime" else {"analysis": _analysis, "cells": _cells}[part](Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
