"""Values: what every exposed customer did, as one row of numbers per customer; then, per cell, their moments.

    events x exposures ---> customer  arm  m0  m0d m0b0 m1 ...  ---> {(arm,): {metric: Moments}}
                            numerator in the window, denominator, the customer's own past (CUPED)

Only customers whose window of a metric has closed count for it. A value that nobody's events make is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.events import utc
from serving.experiments.metrics import Metric
from serving.experiments.moments import Moments
from serving.experiments.orders import history, orders
from serving.experiments.sums import DAY, events_of, interval, is_of, summed

if TYPE_CHECKING:
    import ibis.expr.types as ir

PEOPLE = pa.schema({"customer": pa.string(), "arm": pa.string(), "first": pa.timestamp("us")}.items())
MEANS = ("mean", "ratio")  # the kinds whose tests need no more than moments
ASKED = ("name", "time", "machine", "quantity", "price", "message_id", "order_id", "campaign", "channel", "item")
DIGITS = 6  # after the point: of money, and of days
AHEAD = 2  # windows that are forecast after the one that was seen
Cell = tuple[Any, ...]
Waits = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]  # days, whether it happened, customers


@dataclass(frozen=True)
class Columns:
    """The columns of a metric in the table of values, the numerator first."""

    metric: Metric
    value: str
    window: timedelta

    @property
    def names(self) -> list[str]:
        """Numerator, denominator of a ratio or cost of a return, the customer's own past."""
        found = [self.value]
        found += [f"{self.value}d"] if self.metric.denominator is not None or self.metric.kind == "return" else []
        return found + self.past + self.purchases

    @property
    def past(self) -> list[str]:
        """Of the customer's own past, as `Metric.past` says."""
        return [f"{self.value}b{place}" for place in range(len(self.metric.past))]

    @property
    def horizon(self) -> int:
        """Of a value, the days after the window that are forecast."""
        return self.metric.horizon_days or AHEAD * self.window.days

    @property
    def purchases(self) -> list[str]:
        """Of a value: orders kept in the window, days until the last, their money. Of who lapsed: orders kept after the
        customer's first ever, days from it to the last, days from it until the window closes.
        """
        parts = {"value": "nls", "alive": "nlg", "lapsed": "nlg"}
        return [f"{self.value}{part}" for part in parts.get(self.metric.kind, "")]


def columns(metrics: Sequence[Metric], window_days: int) -> list[Columns]:
    """Where each metric stands; `window_days` of those that name no window of their own."""
    return [
        Columns(one, f"m{place}", timedelta(days=one.window_days or window_days)) for place, one in enumerate(metrics)
    ]


def values(rows: ir.Table, people: ir.Table, wanted: Sequence[Columns]) -> ir.Table:
    """`people` (customer, arm, first, and what else is known of them) with the columns of these metrics.

    `rows` are the events as far as they may be known. Of a metric of time: days until it happened,
    null where it did not.
    """
    whole = joined(rows, people.select("customer", "first"), wanted)
    done = whole.filter(
        whole.time >= whole["first"] - interval(timedelta(days=max(one.metric.before_days for one in wanted))),
        whole.time < whole["first"] + interval(max(one.window for one in wanted)),
    )
    made: dict[str, Any] = {}
    for one in wanted:
        after = (done.time >= done["first"]) & (done.time < done["first"] + interval(one.window))
        if one.metric.kind == "time":
            happened = done.time.min(where=after & is_of(done, one.metric.numerator))
            made[one.value] = (happened.epoch_seconds() - done["first"].min().epoch_seconds()) / DAY
            continue
        made[one.value] = summed(done, one.metric.numerator, after)
        if one.metric.denominator is not None:
            made[f"{one.value}d"] = summed(done, one.metric.denominator, after)
        since = done["first"] - interval(timedelta(days=one.metric.before_days))
        for name, measure in zip(one.past, one.metric.past, strict=True):
            made[name] = summed(done, measure, (done.time < done["first"]) & (done.time >= since))
    sums = done.group_by("customer").aggregate(**made)
    found = people.left_join(sums, "customer").drop("customer_right")
    known: dict[tuple[bool, str, timedelta], Columns] = {}
    for one in [one for one in wanted if one.purchases]:
        value = one.metric.kind == "value"
        first = known.setdefault((value, one.metric.numerator.model_dump_json(), one.window), one)
        if first is one:
            bought = orders(done, one) if value else history(whole, one)
            found = found.left_join(bought, "customer").drop("customer_right")
        else:  # who is alive and who has lapsed is told by the same orders
            found = found.mutate(**{own: found[same] for own, same in zip(one.purchases, first.purchases, strict=True)})
    filled = [name for one in wanted if one.metric.kind != "time" for name in one.names]
    return found.mutate(**{name: found[name].fill_null(0.0) for name in filled})


