"""Values by hand. All were exposed at noon of day 0; what they did is told in days from then."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest

from features.events import CLICKED, DELIVERED, OPENED, ORDERED, REFUNDED, SCHEMA, Event, Events
from serving.experiments.metrics import Measure, Metric
from serving.experiments.values import PEOPLE, capped, cells, columns, values

START = datetime(2026, 1, 1, 12)  # UTC without a zone, as the tables keep it
LATER = START + timedelta(days=60)


def event(name: str, customer: str, day: float, **more: object) -> Event:
    time = START + timedelta(days=day)
    return Event("test", f"{name}-{customer}-{day}-{more}", name, time, time, customer=customer, **more)


def people(**arms: str) -> ibis.Table:
    rows = [{"customer": who, "arm": arm, "first": START} for who, arm in arms.items()]
    return ibis.memtable(pa.Table.from_pylist(rows, schema=PEOPLE))


def metric(numerator: dict[str, object], **more: object) -> Metric:
    return Metric(key="it", name="It", numerator=Measure(**numerator), **more)


def made(log: list[Event], measured: Metric, *names: str) -> dict[str, list[float]]:
    """The metric's columns, by customer."""
    table = pa.Table.from_pylist([one.row() for one in log], schema=SCHEMA)
    wanted = columns([measured], 14)
    found = values(Events.of(table).before(LATER), people(**dict.fromkeys(names, "a")), wanted).to_pyarrow()
    rows = [found[name].to_pylist() for name in wanted[0].names]
    return dict(zip(found["customer"].to_pylist(), map(list, zip(*rows, strict=True)), strict=True))


def test_the_window_begins_at_the_exposure_and_ends_before_its_last_moment() -> None:
    log = [event("Wished", "ann", day) for day in (-0.001, 0, 13.999, 14)]
    assert made(log, metric({"event": "Wished"}), "ann", "bob") == {"ann": [2], "bob": [0]}


def test_what_was_before_counts_as_long_as_it_is_asked_for() -> None:
    log = [event("Wished", "ann", day) for day in (-31, -30, -0.001, 0)]
    assert made(log, metric({"event": "Wished"}, before_days=30), "ann") == {"ann": [1, 2]}


def test_what_else_was_before_stands_beside_the_own_past() -> None:
    log = [event("Wished", "ann", 1)] + [event("Viewed", "ann", day) for day in (-31, -3, -2, 1)]
    log += [event(ORDERED, "ann", -5, quantity=2.0, price=5.0), event(ORDERED, "bob", -40, quantity=2.0, price=5.0)]
    more = ({"event": "Viewed"}, {"event": ORDERED, "sum": "money"})
    found = made(log, metric({"event": "Wished"}, before_days=30, before=more), "ann", "bob")
    assert found == {"ann": [1, 0, 2, 10], "bob": [0, 0, 0, 0]}


def test_money_of_lines_less_what_came_back_may_be_below_nothing() -> None:
    bought = {"item": "tea", "quantity": 2.0, "price": 5.0}
    log = [event(ORDERED, "ann", 1, **bought, line=0), event(ORDERED, "ann", 1, **bought, line=1)]
    log += [event(REFUNDED, who, 2, **bought) for who in ("ann", "bob")]
    money = metric({"event": ORDERED, "sum": "money", "less": REFUNDED})
    assert made(log, money, "ann", "bob") == {"ann": [10], "bob": [-10]}


def test_of_what_shares_a_mail_or_an_order_one_counts() -> None:
    log = [event(OPENED, "ann", 1, campaign="may"), event(OPENED, "ann", 2, campaign="may")]
    log += [event(OPENED, "ann", 3, campaign="june"), event(OPENED, "ann", 4)]
    assert made(log, metric({"event": OPENED, "distinct": "campaign"}), "ann") == {"ann": [3]}
    orders = [event(ORDERED, who, 1 + n, order_id=f"o{n}", line=line) for who, n, line in (
        ("ann", 0, 0), ("ann", 0, 1), ("bob", 0, 0), ("bob", 1, 0))]  # fmt: skip
    repeated = metric({"event": ORDERED, "distinct": "order_id", "at_least": 2})
    assert made(orders, repeated, "ann", "bob") == {"ann": [0], "bob": [1]}


def test_machines_count_only_where_they_are_asked_for() -> None:
    log = [event(OPENED, "ann", 1, machine=True), event(OPENED, "ann", 2)]
    assert made(log, metric({"event": OPENED}), "ann") == {"ann": [1]}
    assert made(log, metric({"event": OPENED, "machines": True}), "ann") == {"ann": [2]}


def test_a_filter_holds_for_numerator_and_denominator_alone() -> None:
    mail = {"channel": "email"}
    log = [event(DELIVERED, "ann", 1, **mail), event(CLICKED, "ann", 2, **mail), event(CLICKED, "ann", 2)]
    rate = metric({"event": CLICKED, "where": mail}, kind="ratio", denominator=Measure(event=DELIVERED))
    assert made(log, rate, "ann", "bob") == {"ann": [1, 1], "bob": [0, 0]}


def test_a_time_is_in_days_and_unknown_where_it_did_not_come() -> None:
    log = [event(ORDERED, "ann", -1), event(ORDERED, "ann", 3.5), event(ORDERED, "ann", 5), event(ORDERED, "bob", 20)]
    found = made(log, metric({"event": ORDERED, "sum": "any"}, kind="time", better="lower"), "ann", "bob")
    assert found == {"ann": [3.5], "bob": [None]}


def test_only_closed_windows_count_and_large_values_as_the_quantile_of_those_that_are_not_nothing() -> None:
    """100 customers of each arm spend 1 to 100, 900 nothing; those of `b` were exposed too late to count."""
    spent = np.r_[np.arange(1.0, 101.0), np.zeros(900)]
    rows = {"customer": [f"{arm}{n}" for arm in "ab" for n in range(1000)], "arm": ["a"] * 1000 + ["b"] * 1000}
    first = [START] * 1000 + [START + timedelta(days=50)] * 1000
    table = pa.table({**rows, "first": pa.array(first, pa.timestamp("us")), "m0": np.tile(spent, 2)})
    wanted = columns([metric({"event": ORDERED, "sum": "money"}, cap=0.9)], 14)
    found = cells(capped(ibis.memtable(table), wanted), wanted, LATER)
    limit = np.quantile(np.tile(spent[:100], 2), 0.9)
    kept = np.minimum(spent, limit)
    assert found["a",]["it"].count == 1000
    assert found["b",]["it"].count == 0
    assert found["a",]["it"].mean[0] == pytest.approx(kept.mean())
    assert found["a",]["it"].covariance[0, 0] == pytest.approx(kept.var(ddof=1))


def test_what_is_left_of_money_by_rounding_moves_no_cap() -> None:
    """The engine adds in another order from run to run: 0.1 + 0.2 - 0.3 is 0, or 5.6e-17."""
    wanted = columns([metric({"event": ORDERED, "sum": "money"}, cap=0.9)], 14)

    def mean(rest: float) -> float:
        spent = [*map(float, range(1, 101)), *[rest] * 9]
        rows = [{"customer": str(n), "arm": "a", "first": START, "m0": one} for n, one in enumerate(spent)]
        table = ibis.memtable(pa.Table.from_pylist(rows))
        return float(cells(capped(table, wanted), wanted, LATER)["a",]["it"].mean[0])

    assert mean(0.1 + 0.2 - 0.3) == pytest.approx(mean(0.0), abs=1e-12)
