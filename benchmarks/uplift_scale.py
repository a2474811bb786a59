"""What judging all candidates and training the selector costs: beside a forest on a real campaign, and as logs grow.

    python -m benchmarks uplift-scale --data DIR [--seed N]

`cpu_ratio_to_forest`: CPU of everything that `attune train uplift` does of Hillstrom's visits, women's mail against
none (all candidates out of fold, selection, refit, intervals, checks), over that of econml's CausalForestDML (200
trees) out of fold on the same folds; medians of three interleaved rounds, one thread per model; target at most 1.
`minutes_1m`, `peak_rss_gb_1m`: wall minutes and the most memory of the same work on 1M customers x 30 features x 3
offers, in a process of its own; targets 10 and 6. `growth_exponent`: slope of log CPU on log customers over 100,000,
300,000 and 1M; the sizes are under `comparators`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.apart import apart
from benchmarks.peers import ONE_THREAD, Peers, Question, peers
from features.exposures import CONTROL, ExposureLog, Exposures
from features.sources import hillstrom
from features.table import Feature, FeatureTable
from training.pipelines.uplift import judged, taken
from training.uplift import CANDIDATES
from training.uplift.encoder import Encoder
from training.uplift.rows import FOLDS

SIZES, FEATURES, OFFERS, ROUNDS = (100_000, 300_000, 1_000_000), 30, 3, 3
FOREST = "causal-forest"


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """The figures of the issue; every size and round under `comparators`. Without the data the ratio is null."""
    beside = apart("uplift_scale", "forest", data, seed, environment=ONE_THREAD) if data else {"ratio": None}
    sizes = [apart("uplift_scale", rows, "", seed, environment=ONE_THREAD) for rows in SIZES]
    return {
        "cpu_ratio_to_forest": beside.pop("ratio"),
        "minutes_1m": sizes[-1]["wall_s"] / 60,
        "peak_rss_gb_1m": sizes[-1]["peak_rss_gb"],
        "growth_exponent": float(np.polyfit(np.log(SIZES), np.log([one["cpu_s"] for one in sizes]), 1)[0]),
        "comparators": beside | {"sizes": dict(zip(map(str, SIZES), sizes, strict=True))},
    }


def trained(log: ExposureLog, seed: int) -> Any:
    """All that a training run does between reading the log and writing files."""
    return judged(log, "visit", tuple(CANDIDATES), folds=FOLDS, seed=seed)


def beside_forest(data: Path, seed: int) -> dict[str, Any]:
    """CPU seconds of both per round, and the ratio of their medians."""
    log, ours, theirs = two_arms(data), [], []
    with peers() as there:
        for number in range(ROUNDS):
            seconds, found = timed(lambda: trained(log, seed))
            ours.append(seconds["cpu_s"])
            theirs += [forest(log, found.oof.fold, there, seed)] if there else []
            print(f"round {number}: {ours[-1]:.1f} CPU s, the forest {theirs[-1:]}", file=sys.stderr)
    ratio = float(np.median(ours) / np.median(theirs)) if theirs else None
    return {"ratio": ratio, "ours_cpu_s": ours, "forest_cpu_s": theirs}


def two_arms(data: Path) -> ExposureLog:
    """Women's mail and none: of the three arms these two were given by a coin."""
    log = hillstrom.read(data / "uplift" / "hillstrom.parquet")
    log = taken(log, np.flatnonzero(np.isin(log.exposures.arm, ["womens-email", CONTROL])))
    even = np.full(len(log.exposures), 0.5)
    return replace(log, exposures=replace(log.exposures, probability=even))


def forest(log: ExposureLog, fold: Any, there: Peers, seed: int) -> float:
    """CPU seconds of the forest on the same folds."""
    X, given = Encoder.fit(log.table).linear(log.table), log.exposures
    outcome = log.outcomes["visit"].to_numpy(np.float64)
    question = Question(X, given.arm != CONTROL, outcome, given.probability, fold, seed)
    return there.measure(question, (FOREST,)).cpu_s[FOREST]


def grown(rows: int, seed: int) -> dict[str, float]:
    """What so many customers cost, and the most memory that the process held."""
    log = simulated(rows, seed)
    seconds, _ = timed(lambda: trained(log, seed))
    return seconds | {"peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}


def simulated(rows: int, seed: int) -> ExposureLog:
    """A visit in ten without an offer, and effects of each offer that differ by feature."""
    rng = np.random.default_rng(seed)
    X, arm = rng.normal(size=(rows, FEATURES)), rng.integers(0, OFFERS + 1, rows)
    gain = np.column_stack([np.zeros(rows), *(0.01 + 0.02 * (X[:, offer] > 0) for offer in range(OFFERS))])
    visit = rng.random(rows) < 0.1 + 0.02 * np.tanh(X[:, -1]) + gain[np.arange(rows), arm]
    names = np.array([CONTROL, *(f"offer-{number}" for number in range(1, OFFERS + 1))], np.str_)
    frame = pd.DataFrame(X, columns=[f"feature_{number}" for number in range(FEATURES)])
    table = FeatureTable(frame, tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns))
    exposures = Exposures(names[arm], np.full(rows, 1 / len(names)), np.ones(rows))
    return ExposureLog("simulated", "own", table, exposures, pd.DataFrame({"visit": visit.astype(np.float64)}))


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Wall and CPU seconds, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}, found


def main() -> None:
    """One part, named by `forest` or a number of customers."""
    part, data, seed = sys.argv[1:]
    print(json.dumps(beside_forest(Path(data), int(seed)) if part == "forest" else grown(int(part), int(seed))))


if __name__ == "__main__":
    main()
