"""Whether a policy's value is what it is said to be, in a world whose truth is known; and Qini's interval on 1M rows.

    python -m benchmarks policy-value [--seed N]

4,000 logs of 500 customers, and 800 of 2,000, with two rows each: three arms, given with probabilities that follow the
features, a liking of each customer that nobody sees, outcome models that are linear where the truth is not. Greedy by
effects and outcome models of the other folds, valued by `doubly_robust`; the truth is the mean of what it then chooses
over 16,384 customers that fill the space evenly (Sobol 1967). `coverage_difference` is to the rule in force.

`coverage_policy_value`: how often the 95 % interval holds the truth; target: its 99 % binomial interval overlaps 93 to
97 %. `training_rows_excess`: by how much a model that is asked about its own training rows exceeds its true gain.
`qini_1m_s`: wall seconds of Qini with its interval on 1M rows; target below 2. The bootstrap's 500 draws beside it are
five draws times 100.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.intervals import Influenced
from training.metrics.policy_value import Logged, direct, doubly_robust, in_force, ips, snips
from training.metrics.qini_error import qini_estimate
from training.metrics.uplift import Ranking, Trial, area
from training.pipelines.policy import greedy
from training.uplift.bases import fit_linear

LOGS, CUSTOMERS = (4000, 800), (500, 2000)  # many small logs, and some larger ones
REPEATS, FEATURES, FOLDS = 2, 4, 5
VALUE, COST = 20.0, np.array([0.0, 0.3, 0.8])  # money of an outcome; of a contact, no offer first
ROWS, DRAWS = 1_000_000, 500
PER = 1000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """Features and a liking that nobody sees, per row."""

    X: Array
    liking: Array

    @classmethod
    def drawn(cls, customers: int, repeats: int, rng: np.random.Generator) -> People:
        """Rows of one customer share most of their features and the liking."""
        base = np.repeat(rng.normal(size=(customers, FEATURES)), repeats, axis=0)
        X = 0.9 * base + np.sqrt(1 - 0.9**2) * rng.normal(size=base.shape)
        return cls(X, np.repeat(rng.normal(size=customers), repeats))

    @classmethod
    def even(cls, seed: int) -> People:
        """2^14 customers whose mean is nearly that of all there could be."""
        normal = stats.norm.ppf(stats.qmc.Sobol(FEATURES + 1, rng=seed).random_base2(14))
        return cls(normal[:, :FEATURES], normal[:, FEATURES])

    @cached_property
    def chance(self) -> Array:
        """Rows x arms: the probability of an outcome."""
        X = self.X
        effect = np.column_stack([np.zeros(len(X)), 0.9 * (X[:, 1] > 0) - 0.1, 0.6 * X[:, 2] + 0.2])
        result: Array = 1 / (1 + np.exp(1.5 - (0.7 * X[:, 0] + 0.8 * self.liking)[:, None] - effect))
        return result

    @cached_property
    def money(self) -> Array:
        """Rows x arms: what each arm earns on average."""
        return VALUE * self.chance - COST

    @cached_property
    def logging(self) -> Array:
        """Rows x arms: the probability of being given each, at least 0.1."""
        raised = np.exp(np.column_stack([np.zeros(len(self.X)), self.X[:, 0], self.X[:, 1]]))
        return 0.1 + 0.7 * raised / raised.sum(axis=1, keepdims=True)


def figures(seed: int) -> dict[str, Any]:
    """Coverage and bias over all logs, and the seconds of Qini."""
    small, large = (covered(seed, *size) for size in zip(LOGS, CUSTOMERS, strict=True))
    seconds, drawn = qini_seconds(seed)
    return {
        "coverage_policy_value": small["doubly_robust"]["share"],
        "coverage_policy_value_interval": small["doubly_robust"]["interval"],
        "coverage_policy_value_2000_customers": large["doubly_robust"]["share"],
        "coverage_difference": small["difference"]["share"],
        "coverage_difference_2000_customers": large["difference"]["share"],
        "bias_per_1000": small["doubly_robust"]["bias_per_1000"],
        "training_rows_bias_per_1000": small["training_rows"]["bias_per_1000"],
        "training_rows_excess": small["training_rows"]["excess"],
        "qini_1m_s": seconds,
        "comparators": {"small_logs": small, "large_logs": large, "qini_bootstrap_500_s": drawn},
    }


def covered(seed: int, logs: int, customers: int) -> dict[str, dict[str, Any]]:
    """Per estimate its coverage and bias in logs of this size; of the training rows what their own word exceeds."""
    population = People.even(seed)
    told = [one_log(population, customers, np.random.default_rng([seed, number])) for number in range(logs)]
    found = {name: np.array([one[name] for one in told]) for name in told[0]}
    said, true = found.pop("training_rows").mean(axis=0).tolist()
    own = {"bias_per_1000": PER * (said - true), "excess": said / true - 1}
    print(f"{logs:,} logs of {customers:,} customers", file=sys.stderr)
    return {name: coverage(values) for name, values in found.items()} | {"training_rows": own}


def one_log(population: People, customers: int, rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """Per estimate its two ends, its value and the truth; of the training rows the gain said and the true one."""
    people = People.drawn(customers, REPEATS, rng)
    shares, rows = people.logging, np.arange(customers * REPEATS)
    arm = (rng.random(len(rows))[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    money = VALUE * (rng.random(len(rows)) < people.chance[rows, arm]) - COST[arm]
    customer = rows // REPEATS
    fold = rng.permutation(np.arange(customers) % FOLDS)[customer]
    target, expected, truth = np.empty_like(shares), np.empty_like(shares), np.empty(FOLDS)
    for number in range(FOLDS):
        here = fold == number
        models = [fit_money(people.X, money, ~here & (arm == one)) for one in range(len(COST))]
        expected[here] = asked(models, people.X[here])
        target[here] = best(expected[here])
        truth[number] = earned(population, best(asked(models, population.X)))
    logged = Logged(arm, shares[rows, arm], money, customer, np.ones(len(rows)), expected)
    value = float(truth.mean())
    ours = doubly_robust(logged, target)
    rule = float((population.logging * population.money).sum(axis=1).mean())
    every = {"ips": ips, "snips": snips, "direct": direct}
    return {
        "doubly_robust": ends(ours, value),
        "difference": ends(ours - in_force(logged), value - rule),
        **{name: ends(estimate(logged, target), value) for name, estimate in every.items()},
        "training_rows": own_word(people, arm, money, population),
    }


def own_word(people: People, arm: NDArray[np.intp], money: Array, population: People) -> tuple[float, float]:
    """The gain over nobody that a model says of the rows it learned from, and its true gain."""
    models = [fit_money(people.X, money, arm == one) for one in range(len(COST))]
    said, chosen = asked(models, people.X), best(asked(models, population.X))
    return float((said.max(axis=1) - said[:, 0]).mean()), earned(population, chosen) - population.money[:, 0].mean()


def fit_money(X: Array, money: Array, rows: NDArray[np.bool_]) -> Any:
    """A linear model of the money of these rows."""
    return fit_linear(X[rows], money[rows], np.ones(int(rows.sum())), family="amount")


def asked(models: list[Any], X: Array) -> Array:
    """Rows x arms: the money that the models expect."""
    return np.column_stack([model.predict(X) for model in models])


def best(expected: Array) -> Array:
    """Greedy by what is expected beyond no offer; costs are in it already."""
    return greedy(expected[:, 1:] - expected[:, :1], np.ones(2), np.zeros(2))


def earned(population: People, target: Array) -> float:
    """The mean of what these choices earn, known exactly."""
    return float((target * population.money).sum(axis=1).mean())


def ends(found: Influenced, truth: float) -> tuple[float, ...]:
    """Lower and upper end, the value, the truth."""
    return found.interval.lower, found.interval.upper, found.value, truth


def coverage(found: Array) -> dict[str, Any]:
    """How often the truth was inside, its 99 % binomial interval (Clopper and Pearson 1934), and the mean error."""
    lower, upper, value, truth = found.T
    inside = int(((lower <= truth) & (truth <= upper)).sum())
    around = stats.binomtest(inside, len(found)).proportion_ci(0.99)
    return {
        "share": inside / len(found),
        "interval": [float(around.low), float(around.high)],
        "bias_per_1000": float(PER * (value - truth).mean()),
        "width_per_1000": float(PER * (upper - lower).mean()),
    }


def qini_seconds(seed: int) -> tuple[float, float]:
    """Wall seconds of Qini with its interval on 1M rows, and of 500 bootstrap draws."""
    rng = np.random.default_rng(seed)
    prediction, treated = rng.normal(size=ROWS), rng.random(ROWS) < 0.5
    outcome = (rng.random(ROWS) < 0.1 + 0.02 * treated * (prediction > 0)).astype(np.float64)
    trial, unit = Trial(outcome, treated, np.ones(ROWS)), np.arange(ROWS)
    started = time.perf_counter()
    around = qini_estimate(Ranking(prediction, trial), unit).interval
    seconds = time.perf_counter() - started
    print(f"Qini on {ROWS:,} rows: {around}", file=sys.stderr)
    ranking, started = Ranking(prediction, trial), time.perf_counter()
    for _ in range(DRAWS // 100):
        area(ranking.curve(rng.poisson(1.0, ROWS)[unit].astype(np.float64)))
    return seconds, (time.perf_counter() - started) * 100
