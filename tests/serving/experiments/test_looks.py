"""Looks at a test: 10 customers a day, one in two in each arm, a window of 4 days.

day      0   1   2 ... 9          the plan is 100 customers, or 10 days
closed               (day 4) 10, 20, ... 100 (day 13)
"""

import math
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from features.workspace import Workspace
from serving.experiments.analysis import Shape, compare
from serving.experiments.bounds import anytime, bounds, repeated_p_value
from serving.experiments.definitions import Experiment, Planned
from serving.experiments.looks import Looks, Span, in_plan
from serving.experiments.moments import Moments
from serving.experiments.report import build
from serving.experiments.values import PEOPLE

START = datetime(2026, 1, 1)
SPAN = Span(START, None, ZoneInfo("UTC"))
DAY, WINDOW = timedelta(days=1), timedelta(days=4)
ARMS = {"control": 0.5, "treatment": 0.5}


def people(days: int = 10, a_day: int = 10) -> pa.Table:
    rows = [
        {"customer": f"c{day:03}-{n:02}", "arm": ("control", "treatment")[n % 2], "first": START + timedelta(days=day)}
        for day in range(days)
        for n in range(a_day)
    ]
    return pa.Table.from_pylist(rows, schema=PEOPLE)


def looks(day: float, came: int = 10, **plan: Any) -> Looks:
    planned = Planned(**plan) if plan else None
    told = in_plan(people(came), planned, SPAN)
    return Looks.of(planned, told, SPAN, WINDOW, START + timedelta(days=day))


def test_without_a_plan_or_with_one_look_the_test_is_that_of_one_look() -> None:
    for found in (looks(8), looks(8, customers=100), looks(8, days=10)):
        assert (found.bound(WINDOW), found.p_value(2.0, WINDOW)) == (None, None)
    assert (looks(8).fraction(WINDOW), looks(8).end) == (None, None)


def test_a_planned_look_has_the_published_bound_of_o_brien_and_fleming() -> None:
    """Five equal looks, two-sided 0.05: 4.8769, 3.3569, 2.6803, 2.2898, 2.0310 (Reboussin et al. 2000)."""
    published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
    for place, bound in enumerate(published):  # 20, 40, ... customers' windows have closed on days 5, 7, ...
        found = looks(5 + 2 * place, customers=100, looks=5)
        assert found.bound(WINDOW) == pytest.approx(bound, abs=2e-4)
        assert (found.done(WINDOW), found.fraction(WINDOW)) == (place + 1, pytest.approx(0.2 * (place + 1)))


def test_between_two_looks_the_bound_is_that_of_a_further_look_now() -> None:
    found = looks(6, customers=100, looks=5)  # 30 of 100: the look at a fifth is due, and this one is not planned
    assert found.held(WINDOW)[0] == pytest.approx([0.2, 0.3])
    assert found.bound(WINDOW) == pytest.approx(bounds([0.2, 0.3])[-1])
    assert found.p_value(3.0, WINDOW) == pytest.approx(repeated_p_value(3.0, [0.2, 0.3]))


def test_planned_days_are_those_of_the_shop_also_when_its_clock_changes() -> None:
    """In Berlin 29 March 2026 has 23 hours: 28 and 29 March end on 29 March, 22:00 UTC."""
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 27, 23)
    came = [start + timedelta(hours=hours) for hours in (0, 46, 46.9, 47, 48)]
    table = [{"customer": f"c{place}", "arm": "control", "first": first} for place, first in enumerate(came)]
    plan, span = Planned(days=2), Span(start, None, zone)
    told = in_plan(pa.Table.from_pylist(table, schema=PEOPLE), plan, span)
    assert told["customer"].to_pylist() == ["c0", "c1", "c2"]
    found = Looks.of(plan, told, span, WINDOW, datetime(2026, 3, 29, 22) + WINDOW)
    assert (found.fraction(WINDOW), found.end) == (1.0, datetime(2026, 3, 29, 22) + WINDOW)
    assert found.at(found.now - timedelta(minutes=1)).over(WINDOW) is False
    assert found.told()["end"] == (date(2026, 3, 30) + WINDOW).isoformat()
    autumn = Span(datetime(2026, 10, 23, 22), None, zone)
    assert autumn.lasts(2) == timedelta(hours=49)