def joined(rows: ir.Table, people: ir.Table, wanted: Sequence[Columns]) -> ir.Table:
    """The events that these metrics ask for, each beside what is known of the customer who did it."""
    names = sorted({name for one in wanted for name in events_of(one.metric)})
    done = rows.filter(rows.name.isin(names)).mutate(customer=rows.customer.coalesce(rows.anonymous))
    return done.select("customer", *ASKED).inner_join(people, "customer")


def capped(table: ir.Table, wanted: Sequence[Columns]) -> ir.Table:
    """Values above the metric's quantile of those that are not 0 count as it, in every arm alike."""
    asked = [one for one in wanted if one.metric.cap is not None]
    if not asked:
        return table
    limits = table.aggregate(
        **{  # an order that was given back leaves nothing, or the last digit of a sum
            name: table[name].quantile(one.metric.cap, where=table[name].round(DIGITS) != 0)
            for one in asked
            for name in one.names
        }
    )
    (found,) = limits.to_pyarrow().to_pylist()
    most = {name: limit for name, limit in found.items() if limit is not None and np.isfinite(limit)}
    return table.mutate(**{name: table[name].clip(upper=limit) for name, limit in most.items()})


def cells(
    table: ir.Table, wanted: Sequence[Columns], as_of: datetime, by: Sequence[str] = ("arm",)
) -> dict[Cell, dict[str, Moments]]:
    """Per cell, and metric that needs no more, the moments of the customers whose window has closed."""
    asked: dict[str, Any] = {}
    told = [one for one in wanted if one.metric.kind in (*MEANS, "return")]
    for one in told:
        over = closed(table, one, as_of)
        asked[f"{one.value}_n"] = over.sum()
        for left, name in enumerate(one.names):
            asked[f"{name}_mean"] = table[name].mean(where=over)
            for other in one.names[left:]:
                asked[f"{name}_{other}"] = table[name].cov(table[other], where=over, how="sample")
    found = table.group_by(list(by)).aggregate(**asked).to_pyarrow().to_pylist()
    return {tuple(row[name] for name in by): {one.metric.key: _moments(row, one) for one in told} for row in found}


def closed(table: ir.Table, one: Columns, as_of: datetime) -> ir.BooleanValue:
    """Whether a customer's window of the metric has closed."""
    return table["first"] + interval(one.window) <= utc(as_of)


def waits(table: ir.Table, one: Columns, as_of: datetime, by: Sequence[str] = ("arm",)) -> dict[Cell, Waits]:
    """Per cell, of a metric of time: days until it happened or were seen, whether it did, and how many customers so."""
    import ibis

    until = ibis.least(
        (ibis.literal(utc(as_of)).epoch_seconds() - table["first"].epoch_seconds()) / DAY, float(one.window.days)
    )
    rows = table.filter(table["first"] <= utc(as_of)).select(
        *by, wait=table[one.value].coalesce(until), happened=table[one.value].notnull()
    )
    counted = rows.group_by([*by, "wait", "happened"]).aggregate(people=rows.count()).to_pyarrow()
    wait, happened, people = (counted[name].to_numpy() for name in ("wait", "happened", "people"))
    return {cell: (wait[own], happened[own].astype(bool), people[own]) for cell, own in places(counted, by).items()}


def known_by(table: ir.Table, one: Columns, moment: datetime) -> ir.Table:
    """The values of a metric of time as they were known then: of who had come, what had happened."""
    import ibis

    came = table.filter(table["first"] < utc(moment))
    age = (ibis.literal(utc(moment)).epoch_seconds() - came["first"].epoch_seconds()) / DAY
    return came.mutate(**{one.value: (came[one.value] < age).ifelse(came[one.value], None)})


def steady(table: ir.Table, by: Sequence[str], names: Sequence[str]) -> pa.Table:
    """These columns in an order of their own, and rounded beyond what money can be.

    An engine's order differs from run to run, and so do the last digits of sums. A model whose parameters are hardly
    told apart makes these some million times as large: `attune verify` would find another number.
    """
    found = table.select(*by, **{name: table[name].round(DIGITS) for name in names})
    return found.order_by([*names, *by]).to_pyarrow()


def places(rows: pa.Table, by: Sequence[str]) -> dict[Cell, NDArray[np.intp]]:
    """Per cell its rows."""
    codes = np.zeros(rows.num_rows, np.int64)
    for name in by:
        told = rows[name].combine_chunks().dictionary_encode()
        codes = codes * len(told.dictionary) + told.indices.to_numpy()
    found = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    return {tuple(rows[name][int(own[0])].as_py() for name in by): own for own in found}


def _moments(row: Mapping[str, Any], one: Columns) -> Moments:
    size = len(one.names)
    covariance = np.zeros((size, size))
    for left, name in enumerate(one.names):
        for right, other in enumerate(one.names[left:], left):
            covariance[left, right] = covariance[right, left] = _number(row[f"{name}_{other}"])
    return Moments(
        int(row[f"{one.value}_n"] or 0), np.array([_number(row[f"{name}_mean"]) for name in one.names]), covariance
    )


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)
