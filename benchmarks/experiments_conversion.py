"""How often the test of the time to conversion is wrong, in a world whose truth is known; its own variances beside it.

    python -c "from benchmarks.experiments_conversion import figures; print(figures(seed=0))"

4,000 customers, assigned over four weeks and all read on one day, or all seen for four weeks; 2 to 50 % of the control
convert in that time, some of them at once and the others at any time. Per cell the shares in percent of intervals
that leave the truth out: on both sides, wholly below it, wholly above it; and on both sides with the two arms' own
variances (Klein & Moeschberger), which is what libraries do.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.experiments.conversion import BOUND, Curve, curve, difference, horizon, restricted_mean

DAYS = 28.0
CUSTOMERS, RUNS = 4000, 2000
TREATED, RATES, LIFTS = (0.5, 0.95, 0.05), (0.02, 0.05, 0.1, 0.5), (0.0, 0.3)
AT_ONCE = ((0.0, 0.0), (0.2, 0.5))  # of the conversions, in control and treated
SEEN = (0.0, DAYS)  # at least, in days; at most four weeks


@dataclass(frozen=True)
class World:
    """What is true: the control's conversions in four weeks, the lift of their number, and who converts at once."""

    treated: float
    rate: float
    lift: float
    at_once: tuple[float, float]
    seen: float = 0.0

    def logged(self, customers: int, rng: np.random.Generator) -> list[Curve]:
        """The curves of treated and control."""
        arm = (rng.random(customers) < self.treated).astype(int)
        converts = rng.random(customers) < self.rate * (1 + self.lift * arm)
        times = np.where(rng.random(customers) < np.array(self.at_once)[arm], 0.0, rng.random(customers) * DAYS)
        times = np.where(converts, times, 2 * DAYS)
        seen = self.seen + rng.random(customers) * (DAYS - self.seen)
        until, converted = np.minimum(times, seen), times <= seen
        return [curve(until[arm == each], converted[arm == each]) for each in (1, 0)]

    def truth(self, tau: float) -> float:
        """Who converts at once saves tau days, who does at any time what is then left of tau."""
        saved = [at_once * tau + (1 - at_once) * tau**2 / (2 * DAYS) for at_once in self.at_once]
        return self.rate * (saved[0] - (1 + self.lift) * saved[1])


def missed(world: World, runs: int, seed: int) -> dict[str, float]:
    """In percent of the runs; seeds are 0..runs-1 beside the given one."""
    counts = np.zeros(3)
    for run in range(runs):
        arms = world.logged(CUSTOMERS, np.random.default_rng([seed, run]))
        tau = horizon(arms)
        found, true = difference(*arms, tau), world.truth(tau)
        own = math.sqrt(sum(restricted_mean(arm, tau).variance for arm in arms))
        counts += [found.upper < true, found.lower > true, abs(found.estimate - true) > BOUND * own]
    below, above, plain = (100 * counts / runs).round(2).tolist()
    return {"both": round(below + above, 2), "below": below, "above": above, "own_variances": plain}


def figures(seed: int, runs: int = RUNS) -> dict[str, Any]:
    """Per cell what is missed."""
    found = {}
    for cell in itertools.product(TREATED, RATES, LIFTS, AT_ONCE, SEEN):
        found[repr(World(*cell))] = missed(World(*cell), runs, seed)
        print(cell, found[repr(World(*cell))], file=sys.stderr, flush=True)
    return found