def test_days_spend_the_error_and_customers_say_how_much_is_known() -> None:
    """80 of 100 come in the first two of four days: the bounds have to know that later looks bring little news."""
    rows = [(day, n) for day, many in enumerate((60, 20, 10, 10)) for n in range(many)]
    table = [{"customer": f"{day}-{n}", "arm": "control", "first": START + DAY * (day + 0.5)} for day, n in rows]
    plan = Planned(days=4, looks=4)
    told = in_plan(pa.Table.from_pylist(table, schema=PEOPLE), plan, SPAN)
    found = Looks.of(plan, told, SPAN, WINDOW, START + timedelta(days=8))
    shares, customers = found.held(WINDOW)
    assert (shares.tolist(), customers.tolist()) == ([0.25, 0.5, 0.75, 1.0], [60, 80, 90, 100])
    rng, known = np.random.default_rng(0), np.array([60, 80, 90, 100.0])
    z = (rng.normal(size=(200_000, 4)) * np.sqrt(np.diff(known, prepend=0))).cumsum(axis=1) / np.sqrt(known)
    limits = [found.at(START + timedelta(days=day)).bound(WINDOW) for day in (5, 6, 7, 8)]
    assert (np.abs(z) > limits).any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)


def test_who_comes_after_the_planned_size_does_not_count_so_the_report_stays_what_it_was() -> None:
    by_number, by_days = looks(40, came=30, customers=95, looks=5), looks(40, came=30, days=10, looks=5)
    assert (len(by_number.firsts), len(by_days.firsts)) == (95, 100)
    for found in (by_number, by_days):
        assert found.over(WINDOW)
        assert found.bound(WINDOW) == found.at(found.now + 9 * DAY).bound(WINDOW)
    assert by_number.bound(WINDOW) == pytest.approx(2.031, abs=1e-3)
    assert len(looks(40, came=30).firsts) == 300


def test_it_is_said_when_the_next_look_and_the_end_are() -> None:
    found = looks(8, came=8, customers=200, looks=4)  # the windows of 50 of 80 have closed
    assert found.rate() == 10
    told = found.told()
    assert (told["done"], told["fraction"], told["next"]) == (
        1,
        0.25,
        "2026-01-15",
    )  # the 100th: in 2 days
    assert told["end"] == "2026-01-25"  # the 200th twelve days from now; each waits for 4
    assert looks(40, came=9, customers=200, looks=4).told()["end"] is None  # nobody comes any more
    assert looks(8, came=9, days=20, looks=4).told()["end"] == "2026-01-25"


def test_looks_at_will_are_judged_by_the_sequence_that_is_sharpest_at_the_planned_number() -> None:
    found = looks(8, customers=100, looks="any")  # 50 have closed
    assert found.bound(WINDOW) == pytest.approx(float(anytime(0.5)))
    assert (found.p_value(found.bound(WINDOW) + 1e-6, WINDOW) or 1) < 0.05
    assert (found.p_value(found.bound(WINDOW) - 1e-6, WINDOW) or 0) > 0.05
    assert looks(8, looks="any").bound(WINDOW) == pytest.approx(float(anytime(50 / 10_000)))


def test_before_anybody_counts_a_look_says_nothing() -> None:
    for plan in ({"customers": 100, "looks": 5}, {"days": 10, "looks": 5}, {"looks": "any"}):
        found = looks(3.9, **plan)
        assert (found.bound(WINDOW), found.p_value(9.0, WINDOW)) == (math.inf, 1.0)


