"""Novelty: 300 customers are exposed in ten days; the treatment spends more on the first two days and then no more."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from serving.experiments.definitions import Experiment
from serving.experiments.report import build

ARMS = {"control": 0.5, "treatment": 0.5}
WINDOW, PEOPLE = 6, 300
NOW = datetime(2026, 1, 13, tzinfo=UTC)  # day 12: the windows of the first seven days have closed
METRIC = "metrics: [{key: money, name: Money, numerator: {event: Order Completed, sum: money}}]"


def spent(rng: np.random.Generator, early: float, late: float) -> np.ndarray:
    """Customers x days since the exposure; on three of ten days nothing."""
    money = rng.gamma(4.0, 2.0, (PEOPLE, WINDOW)) * (rng.random((PEOPLE, WINDOW)) < 0.7)
    money[1::2, :2] += early
    money[1::2, 2:] += late
    return money


def report_of(ran: Any, money: np.ndarray) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for n in range(PEOPLE):
        who, day = f"c{n:03}", n // 30 + 0.25
        rows.append({"customer": who, "day": day, "arm": ("control", "treatment")[n % 2]})
        rows += [{"customer": who, "day": day + d + 0.5, "money": float(money[n, d])} for d in range(WINDOW)]
    workspace = ran([row for row in rows if row.get("money") != 0])
    (workspace.folder / "metrics.yaml").write_text(METRIC)
    test = Experiment(key="badge", arms=ARMS, window_days=WINDOW, primary=["money"], secondary=[], guardrails=[])
    return build(workspace, test, NOW)["novelty"]


def test_the_effect_of_each_day_is_that_of_those_for_whom_it_is_over(ran: Any) -> None:
    money = spent(np.random.default_rng(0), 5.0, 0.0)
    found = report_of(ran, money)
    (arm,) = found["arms"]
    assert (found["metric"], found["first_days"], arm["arm"]) == ("money", 2, "treatment")
    for d, told in enumerate(arm["days"]):
        over = np.array([n for n in range(PEOPLE) if n // 30 + 0.25 + d + 1 <= 12])
        ours, theirs = money[over[over % 2 == 1], d], money[over[over % 2 == 0], d]
        ends = ttest_ind(ours, theirs).confidence_interval(0.95)
        assert told["customers"] == len(over)
        assert told["difference"] == pytest.approx(ours.mean() - theirs.mean())
        assert (told["lower"], told["upper"]) == (pytest.approx(ends.low), pytest.approx(ends.high))


def test_an_effect_that_wears_off_is_found_by_each_customers_own_difference(ran: Any) -> None:
    money = spent(np.random.default_rng(0), 5.0, 0.0)
    change = report_of(ran, money)["arms"][0]["change"]
    closed = np.arange(PEOPLE) // 30 + 0.25 + WINDOW <= 12
    own = money[:, :2].mean(axis=1) - money[:, 2:].mean(axis=1)
    odd = np.arange(PEOPLE) % 2 == 1
    ours, theirs = own[closed & odd], own[closed & ~odd]
    assert change["p_value"] == pytest.approx(ttest_ind(ours, theirs).pvalue)
    assert change["difference"] == pytest.approx(ours.mean() - theirs.mean())
    assert change["early"] - change["late"] == pytest.approx(change["difference"])
    assert change["verdict"] == "higher at first than later"


def test_an_effect_that_stays_is_not_said_to_change(ran: Any) -> None:
    change = report_of(ran, spent(np.random.default_rng(3), 5.0, 5.0))["arms"][0]["change"]
    assert change["late"] > 3
    assert change["verdict"] == "no change with time to be seen"
