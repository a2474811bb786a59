"""Lifetime value in a report: purchases out of events, and what is said of arms with too few of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from benchmarks.experiments_lifetime import World
from features.consent import Basis, grant
from features.events import ORDERED, REFUNDED, SCHEMA, Event, Events
from features.history import append
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.experiments.compared import Evidence
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import VIEWED
from serving.experiments.lifetime import value_by_arm
from serving.experiments.metrics import standard
from serving.experiments.purchases import Purchases
from serving.experiments.report import build, table
from serving.experiments.values import PEOPLE, columns, values
from serving.experiments.worth import Bought, Worth

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
NOW = datetime(2026, 6, 1, tzinfo=UTC)
VALUE = standard()["lifetime-value"]
WINDOW = 91
LATER = 20  # days after the others' that half of the customers are seen


def event(name: str, customer: str, day: float, money: float | None = None, order: str | None = None) -> Event:
    time = START + timedelta(days=day)
    return Event(
        source="test",
        message_id=f"{customer}-{name}-{day}-{order}",
        name=name,
        time=time,
        received_at=time,
        customer=customer,
        quantity=None if money is None else 1.0,
        price=money,
        order_id=order,
    )


def log(events: Sequence[Event]) -> pa.Table:
    return pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA)


def test_purchases_are_the_orders_of_the_window_that_were_kept() -> None:
    happened = [
        event(ORDERED, "ann", -3, 50.0, "before"),
        event(ORDERED, "ann", 2.9, 10.0, "a1"),
        event(ORDERED, "ann", 2.95, 5.0, "a1"),  # two lines of one order
        event(ORDERED, "ann", 9.5, 30.0, "a2"),
        event(REFUNDED, "ann", 11, 12.0, "a2"),  # a part of it
        event(ORDERED, "ann", 20, 99.0, "after"),
        event(ORDERED, "bob", 1, 40.0, "b1"),
        event(REFUNDED, "bob", 2, 40.0, "b1"),  # all of it
        event(ORDERED, "bob", 3, 0.0, "free"),
        event(ORDERED, "bob", 0.2, 8.0),  # orders without an id are one each
        event(ORDERED, "bob", 0.3, 9.0),
        event(ORDERED, "cid", -1, 70.0, "c0"),
        event(REFUNDED, "cid", 1, 70.0, "c0"),  # of an order before the exposure
    ]
    people = pa.Table.from_pylist(
        [{"customer": who, "arm": "a", "first": START} for who in ("ann", "bob", "cid", "dan")]
    )
    told = columns([VALUE], 14)
    rows = (
        values(Events.of(log(happened)).before(NOW), ibis.memtable(people.cast(PEOPLE)), told).to_pyarrow().to_pylist()
    )
    found = {row["customer"]: [row[name] for name in (told[0].value, *told[0].purchases)] for row in rows}
    assert found == {
        "ann": [33.0, 2, 9.5, 33.0],
        "bob": [17.0, 2, pytest.approx(0.3, abs=1e-4), 17.0],
        "cid": [-70.0, 0, 0, 0.0],
        "dan": [0.0, 0, 0, 0.0],
    }


def drawn(seed: int, customers: int, lift: float = 1.0) -> tuple[np.ndarray, ...]:
    rng, ones = np.random.default_rng(seed), np.ones(customers)
    return World().purchases(np.full(customers, WINDOW), (ones * lift, ones), rng)


def arm_of(seed: int, customers: int, lift: float = 1.0) -> Bought:
    orders, last, spend = drawn(seed, customers, lift)
    return Bought(orders * spend, orders, last, orders * spend)


@pytest.fixture(scope="module")
def found() -> Worth:
    return Worth.of({"old": arm_of(1, 800), "new": arm_of(2, 700, 1.8)}, WINDOW, 182)


def test_the_test_is_that_of_the_model_of_both_arms(found: Worth) -> None:
    arms = arm_of(1, 800), arm_of(2, 700, 1.8)
    orders, last, money = (np.concatenate([getattr(one, name) for one in arms]) for name in ("orders", "last", "money"))
    purchases = Purchases.of(
        orders, last, np.full(1500, WINDOW), money / np.maximum(orders, 1), np.repeat([0, 1], [800, 700])
    )
    more, error = value_by_arm(purchases, money, 182).difference(1, 0)
    told = found.test("new", "old")
    assert told is not None
    assert (told.difference, told.error) == pytest.approx((more, error))
    assert (told.lower, told.p_value) == pytest.approx((more - norm.isf(0.025) * error, 2 * norm.sf(more / error)))
    assert told.lower > 0  # four fifths more orders are planted
    assert told.lift == pytest.approx((found.mean("new") or 0) / (found.mean("old") or 1) - 1)


@pytest.mark.parametrize("bound", [1.0, 1.96, 4.0, 8.0])
def test_interval_p_value_and_lift_agree_at_every_look(found: Worth, bound: float) -> None:
    told = found.test("new", "old", bound)
    assert told is not None
    assert (told.lower > 0) == (told.p_value < 2 * norm.sf(bound)) == (told.lift_lower > 0)
    assert told.lower < told.difference < told.upper
    assert told.lift_lower < told.lift < told.lift_upper


def test_an_arm_with_too_few_who_bought_is_told_by_what_it_brought(found: Worth) -> None:
    few = arm_of(3, 20)
    three = Worth.of({"old": arm_of(1, 800), "new": arm_of(2, 700, 1.8), "tiny": few}, WINDOW, 182)
    assert three.test("new", "old") == found.test("new", "old")  # it does not harm the others
    (one,) = columns([VALUE], WINDOW)
    said = Evidence({}, {}, {VALUE.key: three}).of_arm("tiny", "old", [one])[VALUE.key]
    assert (said["mean"], said["forecast"], said["lower"], said["p_value"]) == (None, None, None, None)
    assert said["realised"] == pytest.approx(few.realised.mean())
    assert "of 20 customers of 'tiny' bought in the window; a forecast needs 10" in said["untold"]


def alike(value: float, customers: int = 90) -> Bought:
    return Bought(*(np.full(customers, value) for _ in range(4)))


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        ({"old": arm_of(1, 50), "new": arm_of(2, 49)}, "needs"),
        ({"old": alike(1.0), "new": alike(1.0)}, "the same"),
        ({"old": arm_of(1, 400), "new": replace(arm_of(2, 400), realised=np.full(400, -1e4))}, "must be > 0"),
        ({"old": alike(0.0), "new": alike(0.0, 0)}, "bought in the window"),
    ],
)
def test_what_cannot_be_fitted_is_no_error_and_why_is_said(arms: dict[str, Bought], why: str) -> None:
    evidence, (one,) = Evidence({}, {}, {VALUE.key: Worth.of(arms, WINDOW, 182)}), columns([VALUE], WINDOW)
    for arm in arms:
        said = evidence.of_arm(arm, "old", [one])[VALUE.key]
        assert said["mean"] is None
        assert why in said["untold"]
        json.dumps(said, allow_nan=False)


def test_the_interval_of_one_group_alone_holds_the_truth() -> None:
    """Four weeks seen and eight expected, of 600 customers."""
    truth, inside, wide = World().value(np.array([28]), (1.0, 1.0), 56), 0, []
    for seed in range(100):
        orders, last, spend = World().purchases(np.full(600, 28), (np.ones(600), np.ones(600)), seeded(seed))
        found = Worth.of({"spring": Bought(orders * spend, orders, last, orders * spend)}, 28, 56)
        lower, upper = found.interval("spring") or (0.0, 0.0)
        inside += lower < truth < upper
        wide.append(upper / lower)
    assert 87 <= inside <= 99
    assert np.median(wide) < 2.5  # not by being as wide as may be
    assert Worth.of({}, 28, 56).interval("spring") is None


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_forecast_of_more_than_four_windows_is_refused() -> None:
    arms = {"old": arm_of(1, 400), "new": arm_of(2, 400)}
    assert Worth.of(arms, WINDOW, 4 * WINDOW).mean("old") is not None
    far = Worth.of(arms, WINDOW, 4 * WINDOW + 1)
    assert far.mean("old") is None
    assert far.why("new", "old") == (
        "horizon_days == 365 is more than 4 times the 91 days that customers were seen: a forecast of so long is not "
        "to be believed"
    )


def test_a_report_tells_the_value_of_each_arm_and_judges_by_it(tmp_path: Path) -> None:
    workspace, happened = create(tmp_path / "shop"), []
    told = json.dumps
    for arm, lift, seed in (("control", 1.0, 1), ("treatment", 5.0, 2)):
        orders, last, spend = drawn(seed, 400, lift)
        for number, (many, day, mean) in enumerate(zip(orders, last, spend, strict=True)):
            who = f"{arm}-{number}"
            came = LATER * (number % 2)
            seen = event(VIEWED, who, came)
            happened.append(seen.row() | {"properties": told({"experiment_id": "worth", "variation": arm})})
            days = [*np.linspace(0.1, day, many)[:-1], day] if many else []
            happened += [event(ORDERED, who, came + at, mean, f"{who}-{place}").row() for place, at in enumerate(days)]
    append(workspace, pa.Table.from_pylist([row | {"live": False} for row in happened], schema=SCHEMA))
    everyone = [f"{arm}-{number}" for arm in ("control", "treatment") for number in range(400)]
    grant(Ledger.at(workspace.ledger), everyone, Basis(("analytics",), "a box ticked"), source="test", time=START)
    report = judged(workspace)
    control, treatment = (arm["metrics"][VALUE.key] for arm in report["arms"])
    orders, _, spend = drawn(1, 400)
    assert control["realised"] == pytest.approx((orders * spend).mean())
    assert control["mean"] == pytest.approx(control["realised"] + control["forecast"])
    assert treatment["difference"] == pytest.approx(treatment["mean"] - control["mean"])
    assert (treatment["horizon_days"], treatment["customers"]) == (182, 400)
    assert report["verdict"].startswith("ship treatment: lifetime-value is better by +")
    assert "lifetime-value" in "\n".join(table(report))
    json.dumps(report, allow_nan=False)
    course = report["over_time"]["treatment"][VALUE.key]
    assert {point["customers"] for point in course} == {400, 800}
    assert course[-1]["lower"] == pytest.approx(treatment["lower"])
    early = judged(workspace, datetime.fromisoformat(course[0]["day"]).replace(tzinfo=UTC))
    then = early["arms"][1]["metrics"][VALUE.key]
    assert (then["customers"], course[0]["upper"]) == (200, pytest.approx(then["upper"]))


def judged(workspace: Workspace, now: datetime = NOW) -> dict:
    only = {"primary": (VALUE.key,), "secondary": (), "guardrails": ()}
    shares = {"control": 0.5, "treatment": 0.5}
    return build(workspace, Experiment(key="worth", arms=shares, window_days=WINDOW, **only), now)