def test_who_looks_every_day_at_a_test_of_four_looks_is_hardly_misled() -> None:
    """20 days without a difference; every report between two planned looks is believed as well."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 20)).cumsum(axis=1) / np.sqrt(np.arange(1, 21))
    limits = [looks(4 + day, came=20, customers=200, looks=4).bound(WINDOW) for day in range(20)]
    assert (np.abs(z) > limits).any(axis=1).mean() < 0.065
    assert (np.abs(z[:, 4::5]) > limits[4::5]).any(axis=1).mean() == pytest.approx(0.05, abs=0.005)


def test_a_test_of_nothing_is_called_certain_at_any_of_its_looks_in_one_of_twenty() -> None:
    """Money with a heavy tail, 500 shops of 200 customers in each arm, five looks; the 99 % interval of 500 at 5 %."""
    rng, found = np.random.default_rng(8), []
    limits = [looks(5 + 2 * place, customers=100, looks=5).bound(WINDOW) for place in range(5)]
    for _ in range(500):
        money = np.minimum(rng.gamma(0.3, 60.0, (2, 5, 40)), 150.0)[..., None]
        parts = [[Moments.of(part) for part in arm] for arm in money]
        control, treated = (list(accumulate(arm, Moments.__add__)) for arm in parts)
        tests = [compare(*both, Shape(), bound=bound) for *both, bound in zip(control, treated, limits, strict=True)]
        found.append(any(test is not None and not test.lower < 0 < test.upper for test in tests))
    assert 0.026 < np.mean(found) < 0.079


def shop(ran: Any, more: float, days: int = 10) -> Workspace:
    """40 a day; an order of about 20 one to three days later, of the treatment `more`."""
    rng, rows = np.random.default_rng(5), []
    for day in range(days):
        for n in range(40):
            who, arm = f"c{day:02}-{n:02}", ("control", "treatment")[n % 2]
            money = float(rng.normal(20 + more * (n % 2), 5))
            rows += [
                {"customer": who, "day": day, "arm": arm},
                {"customer": who, "day": day + 1 + n % 7 / 4, "money": money},
            ]
    return ran(rows)


def report_of(workspace: Workspace, day: float, end: date | None = None, **plan: Any) -> dict[str, Any]:
    asked = {"window_days": 4, "primary": ["revenue"], "secondary": [], "planned": plan or None, "end": end}
    experiment = Experiment(key="badge", arms=ARMS, **asked)
    return build(workspace, experiment, (START + timedelta(days=day)).replace(tzinfo=UTC))


def test_interval_p_value_and_verdict_of_a_look_come_from_its_bound(ran: Any) -> None:
    """A difference that a test of one look calls certain and the second of five looks does not."""
    workspace = shop(ran, 2.9)
    plain, look = report_of(workspace, 7), report_of(workspace, 7, customers=400, looks=5)
    fixed, found = (one["arms"][1]["metrics"]["revenue"] for one in (plain, look))
    assert found["difference"] == pytest.approx(fixed["difference"])
    assert fixed["p_value"] < 0.05 < found["p_value"]
    assert found["bound"] == pytest.approx(3.3569, abs=2e-4)
    assert found["upper"] - found["difference"] == pytest.approx(found["bound"] * found["error"])
    assert found["p_value"] == pytest.approx(repeated_p_value(found["difference"] / found["error"], [0.2, 0.4]))
    assert plain["verdict"].startswith("ship treatment")
    assert look["verdict"].startswith(
        "keep going with treatment: about 7 more days, until 2026-01-15; 400 customers are planned, and the windows of "
        "160 customers have closed; the effect on revenue is -"
    )
    assert look["looks"]["next"] == "2026-01-10"
    assert "no size was planned" in plain["warnings"][0]


def test_before_the_planned_size_a_test_of_one_look_says_to_keep_going_whatever_it_sees(ran: Any) -> None:
    workspace = shop(ran, 4.0)
    assert report_of(workspace, 7, customers=400)["verdict"].startswith("keep going: about 7 more days")
    assert report_of(workspace, 13, customers=400)["verdict"].startswith("ship treatment")
    assert report_of(workspace, 7, customers=400, looks=5)["verdict"].startswith("ship treatment")


def test_a_test_whose_last_day_is_over_is_judged_by_what_it_has(ran: Any) -> None:
    """400 come in ten days; the last one, in Berlin, is the tenth, and 800 were planned."""
    workspace, end = shop(ran, 4.0), date(2026, 1, 10)
    said = report_of(workspace, 7, end=end, customers=800)["verdict"]
    assert said.startswith(
        "keep going: about 7 more days, until 2026-01-14, with fewer customers than planned; 800"
    )  # 23:00
    over = report_of(workspace, 14, end=end, customers=800)
    assert over["verdict"].startswith("ship treatment")
    assert "the last day is over with 50% of the planned size: it finds less than was planned" in over["warnings"]


def test_without_a_plan_it_is_said_how_long_it_takes_to_know_it_twice_as_well(ran: Any) -> None:
    """160 windows have closed by day 7, 280 came by then; the 640th comes 9 days later and waits for 4."""
    said = report_of(shop(ran, 0.0), 7)["verdict"]
    assert said.startswith(
        "keep going with treatment: about 13 more days, until 2026-01-21 and the interval is half as"
    )


def test_the_course_of_a_test_ends_in_what_the_report_says(ran: Any) -> None:
    report = report_of(shop(ran, 4.0), 9, customers=400, looks=5)
    course, found = report["over_time"]["treatment"]["revenue"], report["arms"][1]["metrics"]["revenue"]
    assert [point["customers"] for point in course] == [40, 80, 120, 160, 200, 240]
    assert [course[0]["day"], course[-1]["day"]] == ["2026-01-05", "2026-01-10"]
    assert course[-1]["difference"] == pytest.approx(found["difference"])
    assert course[-1]["lower"] == pytest.approx(found["lower"])
    assert course[1]["upper"] - course[1]["lower"] > course[-1]["upper"] - course[-1]["lower"]


def test_the_course_of_a_metric_of_time_is_what_each_report_said(ran: Any) -> None:
    workspace = shop(ran, 0.0)
    asked = {
        "window_days": 4,
        "primary": ["time-to-conversion"],
        "secondary": [],
        "planned": {"customers": 400, "looks": 5},
    }

    def report(day: float) -> dict[str, Any]:
        return build(workspace, Experiment(key="badge", arms=ARMS, **asked), (START + day * DAY).replace(tzinfo=UTC))

    now, then = report(9.5), report(6)
    course = {point["day"]: point for point in now["over_time"]["treatment"]["time-to-conversion"]}
    for day, told in (("2026-01-07", then), ("2026-01-10", now)):
        found = told["arms"][1]["metrics"]["time-to-conversion"]
        assert course[day]["customers"] == sum(arm["customers"] for arm in told["arms"])
        assert [course[day][name] for name in ("difference", "lower", "upper")] == pytest.approx(
            [found[name] for name in ("difference", "lower", "upper")]
        )


def test_a_point_of_the_course_is_what_the_report_of_that_moment_said(ran: Any) -> None:
    """Without the caps, which are of all that is known now, it would be so exactly: revenue is left uncapped here."""
    workspace = shop(ran, 2.0)
    (workspace.folder / "metrics.yaml").write_text(
        "metrics: [{key: revenue, name: Money, numerator: {event: Order Completed, sum: money}}]"
    )
    now, then = (report_of(workspace, day, customers=400, looks=5) for day in (12, 8))
    point = next(one for one in now["over_time"]["treatment"]["revenue"] if one["customers"] == 200)
    found = then["arms"][1]["metrics"]["revenue"]
    assert [point[name] for name in ("difference", "lower", "upper")] == pytest.approx(
        [found[name] for name in ("difference", "lower", "upper")]
    )
