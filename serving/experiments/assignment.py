"""Assignment: who is in an experiment, and in which of its arms: hashes and days, the same answer in Python and in SQL.

    days -> the global holdout -> the layer -> (the audience) -> the arm, by the hash of the experiment's salt
      | not yet, over   | held out     | elsewhere    | does not hold
      +-----------------+--------------+--------------+----------> the control's experience, and no exposure

Python, SQL and HTTP agree because all compare the same 52 bits with the same whole numbers (`Stretch`).

>>> from serving.experiments.definitions import Experiment
>>> test = Experiment(key="welcome-test", arms={"control": 0.9, "treatment": 0.1})
>>> arm_of(test, "customer-1"), outside(test, "customer-1")
('control', None)
>>> outside(test, "customer-21", holdout=0.05)
'one of the global holdout'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from features import holdout as global_holdout
from features.assignment import BITS, arm, bucket
from features.holdout import held_out
from serving.experiments.definitions import Experiment, Layer

HELD_OUT = "one of the global holdout"
WHOLE = 2**BITS


@dataclass(frozen=True)
class Stretch:
    """The buckets from `start` up to and without `end`, in steps of 2^-52: whole numbers, which every language has."""

    start: int
    end: int
    name: str = ""

    @classmethod
    def between(cls, start: float, end: float, name: str = "") -> Stretch:
        """Exact: a bucket is a whole number of steps, and 2^52 times a double is one again."""
        return cls(math.ceil(start * WHOLE), math.ceil(end * WHOLE), name)


def arm_of(experiment: Experiment, customer: str) -> str:
    """The arm that the hash gives the customer, whether in the experiment or not."""
    drawn = arm(experiment.salted, customer, experiment.arms)
    assert drawn is not None  # noqa: S101  # the shares sum to 1: `Experiment` checks it
    return drawn


def outside(experiment: Experiment, customer: str, holdout: float = 0.0) -> str | None:
    """Why the customer's hashes keep them out of the experiment; None: they do not.

    `holdout`: the share of the global holdout.
    """
    if held_out(customer, holdout):
        return HELD_OUT
    layer = experiment.layer
    if layer is not None and not layer.start <= bucket(salt_of(layer), customer) < layer.end:
        return f"in another part of the layer {layer.name!r}"
    return None


def over(experiment: Experiment, now: datetime, timezone: str) -> str | None:
    """That the experiment has not started or has ended by the days of this zone; None while it runs."""
    if experiment.start is None and experiment.end is None:
        return None
    today = now.astimezone(ZoneInfo(timezone)).date()
    if experiment.start is not None and today < experiment.start:
        return f"it starts on {experiment.start}"
    return f"it ended on {experiment.end}" if today > (experiment.end or date.max) else None


def salt_of(layer: Layer) -> str:
    """Of the hash that says where in the layer a customer is."""
    return f"layer:{layer.name}"


def stretches(experiment: Experiment) -> Iterator[Stretch]:
    """The arms in their order, as `features.assignment.arm` lays them out; none of an arm without a share."""
    edge, start = 0.0, 0
    for name, share in experiment.arms.items():
        edge += share
        if share > 0:
            end = WHOLE if edge > 1 - 1e-9 else Stretch.between(0, edge).end
            yield Stretch(start, end, name)
            start = end


def arm_sql(experiment: Experiment, dialect: str, customer: str = "customer", holdout: float = 0.0) -> str:
    """The expression that is the customer's arm, NULL where their hashes keep them out; `dialect`: duckdb, postgresql.

    `customer`: the column, as SQL, of text and never NULL. Days and audience are the caller's `WHERE`.
    """
    if dialect not in BUCKETS:
        raise ValueError(f"dialect == {dialect!r:.80}, must be one of {', '.join(BUCKETS)}")
    place, layer = BUCKETS[dialect], experiment.layer
    out = []
    if holdout > 0:
        out.append(f"{place(global_holdout.SALT, customer)} < {Stretch.between(0, holdout).end}")
    if layer is not None:
        own, mine = place(salt_of(layer), customer), Stretch.between(layer.start, layer.end)
        out.append(f"NOT {own} BETWEEN {mine.start} AND {mine.end - 1}")
    whens = [f"WHEN {one} THEN NULL" for one in out]
    drawn = place(experiment.salted, customer)
    whens += [f"WHEN {drawn} < {one.end} THEN {_quoted(one.name)}" for one in stretches(experiment)]
    return "CASE\n  " + "\n  ".join(whens) + "\nEND"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _duckdb(salt: str, customer: str) -> str:
    return f"('0x' || substr(sha256({_quoted(salt + ':')} || {customer}), 1, 13))::BIGINT"


def _postgresql(salt: str, customer: str) -> str:
    digest = f"encode(sha256(convert_to({_quoted(salt + ':')} || {customer}, 'UTF8')), 'hex')"
    return f"('x000' || substr({digest}, 1, 13))::bit(64)::bigint"


BUCKETS: dict[str, Callable[[str, str], str]] = {"duckdb": _duckdb, "postgresql": _postgresql}  # 52 bits, as a number
