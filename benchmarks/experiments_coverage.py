"""How often the 95 % interval of a planted lift holds the truth, at the fixed end of an experiment.

    python -m benchmarks experiments-coverage [--seed N]

In the treatment it is opened, clicked and bought `LIFT` more often (`experiments_shop.py`). The truth of a metric is
its difference among two million customers, capped where the metric is; of lifetime value the
expectation (Fader, Hardie & Lee 2005). A cell is a metric at 50/50 or 95/5; its rate
passes where the 99 % binomial interval, corrected for the number of cells, overlaps 93 to 97 %.

`cells_covered`: share of cells that pass; the rates stand under `comparators`, with how often the truth lay below the
interval and above it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.experiments_false_alarms import METRICS, RUNS, SHARES, TIME, VALUE, passes, tested
from benchmarks.experiments_shop import LEAVING, WINDOW, capped, drawn
from serving.experiments.metrics import standard
from serving.experiments.values import AHEAD

LIFT, BAND = 0.2, (0.93, 0.97)
MANY, TIMES = 400_000, 5
Held = tuple[str, str, int]  # metric, shares, and where the truth lies: -1 below the interval, 0 in it, 1 above


def figures(seed: int, runs: int = RUNS) -> dict[str, Any]:
    """The figure of the issue."""
    truth = {metric: float(np.mean([_truth(metric, seed, part) for part in range(TIMES)])) for metric in METRICS}
    print(f"truth: {truth}", file=sys.stderr, flush=True)
    counted: Counter[Held] = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(partial(run, seed, truth), range(runs), chunksize=10), 1):
            counted.update(found)
            if done % 500 == 0:
                print(f"{done} of {runs} shops", file=sys.stderr, flush=True)
    cells = [(metric, shares) for metric in METRICS for shares in SHARES]
    held = {cell: counted[*cell, 0] for cell in cells}
    rates = {
        f"{metric} {shares}": {
            "rate": held[metric, shares] / runs,
            "below": counted[metric, shares, -1],
            "above": counted[metric, shares, 1],
        }
        for metric, shares in cells
    }
    passed = [passes(hits, runs, BAND, len(cells)) for hits in held.values()]
    return {"cells_covered": sum(passed) / len(passed), "runs": runs, "comparators": rates}


def run(seed: int, truth: dict[str, float], number: int) -> list[Held]:
    """Where the truth lies in one shop; a metric that cannot be tested holds it."""
    found: list[Held] = []
    for shares, share in SHARES.items():
        shop = drawn(np.random.default_rng([seed, 1, number]), lift=LIFT, share=share)
        for metric in METRICS:
            lower, upper = tested(shop, metric, share, np.arange(len(shop.day)), None)
            found.append((metric, shares, int(truth[metric] > upper) - int(truth[metric] < lower)))
    return found


def _truth(metric: str, seed: int, part: int) -> float:
    if metric == VALUE:
        worth = partial(LEAVING.value, np.array([int(WINDOW)]), horizon=AHEAD * WINDOW)
        return worth((1 + LIFT, 1.0)) - worth((1.0, 1.0))
    shop = drawn(np.random.default_rng([seed, 2, part]), customers=MANY, lift=LIFT)
    treated = shop.arm(0.5)
    if metric == TIME:
        waited = np.minimum(shop.first, WINDOW)
        return float(waited[treated].mean() - waited[~treated].mean())
    columns = capped(shop.columns[metric], metric)
    sums = [columns[arm].mean(axis=0) for arm in (treated, ~treated)]
    after, before = (one[0] / one[1] if standard()[metric].kind == "ratio" else one[0] for one in sums)
    return float(after - before)
