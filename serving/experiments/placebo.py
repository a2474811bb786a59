"""Placebo: the same test on splits by chance of a time in which there was nothing to find.

     customers seen by then       their window, from here until the first exposure
    |---------------------------|--------------------------------------------------|

Whoever was seen before the window is drawn into the arms a thousand times, and what was done in the window is compared
by the very test of the report. Whatever differs is a false alarm; of a test that is true on this shop's customers,
however heavy the tail of their money, one in twenty splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.engine import held
from serving.experiments.analysis import ALPHA, Shape, apart
from serving.experiments.moments import Moments
from serving.experiments.values import MEANS, PEOPLE, Columns, capped, values

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from serving.experiments.definitions import Experiment
    from serving.experiments.gathered import Gathered

SPLITS = 1_000
MOST = 100_000  # customers who are drawn; a sample of more
FEWEST = 200  # fewer say little of how a test behaves
BLOCK = 50  # splits at once: 40 MB for 100,000 customers
Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Said = dict[str, Any]


def placebo(gathered: Gathered, splits: int = SPLITS) -> Said:
    """Per primary metric of means and ratios how many of the splits told the arms apart; or why it cannot be said."""
    told = [one for one in gathered.columns(gathered.experiment.primary, MEANS) if not one.purchases]
    if not told:
        return {"untold": "no primary metric is a mean or a ratio"}
    until = gathered.people["first"].to_numpy().min().astype("datetime64[us]").item()
    since = until - max(one.window for one in told)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"placebo:{gathered.experiment.key}".encode()).digest()))
    people = _people(gathered, since, rng)
    if people.num_rows < FEWEST:
        known = f"{people.num_rows:,} customers who count were seen before {since:%Y-%m-%d %H:%M} UTC"
        return {"untold": f"{known}, {FEWEST} are needed"}
    table = _measured(gathered.events, people, told)
    tests = {one.metric.key: Repeated.of(table, one) for one in told}
    alarms = dict.fromkeys(tests, 0)
    for control, other in _drawn(people.num_rows, gathered.experiment, splits, rng):
        for key, test in tests.items():
            alarms[key] += test.alarms(control, other)
    return {
        "splits": splits,
        "customers": people.num_rows,
        "from": since.isoformat(timespec="seconds") + "Z",
        "until": until.isoformat(timespec="seconds") + "Z",
        "metrics": {key: _rate(count, splits) for key, count in alarms.items()},
    }


def _people(gathered: Gathered, since: datetime, rng: np.random.Generator) -> pa.Table:
    """Who counts and had been seen by then, each as if exposed at that moment; in the order of their ids."""
    rows = gathered.events.filter(gathered.events.time < since, ~gathered.events.machine)
    seen = rows.select(who=rows.customer.coalesce(rows.anonymous)).distinct().to_pyarrow()["who"]
    known = np.array(sorted(set(seen.to_pylist()) & gathered.allowed), dtype=object)
    if len(known) > MOST:
        known = known[np.sort(rng.choice(len(known), MOST, replace=False))]
    columns = [known, np.full(len(known), "all", dtype=object), np.full(len(known), since, dtype="datetime64[us]")]
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, PEOPLE, strict=True)], PEOPLE)


def _measured(events: ir.Table, people: pa.Table, told: Sequence[Columns]) -> pa.Table:
    """One row of values per customer, capped as in the report."""
    import ibis

    rows = capped(held(values(events, ibis.memtable(people), told)), told)
    return rows.order_by("customer").to_pyarrow()


def _drawn(
    customers: int, experiment: Experiment, splits: int, rng: np.random.Generator
) -> Iterator[tuple[Bools, Bools]]:
    """Blocks of splits x customers: who is in the control, and who in the smallest other arm, by their shares."""
    control = experiment.arms[experiment.control]
    other = min(share for arm, share in experiment.arms.items() if arm != experiment.control and share > 0)
    for start in range(0, splits, BLOCK):
        places = rng.random((min(BLOCK, splits - start), customers), dtype=np.float32)
        yield places < control, (places >= control) & (places < control + other)


@dataclass(frozen=True)
class Repeated:
    """The test of one metric. `parts`: customers x (1, columns less their means, the products of these in pairs)."""

    shape: Shape
    middle: Array
    parts: Array

    @classmethod
    def of(cls, table: pa.Table, one: Columns) -> Self:
        matrix = np.column_stack([table[name].to_numpy().astype(np.float64) for name in one.names])
        shape = Shape.of(one.metric)
        middle = matrix.mean(axis=0)
        off = matrix - middle
        left, right = np.triu_indices(matrix.shape[1])
        return cls(shape, middle, np.column_stack([np.ones(len(matrix)), off, off[:, left] * off[:, right]]))

    def alarms(self, control: Bools, other: Bools) -> int:
        """In how many of these splits (splits x customers) the test tells the two arms apart."""
        pairs = zip(self.moments(control), self.moments(other), strict=True)
        return sum(apart(theirs, ours, self.shape) for theirs, ours in pairs)

    def moments(self, inside: Bools) -> Iterator[Moments]:
        """Of each split the moments of who is inside: one product of matrices for all of them."""
        size = len(self.middle)
        left, right = np.triu_indices(size)
        for count, *sums in inside.astype(np.float64) @ self.parts:
            mean = np.array(sums[:size]) / max(count, 1.0)
            products = np.empty((size, size))
            products[left, right] = products[right, left] = sums[size:]
            covariance = (products - count * np.outer(mean, mean)) / max(count - 1, 1.0)
            yield Moments(int(count), self.middle + mean, covariance)


def _rate(alarms: int, splits: int) -> Said:
    """The share of false alarms with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(alarms, splits).proportion_ci(1 - ALPHA, method="wilson")
    return {
        "false_alarms": alarms,
        "rate": alarms / splits,
        "lower": float(interval.low),
        "upper": float(interval.high),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The corner in words, a line per metric."""
    if "untold" in found:
        yield f"false alarms on splits of the time before cannot be told: {found['untold']}"
    for key, one in found.get("metrics", {}).items():
        interval = f"{one['lower']:.1%} to {one['upper']:.1%}"
        yield (
            f"false alarms of {key}: {one['rate']:.1%} ({interval}) of {found['splits']:,} placebo splits of "
            f"{found['customers']:,} customers in the time before; 5 % is what a true test gives"
        )


def broken(found: Mapping[str, Any]) -> Iterator[str]:
    """The metrics whose test errs more often on this shop than it says."""
    for key, one in found.get("metrics", {}).items():
        if one["lower"] > ALPHA:
            yield (
                f"the test of {key} errs on this shop's customers: {one['rate']:.1%} false alarms in "
                f"{found['splits']:,} placebo splits of the time before, where 5 % are due; a cap helps"
            )
