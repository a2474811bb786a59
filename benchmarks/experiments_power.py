"""What daily looks cost and save where there is an effect: power beside the fixed test's, and the sample at the stop.

    python -m benchmarks experiments-power [--seed N]

Per metric, at 50/50, a lift for which the fixed test finds it in 80 to 90 % (its mean is `DRIFT` standard errors; sized
with shops of other seeds). The same shops are looked at after each of 14 days by Lan and DeMets' bounds and stopped at
the first that finds it. Targets: `power_ratio`, the power over the fixed test's, at least 0.95 in each metric (the
least is given); `sample_ratio`, the mean share of the customers at the stop, at most 0.8 (the most is given).
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest

from benchmarks.experiments_false_alarms import METRICS, RUNS, tested
from benchmarks.experiments_shop import DAYS, Shop, drawn
from serving.experiments.bounds import bounds

DRIFT, SIZED = 3.0, 200
GUESS = 0.2  # the lift whose drift is measured; that of another one is taken to be in proportion
SHARE = 0.5


def figures(seed: int, runs: int = RUNS) -> dict[str, Any]:
    """The figures of the issue; per metric under `comparators`."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(METRICS, pool.map(partial(_metric, seed, runs), METRICS), strict=True))
    for metric, one in found.items():
        print(metric, one, file=sys.stderr, flush=True)
    return {
        "power_ratio": min(one["power"] / one["fixed"] for one in found.values()),
        "sample_ratio": max(one["sample"] for one in found.values()),
        "runs": runs,
        "comparators": found,
    }


def _metric(seed: int, runs: int, metric: str) -> dict[str, Any]:
    place, lift = METRICS.index(metric), GUESS
    for step in range(2):  # a lift in proportion, then once more from there: odds and caps bend it
        shops = (drawn(np.random.default_rng([seed, 3, place, step, number]), lift=lift) for number in range(SIZED))
        ends = np.array([tested(shop, metric, SHARE, np.arange(len(shop.day)), None) for shop in shops])
        drift = float(np.abs(ends.mean(axis=1)).mean() / (ends[:, 1] - ends[:, 0]).mean() * 2 * 1.96)
        lift *= DRIFT / drift
    rows = [_run(drawn(np.random.default_rng([seed, 4, place, number]), lift=lift), metric) for number in range(runs)]
    fixed, looked, sample = (np.array(part) for part in zip(*rows, strict=True))
    interval = binomtest(int(looked.sum()), runs).proportion_ci(0.99)
    return {
        "lift": lift,
        "fixed": float(fixed.mean()),
        "power": float(looked.mean()),
        "power_interval": [float(interval.low), float(interval.high)],
        "sample": float(sample.mean()),
    }


def _run(shop: Shop, metric: str) -> tuple[bool, bool, float]:
    """Whether the fixed test finds it, whether a look does, and the share of the customers at the stop."""
    lower, upper = tested(shop, metric, SHARE, np.arange(len(shop.day)), None)
    fixed = lower > 0 or upper < 0
    for day, bound in enumerate(bounds(np.arange(1, DAYS + 1) / DAYS).tolist(), 1):
        rows = np.flatnonzero(shop.day < day)
        lower, upper = tested(shop, metric, SHARE, rows, bound)
        if lower > 0 or upper < 0:
            return fixed, True, len(rows) / len(shop.day)
    return fixed, False, 1.0
