"""What choosing by predicted effects earns in worlds whose true effects are known: selector, candidates and peers.

    python -m benchmarks uplift-simulated [--seed N]

Six worlds (`uplift_worlds.py`), 20 replications of 10,000 customers each (20,000 where outcomes are rare). Everyone
learns from the same customers and chooses among 10,000 others; what is earned is of the true effects. Every difference
is paired over replications, its interval is Student's.

`worlds_within_regret`: in how many the best single candidate, found afterwards, earns at most 5 % of the oracle's value
more than the selector, or not distinguishably more; target 6. `worlds_above_forests`, `worlds_below_forests`: in how
many the selector earns more than both forests, and less than one of them, beyond the interval; targets 4 and 0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.peers import FORESTS, PEERS, Peers, Question, peers
from benchmarks.uplift_worlds import WORLDS, Array, Log, World, drawn
from training.intervals import Interval
from training.uplift import CANDIDATES
from training.uplift.out_of_fold import of_a_kind, out_of_fold, together
from training.uplift.rows import FOLDS
from training.uplift.selector import Selector

CUSTOMERS, FRESH, REPLICATIONS = 10_000, 10_000, 20
ORACLE, EVERYBODY, SELECTOR = "oracle", "everybody", "selector"
REGRET = 0.05  # of the oracle's value
Told = list[dict[str, float]]  # per replication what each earns


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue; what everyone earns in each world under `comparators`."""
    told: dict[str, Told] = {name: [] for name in WORLDS}
    versions: dict[str, str] = {}
    with peers() as there:
        for number in range(REPLICATIONS):
            for place, (name, world) in enumerate(WORLDS.items()):
                rng = np.random.default_rng([seed, place, number])
                told[name].append(replication(world, rng, there, number))
                print(json.dumps({"world": name, "replication": number, "earned": told[name][-1]}), file=sys.stderr)
        versions = there.versions if there else {}
    worlds = {name: compared(rows) for name, rows in told.items()}
    return counted(worlds) | {"comparators": {"versions": versions, "worlds": worlds}}


def replication(world: World, rng: np.random.Generator, there: Peers | None, seed: int) -> dict[str, float]:
    """What each earns among customers that nobody has seen."""
    log, fresh = drawn(world, CUSTOMERS * world.customers, rng), drawn(world, FRESH, rng)
    predicted = {ORACLE: fresh.effect, EVERYBODY: np.full(FRESH, np.inf)} | ours(log, fresh, seed)
    if there:
        predicted |= theirs(log, fresh, there, seed)
    return {name: world.earned(fresh.effect, values) for name, values in predicted.items()}


def ours(log: Log, fresh: Log, seed: int) -> dict[str, Array]:
    """The effects by the selector and by each candidate, learned from the log."""
    table, exposures, asked = log.table, log.exposures, fresh.table
    found = out_of_fold(tuple(CANDIDATES), table, exposures, log.outcome, folds=FOLDS, seed=seed)
    models: dict[str, Any] = {SELECTOR: Selector(seed).learn(found, table, exposures)}
    for group in of_a_kind(tuple(found.prediction)):
        models |= together(group, table, exposures, log.outcome, seed)
    return {name: model.effect(asked).effect[:, 0] for name, model in models.items()}


def theirs(log: Log, fresh: Log, there: Peers, seed: int) -> dict[str, Array]:
    """The same by the peers."""
    names = ("X", "treated", "outcome", "probability")
    rows = [np.concatenate([getattr(log, name), getattr(fresh, name)]) for name in names]
    fold = np.repeat([-1, 0], [len(log.outcome), len(fresh.outcome)])
    answer = there.ask(Question(*rows, fold, seed))
    return {name: effects[fold == 0] for name, effects in answer.effects.items()}


def compared(told: Told) -> dict[str, Any]:
    """Of one world: the means, the regret against the best candidate and the differences to each peer."""
    mean = {name: float(np.mean([one[name] for one in told])) for name in told[0]}
    best = max((name for name in CANDIDATES if name in mean), key=mean.__getitem__)
    against = {name: paired(told, SELECTOR, name) for name in PEERS if name in mean}
    regret = paired(told, best, SELECTOR)
    return {
        "earned": mean,
        "share_of_oracle": mean[SELECTOR] / mean[ORACLE],
        "best_candidate": best,
        "regret_share": regret.estimate / mean[ORACLE],
        "regret": asdict(regret),
        "against": {name: asdict(difference) for name, difference in against.items()},
    }


def paired(told: Told, one: str, other: str) -> Interval:
    """What one earns more than the other, and its interval over replications."""
    return mean_over([row[one] - row[other] for row in told])


def mean_over(values: Sequence[float]) -> Interval:
    """The mean over replications and its 95 % interval, Student's; unbounded of one."""
    mean, error = float(np.mean(values)), float(stats.sem(values)) if len(values) > 1 else float("inf")
    reach = float(stats.t.ppf(0.975, max(len(values) - 1, 1))) * error
    return Interval(mean, mean - reach, mean + reach)


def counted(worlds: dict[str, dict[str, Any]]) -> dict[str, int | None]:
    """In how many worlds each thing holds; None without the peers."""
    within = [one["regret_share"] <= REGRET or one["regret"]["lower"] <= 0 for one in worlds.values()]
    against = [[one["against"][name] for name in FORESTS if name in one["against"]] for one in worlds.values()]
    asked = all(against)
    return {
        "worlds_within_regret": sum(within),
        "worlds_above_forests": sum(all(one["lower"] > 0 for one in pair) for pair in against) if asked else None,
        "worlds_below_forests": sum(any(one["upper"] < 0 for one in pair) for pair in against) if asked else None,
    }
