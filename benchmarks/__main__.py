"""`python -m benchmarks NAME [--data DIR] [--seed N]`: progress on stderr, one JSON object as the last stdout line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

# name -> module with `figures(seed) -> dict`; it may also take `data: Path | None` and further numbers as options.
BENCHMARKS = {
    "features": "benchmarks.features",
    "features-incremental": "benchmarks.features_incremental",
    "segments": "benchmarks.segments",
    "serving": "benchmarks.serving",
    "serving-soak": "benchmarks.serving_soak",
    "import": "benchmarks.import_",
    "ingest": "benchmarks.ingest",
    "ingest-kill": "benchmarks.ingest_kill",
    "policy-value": "benchmarks.policy_value",
    "offers-budget": "benchmarks.offers_budget",
    "recommend-scale": "benchmarks.recommend_scale",
    "recommend-tafeng": "benchmarks.recommend_tafeng",
    "recommend-gowalla": "benchmarks.recommend_gowalla",
    "recommend-retail": "benchmarks.recommend_retail",
    "recommend-simulated": "benchmarks.recommend_simulated",
    "training": "benchmarks.training",
    "experiments-false-alarms": "benchmarks.experiments_false_alarms",
    "experiments-coverage": "benchmarks.experiments_coverage",
    "experiments-power": "benchmarks.experiments_power",
    "experiments-speed": "benchmarks.experiments_speed",
    "reports-speed": "benchmarks.reports_speed",
    "uplift-simulated": "benchmarks.uplift_simulated",
    "uplift-hillstrom": "benchmarks.uplift_hillstrom",
    "uplift-ihdp": "benchmarks.uplift_ihdp",
    "uplift-calibration": "benchmarks.uplift_calibration",
    "uplift-scale": "benchmarks.uplift_scale",
}
VERSIONS = ("duckdb", "implicit", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy")


def main() -> None:
    """Runs one benchmark and prints its result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--data", type=Path, default=os.environ.get("ATTUNE_DATA"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, help="features, ingest: how many events; default 20 and 2 million")
    parser.add_argument("--hold-out", type=int, help="recommend-gowalla: 1 judges on a part of the training part")
    parser.add_argument("--minutes", type=float, help="serving-soak: how long; default 60")
    given = parser.parse_args()
    figures = importlib.import_module(BENCHMARKS[given.name]).figures
    options: dict[str, Any] = {"seed": given.seed}
    if "data" in inspect.signature(figures).parameters:
        options["data"] = Path(given.data) if given.data else None
    options |= {name: value for name in ("events", "hold_out", "minutes") if (value := getattr(given, name))}
    load = os.getloadavg()[0]
    found = figures(**options)
    print(json.dumps(described(given.name, found, load)))


def described(name: str, figures: dict[str, Any], load: float) -> dict[str, Any]:
    """The object that is printed last."""
    comparators = figures.pop("comparators", {})
    versions = {package: version(package) for package in VERSIONS}
    return {
        "name": name,
        "figures": figures,
        "comparators": comparators,
        "versions": versions,
        "cores": os.cpu_count(),
        "load": load,
    }


if __name__ == "__main__":
    main()
