"""What a T-learner costs beside two bare LightGBM fits with the same parameters, interleaved; CPU seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import lightgbm
import numpy as np
import pandas as pd

from features.exposures import Exposures
from features.table import Feature, FeatureTable
from training.uplift import LEARNERS
from training.uplift.bases import ROUNDS, tree_parameters

ROWS, FEATURES, REPEATS = 1_000_000, 30, 3


def figures(seed: int, rows: int = ROWS) -> dict[str, float]:
    """`ratio_lightgbm`: median CPU of the T-learner over that of the bare fits, and both in seconds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, FEATURES))
    treated = rng.random(rows) < 0.5
    y = (rng.random(rows) < 0.1 + 0.02 * treated * (X[:, 0] > 0)).astype(np.float64)
    frame = pd.DataFrame(X, columns=[f"feature_{number}" for number in range(FEATURES)])
    table = FeatureTable(frame, tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns))
    arms = Exposures(np.where(treated, "a", "none").astype(np.str_), np.full(rows, 0.5), np.ones(rows))
    ours, bare = [], []
    for repeat in range(REPEATS):
        ours.append(_cpu(lambda: LEARNERS["t-lightgbm"](seed=seed).fit(table, arms, y)))
        bare.append(_cpu(lambda: [_bare(X[arm], y[arm], seed) for arm in (treated, ~treated)]))
        print(f"repeat {repeat}: {ours[-1]:.1f} s, bare {bare[-1]:.1f} s", file=sys.stderr)
    ratio = float(np.median(ours) / np.median(bare))
    return {"ratio_lightgbm": ratio, "t_lightgbm_cpu_s": float(np.median(ours)), "bare_cpu_s": float(np.median(bare))}


def _bare(X: np.ndarray, y: np.ndarray, seed: int) -> lightgbm.Booster:
    parameters = tree_parameters(len(y), "binary", seed)
    return lightgbm.train(parameters, lightgbm.Dataset(X, y, params=parameters), num_boost_round=ROUNDS)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
