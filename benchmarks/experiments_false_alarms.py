"""How often arms that are the same are told apart: at a fixed end, over 14 daily looks, and to each side.

    python -m benchmarks experiments-false-alarms [--seed N]

Each run is a shop (`experiments_shop.py`) whose customers are assigned over 14 days; a metric is tested once when all
windows have closed, and after each day whose customers' windows have, by Lan and DeMets' bounds. A cell is a metric at
50/50 or 95/5 (the control is the small arm). Its rate passes where the 99 % binomial interval, corrected for the number
of cells, overlaps the band: 4 to 6 % fixed, at most 6 % over the looks, at most 3.5 % in each tail of either.

`cells_fixed`, `cells_looks`, `cells_tails`: shares of cells that pass; the rates stand under `comparators`.
`srm_false`, `srm_found`: of `experiments_ratio.py`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmarks.experiments_ratio import srm
from benchmarks.experiments_shop import DAYS, MEANS, WINDOW, Shop, capped, drawn
from serving.experiments.analysis import Shape, compare
from serving.experiments.bounds import bounds
from serving.experiments.conversion import curve, difference
from serving.experiments.metrics import standard
from serving.experiments.moments import Moments
from serving.experiments.values import AHEAD
from serving.experiments.worth import Bought, Worth

RUNS = 2_000
SHARES = {"50/50": 0.5, "95/5": 0.95}
TIME = "time-to-conversion"
VALUE = "lifetime-value"
METRICS = (*MEANS, TIME, VALUE)
FIXED, MOST, TAIL = (0.04, 0.06), 0.06, 0.035
Found = tuple[str, str, str, int]  # metric, shares, fixed or looks, and the side on which they are told apart
Rows = NDArray[np.intp]


def figures(seed: int, runs: int = RUNS) -> dict[str, Any]:
    """The figures of the issue."""
    counted = counts(seed, runs)
    cells = [(metric, shares) for metric in METRICS for shares in SHARES]
    rates = {
        f"{metric} {shares}": {how: rate(counted, runs, metric, shares, how) for how in ("fixed", "looks")}
        for metric, shares in cells
    }
    told = {
        "cells_fixed": [passes(one["fixed"]["hits"], runs, FIXED, len(cells)) for one in rates.values()],
        "cells_looks": [passes(one["looks"]["hits"], runs, (0.0, MOST), len(cells)) for one in rates.values()],
        "cells_tails": [
            passes(one[how][side], runs, (0.0, TAIL), 4 * len(cells))
            for one in rates.values()
            for how in ("fixed", "looks")
            for side in ("up", "down")
        ],
    }
    shares = {name: sum(found) / len(found) for name, found in told.items()}
    return shares | {"runs": runs} | srm(runs, seed) | {"comparators": rates}


def counts(seed: int, runs: int) -> Counter[Found]:
    """In how many runs each cell told its arms apart, and on which side."""
    total: Counter[Found] = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(partial(run, seed), range(runs), chunksize=10), 1):
            total.update(found)
            if done % 100 == 0:
                print(f"{done} of {runs} shops", file=sys.stderr, flush=True)
    return total


def rate(counted: Mapping[Found, int], runs: int, metric: str, shares: str, how: str) -> dict[str, Any]:
    up, down = (counted[metric, shares, how, side] for side in (1, -1))
    return {"rate": (up + down) / runs, "hits": up + down, "up": up, "down": down}


def passes(hits: int, runs: int, band: tuple[float, float], cells: int) -> bool:
    """Whether the interval of the rate, at 99 % over all cells, overlaps the band."""
    interval = binomtest(hits, runs).proportion_ci(1 - 0.01 / cells)
    return bool(interval.high >= band[0] and interval.low <= band[1])


def run(seed: int, number: int) -> list[Found]:
    """What one shop's arms, which are the same, are told apart by."""
    shop = drawn(np.random.default_rng([seed, number]))
    return [
        (metric, shares, how, side)
        for shares, share in SHARES.items()
        for metric in METRICS
        for how, side in (("fixed", fixed(shop, metric, share)), ("looks", looked(shop, metric, share)))
        if side
    ]


def fixed(shop: Shop, metric: str, share: float) -> int:
    """1 or -1 where the whole sample tells the arms apart, else 0."""
    return side(shop, metric, share, np.arange(len(shop.day)), None)


def looked(shop: Shop, metric: str, share: float) -> int:
    """The same over the daily looks, at the first that does."""
    return next((found for found in _looks(shop, metric, share) if found), 0)


def _looks(shop: Shop, metric: str, share: float) -> Iterator[int]:
    for day, bound in enumerate(bounds(np.arange(1, DAYS + 1) / DAYS).tolist(), 1):
        yield side(shop, metric, share, np.flatnonzero(shop.day < day), bound)


def side(shop: Shop, metric: str, share: float, rows: Rows, bound: float | None) -> int:
    """On which side of 0 the interval lies that these customers give."""
    lower, upper = tested(shop, metric, share, rows, bound)
    return int(lower > 0) - int(upper < 0)


def tested(shop: Shop, metric: str, share: float, rows: Rows, bound: float | None) -> tuple[float, float]:
    """The interval of the difference that these customers give; without ends where they are too few."""
    treated = shop.arm(share)[rows]
    if metric == TIME:
        seen = shop.first[rows]
        arms = [curve(np.minimum(seen[arm], WINDOW), seen[arm] < WINDOW) for arm in (treated, ~treated) if arm.any()]
        try:
            told = difference(*arms, WINDOW, **({} if bound is None else {"bound": bound}))
        except (TypeError, ValueError):  # an arm is empty, or has too few customers
            return -np.inf, np.inf
        return told.lower, told.upper
    if metric == VALUE:
        return _worth(shop, treated, rows, bound)
    columns = capped(shop.columns[metric][rows], metric)
    shape = Shape.of(standard()[metric])
    found = compare(Moments.of(columns[~treated]), Moments.of(columns[treated]), shape, bound=bound)
    return (-np.inf, np.inf) if found is None else (found.lower, found.upper)


def _worth(shop: Shop, treated: NDArray[np.bool_], rows: Rows, bound: float | None) -> tuple[float, float]:
    columns = shop.bought.columns
    arms = {name: Bought(*(one[rows[arm]] for one in columns)) for name, arm in (("b", treated), ("a", ~treated))}
    found = Worth.of(arms, int(WINDOW), AHEAD * int(WINDOW)).test("b", "a", bound)
    return (-np.inf, np.inf) if found is None else (found.lower, found.upper)
