"""Whether effects are as large as they are said to be, and the mean effect as certain, where the truth is known.

    python -m benchmarks uplift-calibration [--seed N]

`worlds_calibrated`: in how many of the five worlds with signal (`uplift_worlds.py`) the calibration slope is near 1.
The slope is that of the true effects on the selector's, learned from 100,000 customers and told of 100,000 others;
its mean over six replications is from 0.9 to 1.1 or its Student interval holds 1, and that is no wider than 0.4;
target 5. Where the selector tells nobody apart there is no slope, and its world does not count.

`coverage_effect`: how often the 95 % interval of the mean effect (the mean of doubly robust scores, what the selector
says where no candidate weighs anything) holds the truth, over 400 logs of 2,000 customers in each of the six worlds
(4,000 where outcomes are rare); target: its 99 % binomial interval overlaps 93 to 97 %.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.uplift_simulated import mean_over
from benchmarks.uplift_worlds import WITHOUT_SIGNAL, WORLDS, World, drawn, people
from training.metrics.uplift import slope
from training.pipelines.uplift_evaluation import without_nan
from training.uplift.selector import Selector

CUSTOMERS, REPLICATIONS = 100_000, 6
LOGS, FEW, POPULATION = 400, 2_000, 1_000_000
NEAR, WIDTH = 0.1, 0.4  # of the mean slope to 1, and of its interval
Z = float(stats.norm.ppf(0.975))


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue; slopes and coverage by world under `comparators`."""
    inside = {name: covered(name, seed) for name in WORLDS}
    slopes = {name: slopes_of(name, seed) for name in WORLDS if name not in WITHOUT_SIGNAL}
    worlds = {name: calibration(values) for name, values in slopes.items()}
    total = rate(sum(inside.values()), LOGS * len(WORLDS))
    return {
        "worlds_calibrated": sum(one["calibrated"] for one in worlds.values()),
        "coverage_effect": total["share"],
        "coverage_effect_interval": total["interval"],
        "comparators": {
            "slopes": without_nan(worlds),
            "coverage": {name: rate(held, LOGS) for name, held in inside.items()},
        },
    }


def slopes_of(name: str, seed: int) -> list[float]:
    """The slopes of each replication."""
    place = list(WORLDS).index(name)
    found = [slope_of(WORLDS[name], np.random.default_rng([seed, place, number])) for number in range(REPLICATIONS)]
    print(f"{name}: slopes {found}", file=sys.stderr)
    return found


def slope_of(world: World, rng: np.random.Generator) -> float:
    """Of the true effects on those that the selector says of customers it has not seen."""
    log, fresh = drawn(world, CUSTOMERS, rng), drawn(world, CUSTOMERS, rng)
    model = Selector().fit(log.table, log.exposures, log.outcome)
    return slope(fresh.effect, model.effect(fresh.table).effect[:, 0], np.ones(CUSTOMERS)).value


def calibration(slopes: list[float]) -> dict[str, Any]:
    """The mean slope, and whether that is calibrated."""
    mean = mean_over(slopes)
    near = abs(mean.estimate - 1) <= NEAR or mean.lower <= 1 <= mean.upper
    return asdict(mean) | {"slopes": slopes, "calibrated": bool(near and mean.upper - mean.lower <= WIDTH)}


def covered(name: str, seed: int) -> int:
    """How many of the logs' intervals hold the mean effect of all customers there could be."""
    world, place = WORLDS[name], list(WORLDS).index(name)
    truth = float(world.effect(people(POPULATION, np.random.default_rng([seed, place]))).mean())
    held = sum(holds(world, truth, np.random.default_rng([seed, place, number])) for number in range(LOGS))
    print(f"{name}: {held} of {LOGS} intervals hold {truth:.5f}", file=sys.stderr)
    return held


def holds(world: World, truth: float, rng: np.random.Generator) -> bool:
    """Whether the interval of one log does; a selector among constants says the mean effect alone."""
    log = drawn(world, FEW * world.customers, rng)
    table = log.table
    said = Selector(candidates=("constant",)).fit(table, log.exposures, log.outcome).effect(table.take(np.arange(1)))
    return bool(abs(said.effect[0, 0] - truth) <= Z * said.standard_error[0, 0])


def rate(held: int, of: int) -> dict[str, Any]:
    """The share and its 99 % binomial interval (Clopper and Pearson 1934)."""
    around = stats.binomtest(held, of).proportion_ci(0.99)
    return {"share": held / of, "interval": [float(around.low), float(around.high)]}
