"""Tests in which something is wrong or empty: each has a clear answer. Every second of 40 customers is treated."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from features.consent import withdraw
from features.ledger import Ledger
from serving.experiments.definitions import Experiment
from serving.experiments.report import build, table

NOW = datetime(2026, 1, 20, tzinfo=UTC)
ARMS = {"control": 0.5, "treatment": 0.5}
MONEY = "metrics: [{key: money, name: Money, numerator: {event: Order Completed, sum: money, less: Order Refunded}}]"


def exposed(n: int, arm: str | None = None) -> dict[str, Any]:
    return {"customer": f"c{n:02}", "day": 1.0, "arm": arm or ("control", "treatment")[n % 2]}


def orders(money: dict[int, float], name: str = "Order Completed") -> list[dict[str, Any]]:
    return [{"customer": f"c{n:02}", "day": 2.0, "money": one, "name": name} for n, one in money.items()]


def report_of(ran: Any, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    workspace = ran(rows)
    (workspace.folder / "metrics.yaml").write_text(MONEY)
    asked = {"window_days": 4, "primary": ["money"], "secondary": [], "guardrails": []} | more
    report = build(workspace, Experiment(key="badge", arms=ARMS, **asked), NOW)
    json.dumps(report, allow_nan=False)
    assert list(table(report))
    return report


EVERYBODY = [exposed(n) for n in range(40)]


def test_an_arm_without_customers_is_named(ran: Any) -> None:
    with pytest.raises(ValueError, match=r"has \{'control': 40, 'treatment': 0\} exposed customers; at least 2"):
        report_of(ran, [exposed(n, "control") for n in range(40)])


def test_an_arm_that_lacks_consent_is_told_so(ran: Any) -> None:
    workspace = ran(EVERYBODY)
    for n in range(1, 40, 2):
        withdraw(Ledger.at(workspace.ledger), f"c{n:02}", ["analytics"], source="test", time=NOW - timedelta(days=1))
    with pytest.raises(ValueError, match=r"'treatment': 0\} exposed .*; consent: 20 of 40 customers left out"):
        build(workspace, Experiment(key="badge", arms=ARMS), NOW)


def test_the_table_gives_no_p_value_of_the_whole_where_a_day_is_off(ran: Any) -> None:
    """All of the control come on one day, all of the treated on the next: in all the arms are as planned."""
    report = report_of(ran, [exposed(n) | {"day": 1.0 + n % 2} for n in range(40)])
    assert report["sample_ratio"]["p_value"] == pytest.approx(1)
    assert report["verdict"].startswith("broken: the arms are not as large as planned")
    assert "arms as large as planned: NO, see the verdict; saw two arms, left out: 0" in list(table(report))


def test_of_zeros_only_nothing_is_tested_and_why_is_said(ran: Any) -> None:
    report = report_of(ran, EVERYBODY)
    found = report["arms"][1]["metrics"]["money"]
    assert (found["mean"], found["difference"], found["p_value"]) == (0, None, None)
    assert found["untold"] == "all customers of both arms have the same value: 0"
    assert report["verdict"].startswith("treatment is not distinguishable from the control: money cannot be tested")
    assert (report["over_time"]["treatment"]["money"], report["novelty"]["arms"][0]["change"]) == ([], None)


def test_one_customer_with_all_the_revenue_is_said_and_makes_no_winner(ran: Any) -> None:
    report = report_of(ran, EVERYBODY + orders({3: 90_000.0}))
    assert "one customer has 100% of the money of treatment" in report["warnings"]
    assert report["arms"][1]["metrics"]["money"]["verdict"] == "not distinguishable"


def test_a_metric_of_few_customers_does_not_keep_a_test_going(ran: Any) -> None:
    """Who has lapsed is asked of customers who had ordered before, of whom the treatment has one."""
    bought = [(n, day) for n in (*range(0, 240, 2), 1) for day in (-90, -60 - n % 30, -9 - n % 40)]
    before = [{"customer": f"c{n:02}", "day": day, "money": 5.0} for n, day in bought]
    paid = orders({n: 1.0 + n % 7 for n in range(0, 240, 3)})
    report = report_of(ran, [exposed(n) for n in range(240)] + before + paid, secondary=["lapsed"])
    assert report["arms"][1]["metrics"]["lapsed"]["customers"] == 1
    assert "distinguishable" in report["verdict"]


def test_a_test_of_a_time_alone_is_told_by_it(ran: Any) -> None:
    told = report_of(ran, EVERYBODY + orders(dict.fromkeys(range(1, 40, 2), 1.0)), primary=["time-to-conversion"])
    assert told["verdict"].startswith("ship treatment: time-to-conversion is better")


def test_one_customer_of_many_is_no_warning(ran: Any) -> None:
    report = report_of(ran, EVERYBODY + orders({n: 10.0 + n for n in range(40)}))
    assert not any("one customer" in warning for warning in report["warnings"])


def test_negative_revenue_is_told_without_a_lift(ran: Any) -> None:
    back = orders({n: 60.0 + n for n in range(0, 40, 2)}, "Order Refunded")
    report = report_of(ran, EVERYBODY + orders({n: 20.0 + n for n in range(40)}) + back)
    control, treatment = (arm["metrics"]["money"] for arm in report["arms"])
    assert control["mean"] == pytest.approx(-40)
    assert treatment["difference"] == pytest.approx(40 + sum(20 + n for n in range(1, 40, 2)) / 20)
    assert (treatment["lift"], treatment["verdict"]) == (None, "higher than control")
    assert "money of control is below 0 in all: more was given back than paid" in report["warnings"]


def test_money_that_was_all_given_back_is_no_error(ran: Any) -> None:
    money = {n: 20.0 + n for n in range(40)}
    report = report_of(ran, EVERYBODY + orders({**money, 1: 50.0}) + orders(money, "Order Refunded"))
    assert [warning for warning in report["warnings"] if "money" in warning] == [
        "one customer has 100% of the money of treatment"
    ]


def test_a_ratio_of_which_nobody_has_the_denominator_says_so(ran: Any) -> None:
    report = report_of(ran, EVERYBODY, primary=["open-rate"])
    found = report["arms"][1]["metrics"]["open-rate"]
    assert (found["mean"], found["lower"]) == (None, None)
    assert found["untold"] == "nobody of an arm has anything in the denominator"


def test_a_ratio_without_a_denominator_is_refused(ran: Any) -> None:
    workspace = ran(EVERYBODY)
    (workspace.folder / "metrics.yaml").write_text(MONEY.replace("name: Money", "name: Money, kind: ratio"))
    with pytest.raises(ValueError, match="metric 'money' of kind 'ratio' needs a denominator"):
        build(workspace, Experiment(key="badge", arms=ARMS), NOW)


def test_a_test_that_starts_tomorrow_has_nothing_to_report(ran: Any) -> None:
    with pytest.raises(ValueError, match="experiment 'badge' starts on 2026-01-21, which is to come"):
        report_of(ran, EVERYBODY, start=date(2026, 1, 21))


def test_several_exposures_of_a_customer_are_counted_and_a_switch_of_arms_too(ran: Any) -> None:
    again = [exposed(0) | {"day": 3.0}, exposed(1) | {"day": 2.0}, exposed(1) | {"day": 3.0}, exposed(2, "treatment")]
    report = report_of(ran, [*EVERYBODY, *again])
    assert report["exposures"] == {
        "customers": 39, "seen_again": 2, "saw_two_arms": 1, "unknown_arm": 0, "beyond_plan": 0,
    }  # fmt: skip


def test_a_plan_that_leaves_an_arm_without_customers_is_refused(ran: Any) -> None:
    with pytest.raises(ValueError, match=r"\{'control': 2, 'treatment': 1\} exposed customers within the plan"):
        report_of(ran, EVERYBODY, planned={"customers": 3})


def test_a_look_that_nothing_rests_on_yet_tells_no_interval(ran: Any) -> None:
    rows = EVERYBODY + orders({n: 10.0 + n for n in range(40)})
    found = report_of(ran, rows, planned={"customers": 10_000_000, "looks": 5})["arms"][1]["metrics"]["money"]
    assert found["difference"] == pytest.approx(1)
    assert (found["lower"], found["upper"], found["bound"], found["p_value"]) == (None, None, None, 1.0)


def test_customers_after_the_planned_size_are_told_and_do_not_count(ran: Any) -> None:
    report = report_of(ran, [exposed(n) | {"day": 1 + n / 40} for n in range(40)], planned={"customers": 30})
    assert [arm["customers"] for arm in report["arms"]] == [15, 15]
    assert "10 customers came after the planned size was reached: not counted" in report["warnings"]
    assert report["exposures"]["beyond_plan"] == 10
