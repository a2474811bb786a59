"""Worth: what a customer of each arm brought in the window and is expected to bring after it, as a test.

The clock of each customer starts at the first exposure and stops when the window closes, so that all have been seen
for as long. Of each pair of arm and control the logarithm of their values' ratio is tested (normal), so that
difference, interval, p-value and lift agree: docs/experiments.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import stats

from serving.experiments.analysis import Told, Z
from serving.experiments.fitting import MIN_REPEATERS
from serving.experiments.lifetime import Values, value_by_arm
from serving.experiments.purchases import Array, Purchases
from serving.experiments.values import Cell, Columns, closed, places, steady

if TYPE_CHECKING:
    import ibis.expr.types as ir


FARTHEST = 4  # windows of forecast: farther, intervals are too short (of 13 windows they hold the truth in 84 %)


@dataclass(frozen=True)
class Bought:
    """What each customer of an arm did in the window: its money less refunds; the orders kept, the day of the last and
    their money. One row per customer whose window has closed.
    """

    realised: Array
    orders: Array
    last: Array
    money: Array

    @property
    def columns(self) -> tuple[Array, Array, Array, Array]:
        """All four."""
        return self.realised, self.orders, self.last, self.money


@dataclass(frozen=True)
class Worth:
    """Per arm the customers and what they brought on average; `values` of the arms in `places`, of the others why not.

    Money per customer; `days` of the forecast.
    """

    customers: Mapping[str, int]
    realised: Mapping[str, float]
    places: Mapping[str, int]
    values: Values | None
    untold: Mapping[str, str]
    days: int

    @classmethod
    def of(cls, arms: Mapping[str, Bought], age: int, days: int) -> Self:
        """From what the customers of each arm did in the first `age` days; nothing is raised where it is too little."""
        counts = {arm: len(bought.realised) for arm, bought in arms.items()}
        means = {arm: float(bought.realised.mean()) for arm, bought in arms.items() if counts[arm]}
        again = {arm: int((bought.orders > 0).sum()) for arm, bought in arms.items()}
        untold = {
            arm: f"{many} of {counts[arm]} customers of {arm!r} bought in the window; a forecast needs {MIN_REPEATERS}"
            for arm, many in again.items()
            if many < MIN_REPEATERS
        }
        places = {arm: place for place, arm in enumerate(arm for arm in arms if arm not in untold)}
        try:
            values = _fitted([arms[arm] for arm in places], age, days) if places else None
        except ValueError as error:
            values, untold = None, untold | dict.fromkeys(places, str(error))
        return cls(counts, means, places if values else {}, values, untold, days)

    def mean(self, arm: str) -> float | None:
        """Realised and forecast; None where nothing can be forecast."""
        return float(self.values.estimates[self.places[arm]]) if self.values and arm in self.places else None

    def interval(self, arm: str) -> tuple[float, float] | None:
        """Between which values that lies, with 95 %; None where nothing can be forecast."""
        if self.values is None or arm not in self.places:
            return None
        place = self.places[arm]
        level, error = math.log(self.values.estimates[place]), math.sqrt(self.values.covariance[place, place])
        return _exp(level - Z * error), _exp(level + Z * error)

    def why(self, arm: str, control: str) -> str | None:
        """Why the arm cannot be compared with the control; None where it can."""
        return self.untold.get(arm) or self.untold.get(control)

    def test(self, arm: str, control: str, bound: float | None = None) -> Told | None:
        """The arm less the control; None where either cannot be told. `bound`: errors that the interval reaches."""
        if self.values is None or not {arm, control} <= self.places.keys():
            return None
        ours, theirs = self.places[arm], self.places[control]
        more, error = self.values.difference(ours, theirs)
        ratio, spread = self.values.log_ratio(ours, theirs)
        if not (error > 0 and math.isfinite(error)):
            return None
        reach = Z if bound is None else bound
        return Told(
            difference=more,
            lower=more - reach * error,
            upper=more + reach * error,
            p_value=float(2 * stats.norm.sf(abs(more) / error)),
            lift=math.expm1(ratio),
            lift_lower=math.expm1(ratio - reach * spread) if math.isfinite(reach) else -math.inf,
            lift_upper=_exp(ratio + reach * spread) - 1,
            error=error,
        )


def worth(table: ir.Table, one: Columns, as_of: datetime) -> Worth:
    """From the table of values, of the customers whose window has closed."""
    arms = {arm: found for (arm,), found in sorted(bought(table, one, as_of).items())}
    return Worth.of(arms, one.window.days, one.horizon)


def bought(table: ir.Table, one: Columns, as_of: datetime, by: Sequence[str] = ("arm",)) -> dict[Cell, Bought]:
    """Per cell what the customers did whose window has closed."""
    rows = steady(table.filter(closed(table, one, as_of)), by, (one.value, *one.purchases))
    columns = [rows[name].to_numpy().astype(np.float64) for name in (one.value, *one.purchases)]
    return {cell: Bought(*(column[own] for column in columns)) for cell, own in places(rows, by).items()}


def _fitted(arms: list[Bought], age: int, days: int) -> Values:
    """The values of the arms, in their order."""
    if days > FARTHEST * age:
        raise ValueError(
            f"horizon_days == {days} is more than {FARTHEST} times the {age} days that customers were seen: a forecast "
            "of so long is not to be believed"
        )
    arm = np.repeat(np.arange(len(arms)), [len(bought.realised) for bought in arms])
    realised, orders, last, money = map(np.concatenate, zip(*(bought.columns for bought in arms), strict=True))
    purchases = Purchases.of(orders, last, np.full(len(arm), age), money / np.maximum(orders, 1), arm)
    return value_by_arm(purchases, realised, days)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf  # beyond this floats end
