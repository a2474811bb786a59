"""Sample ratio mismatch over daily looks: how often a right split alarms, and how often a wrong one is found.

28 days at 7,000 customers a day; a run alarms when the sequential test does at the end of any day. `srm_false`: planned
and drawn 50/50; `srm_found`: planned 50/50, drawn 50.6/49.4. Each with its 99 % binomial interval (Clopper & Pearson)
under `_low` and `_high`, and `srm_found_day`, the mean day of those found.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest

from serving.experiments.ratio import FACTOR, Array, log_bayes_factor

DAYS, A_DAY = 28, 7_000
PLANNED, OFF = np.array([0.5, 0.5]), np.array([0.506, 0.494])


def srm(runs: int, seed: int) -> dict[str, float]:
    """The figures over the seeds from `seed` on, one a run."""
    false, found = (first_alarms(runs, seed, drawn) for drawn in (PLANNED, OFF))
    seen = found[found > 0]
    day = float(seen.mean()) if len(seen) else math.nan
    return rate("srm_false", false > 0) | rate("srm_found", found > 0) | {"srm_found_day": day}


def first_alarms(runs: int, seed: int, drawn: Array) -> Array:
    """Per run the first day with an alarm, from 1; 0 where there is none."""
    new = np.array([np.random.default_rng(seed + run).multinomial(A_DAY, drawn, DAYS) for run in range(runs)])
    alarms = log_bayes_factor(new.cumsum(axis=1).astype(np.float64), PLANNED) > math.log(FACTOR)
    return np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1.0, 0.0)


def rate(name: str, hits: np.ndarray) -> dict[str, float]:
    """The share of runs and its interval."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.99)
    return {name: float(hits.mean()), f"{name}_low": float(interval.low), f"{name}_high": float(interval.high)}
