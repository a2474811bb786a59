"""What an import costs beside DuckDB reading, de-duplicating, hashing and writing the same file as Parquet.

    python -m benchmarks import --data DIR [--seed N]

Online Retail, each contender in a process of its own, in turns; start-up (imports of packages) is not counted.
`ratio_to_duckdb` is wall over wall, medians; target at most 8. `peak_rss_gb` is the import's largest process; target
under 1.5. `again_s` is the whole second `attune import` of the same file, start-up included; target under 1 s.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.apart import apart

ROUNDS = 5
NOW = datetime(2026, 1, 1)  # UTC, as the tables keep it
BARE = """
COPY (
    SELECT DISTINCT *, md5(concat_ws('|', COLUMNS(*)::VARCHAR)) AS message_id FROM read_parquet($file)
) TO '{out}' (FORMAT parquet)
"""


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """The figures, and under `comparators` what each round cost; nothing here is drawn, so `seed` changes nothing."""
    if data is None:
        return {"ratio_to_duckdb": None, "peak_rss_gb": None, "again_s": None}
    file = data / "online_retail" / "online_retail_sales.parquet"
    rounds = [_round(file, number) for number in range(ROUNDS)]
    middle = {name: median(found[name] for found in rounds) for name in rounds[0]}
    return {
        "ratio_to_duckdb": middle["import_s"] / middle["duckdb_s"],
        "ratio_to_duckdb_cpu": middle["import_cpu_s"] / middle["duckdb_cpu_s"],
        "peak_rss_gb": max(found["import_rss_gb"] for found in rounds),
        "again_s": middle["again_s"],
        "comparators": {"rounds": rounds},
    }


def _round(file: Path, number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="attune-benchmark-") as name:
        folder = Path(name)
        bare, ours = (apart("import_", contender, file, folder) for contender in ("duckdb", "import"))
        again = _again(file, folder / "shop")
    print(f"round {number}: import {ours['s']:.2f} s, duckdb {bare['s']:.2f} s, again {again:.2f} s", file=sys.stderr)
    costs = {f"import_{key}": value for key, value in ours.items()}
    return costs | {f"duckdb_{key}": value for key, value in bare.items()} | {"again_s": again}


def _again(file: Path, shop: Path) -> float:
    command = [sys.executable, "-m", "serving.cli", "import", "online-retail", str(file), "-w", str(shop)]
    subprocess.run(command, check=True, capture_output=True)  # the verb's own mark, which names the consent too
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def bare(file: Path, folder: Path) -> None:
    """DuckDB as its users would write it."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(BARE.format(out=folder / "bare.parquet"), {"file": str(file)})


def ours(file: Path, folder: Path) -> None:
    """Everything that the verb does, into a new workspace."""
    from features.consent import Basis
    from features.imported import fingerprint
    from features.imports import import_events
    from features.sources import online_retail
    from features.workspace import create

    shop, basis, source = (
        create(folder / "shop"),
        Basis(("personalisation",), online_retail.PROOF),
        online_retail.SOURCE,
    )
    mark = fingerprint(file, "benchmark")
    import_events(shop, online_retail.read(file, NOW), source=source, path=file, mark=mark, basis=basis, time=NOW)


def _measured(contender: str, file: Path, folder: Path) -> dict[str, float]:
    import deltalake  # noqa: F401  # start-up is not counted
    import duckdb
    import ibis

    import features.imports
    import features.migrations
    import features.sources.online_retail  # noqa: F401  # start-up is measured apart

    duckdb.connect().close()
    ibis.duckdb.connect().disconnect()
    run = {"duckdb": bare, "import": ours}[contender]
    began, spent = time.perf_counter(), time.process_time()
    run(file, folder)
    costs = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - spent}
    return costs | {"rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
