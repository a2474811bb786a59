"""The journey of a shop: three of four treated customers of the web come to the cart and two of them order.

source       web                                  app: spring
             ann       bob    cid     dan         hal (of the holdout)   ida (of the holdout)
touch        mail 1    2      3       mail 4      5                      -
visit        2         2      3       -           5
view         2         4      -       -           -
cart         3         6      -       -           -
order        4         -      5       -           -
repeat       9
"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from features.events import ADDED, DELIVERED, OPENED, ORDERED, PAGE, VIEWED
from features.workspace import Workspace
from serving.impact import shown
from serving.impact.journey import _between, build

if TYPE_CHECKING:
    from conftest import Maker

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Report = dict[str, Any]


def day(number: float) -> datetime:
    return datetime(2026, 1, 1, 12) + timedelta(days=number)


@pytest.fixture(scope="module")
def shop(make_once: "Maker") -> Workspace:
    make = make_once
    (ann, bob, cid, dan), (hal, ida) = make.names(4, 2)
    web, app = {"channel": "web"}, {"channel": "app", "campaign": "spring"}
    return make.shop(
        [
            *(make.event(PAGE, who, datetime(2025, 12, 1), **web) for who in (ann, bob, cid, dan)),
            *(make.event(PAGE, who, datetime(2025, 12, 1), **app) for who in (hal, ida)),
            make.event(DELIVERED, ann, day(1), channel="email"),
            make.event(PAGE, ann, day(2), **web),
            make.event(VIEWED, ann, day(2), item="tea"),
            make.event(ADDED, ann, day(3), item="tea"),
            make.event(ORDERED, ann, day(4), 10.0, order_id="a1"),
            make.event(ORDERED, ann, day(4), 20.0, order_id="a1", item="cup"),  # the same order's other line
            make.event(ORDERED, ann, day(9), 10.0, order_id="a2"),
            make.event(PAGE, bob, day(2), **web),
            make.event(VIEWED, bob, day(4), item="tea"),
            make.event(ADDED, bob, day(6), item="tea"),
            make.event(PAGE, cid, day(3), **web),
            make.event(ORDERED, cid, day(5), 10.0),
            make.event(DELIVERED, dan, day(4), channel="email"),
            make.event(OPENED, ida, day(4), machine=True),  # of nobody's doing
            make.event(PAGE, hal, day(5), **app),
        ]
    )


@pytest.fixture(scope="module")
def report(shop: Workspace) -> Report:
    return build(shop, date(2026, 1, 1), date(2026, 1, 31), NOW)


def steps(report: Report, by: str, key: str, part: str) -> list[Any]:
    (row,) = [row for row in report["rows"] if (row["by"], row["key"]) == (by, key)]
    return [step[part] for step in row["steps"]]


def test_who_took_a_later_step_has_taken_those_before(report: Report) -> None:
    assert steps(report, "all", "all", "customers") == [5, 4, 3, 3, 2, 1]
    assert steps(report, "all", "all", "lost") == [1, 1, 1, 0, 1, 1]


def test_a_share_is_of_the_step_before_with_wilsons_interval(report: Report) -> None:
    assert steps(report, "all", "all", "share") == pytest.approx([5 / 6, 4 / 5, 3 / 4, 1, 2 / 3, 1 / 2])
    wilson = stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert steps(report, "all", "all", "lower")[2] == pytest.approx(wilson.low)


def test_times_are_of_who_was_seen_to_take_both_steps(report: Report) -> None:
    assert steps(report, "all", "all", "days") == [None, 0, 1, 1.5, 1, 5]  # e.g. to the cart: ann 1 day, bob 2
    assert steps(report, "all", "all", "timed") == [0, 4, 2, 2, 1, 1]


def test_the_source_is_of_the_first_thing_ever_done(report: Report) -> None:
    sources = [row["key"] for row in report["rows"] if row["by"] == "source"]
    assert sources == ["web", "app: spring"]
    assert steps(report, "source", "web", "customers") == [4, 3, 3, 3, 2, 1]
    assert steps(report, "source", "app: spring", "customers") == [1, 1, 0, 0, 0, 0]


def test_each_step_has_what_the_holdout_says_was_caused(report: Report) -> None:
    assert steps(report, "all", "all", "treated")[4] == 0.5
    assert steps(report, "all", "all", "held_out")[4] == 0
    assert steps(report, "all", "all", "incremental")[4] == pytest.approx(4 * (2 / 4 - 0))
    test = stats.ttest_ind([1, 0, 1, 0], [0, 0]).confidence_interval()
    assert steps(report, "all", "all", "incremental_lower")[4] == pytest.approx(4 * test.low)
    assert steps(report, "source", "web", "incremental") == [None] * 6  # nobody of the holdout came by it


def test_segments_stand_beside_and_none_is_named(report: Report) -> None:
    groups = {row["group"] for row in report["rows"] if row["by"] == "segment"}
    assert "lifecycle" in groups
    assert "c0000" not in json.dumps(report, allow_nan=False)
    said = "\n".join(shown.journey(report))
    assert "Repeat order" in said
    assert "source app: spring" in said


def test_the_median_lies_between_order_statistics() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        found = _between(np.sort(rng.exponential(size=25)))
        inside += found["days_lower"] <= np.log(2) <= found["days_upper"]
    assert inside >= stats.binom.ppf(0.005, 1000, 0.95)  # at least 95 %: order statistics are discrete
    assert _between(np.arange(5.0)) == {"days_lower": None, "days_upper": None}
