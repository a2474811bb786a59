"""Segments: of 600 customers a third ordered before (regulars), and 40 of these twice.

The treatment makes regulars spend 6 more and the others nothing. Everybody orders after the exposure, which makes
nobody a regular of this test.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control, ttest_ind

from features.history import read_events
from features.workspace import Workspace
from serving.experiments.conversion import curve, difference
from serving.experiments.definitions import Experiment
from serving.experiments.discovery import heterogeneity, shrunk
from serving.experiments.report import build
from serving.experiments.segments import OTHERS, kinds
from serving.experiments.values import AHEAD
from serving.experiments.worth import Bought, Worth

ARMS = {"control": 0.5, "treatment": 0.5}
START, NOW = datetime(2026, 1, 1), datetime(2026, 1, 20, tzinfo=UTC)
PEOPLE = 600
SEGMENTS = """segments:
  - {key: regulars, who: {event: Order Completed}}
  - {key: twice, who: {event: Order Completed, count: {at_least: 2}}}
  - {key: once, who: {event: Order Completed, count: {at_least: 1, at_most: 1}}}
  - {key: likely, who: {score: baseline, at_least: 0.5}}
"""
METRIC = "metrics: [{key: money, name: Money, numerator: {event: Order Completed, sum: money}}]"


@pytest.fixture
def shop(ran: Any) -> tuple[Workspace, np.ndarray]:
    """With what each customer spent."""
    rng, rows = np.random.default_rng(2), []
    money = rng.normal(30, 8, PEOPLE)
    for n in range(PEOPLE):
        who, day, regular = f"c{n:03}", 1 + n % 5 + 0.5, n % 3 == 0
        money[n] += 6 * (regular and n % 2)
        rows += [{"customer": who, "day": day, "arm": ("control", "treatment")[n % 2]}]
        rows += [{"customer": who, "day": day + waited(n), "money": float(money[n])}]
        rows += [{"customer": who, "day": 0.1 + place / 10, "money": 9.0} for place in range(regular + (n % 15 == 0))]
    return filed(ran(rows)), money


def waited(n: int) -> float:
    return 1 + n % 4 / 2


def filed(workspace: Workspace) -> Workspace:
    (workspace.folder / "metrics.yaml").write_text(METRIC)
    for path in (workspace.folder / "segments").glob("*.yaml"):
        path.unlink()
    (workspace.folder / "segments" / "own.yaml").write_text(SEGMENTS)
    return workspace


def report_of(workspace: Workspace, *segments: str, secondary: tuple[str, ...] = ()) -> dict[str, Any]:
    asked = {"primary": ["money"], "secondary": secondary, "guardrails": [], "segments": segments}
    return build(workspace, Experiment(key="badge", arms=ARMS, window_days=4, **asked), NOW)


def test_who_is_in_a_segment_is_told_by_what_was_before_the_exposure(shop: tuple[Workspace, np.ndarray]) -> None:
    workspace, money = shop
    found = report_of(workspace, "regulars")["segments"]
    regular, odd = np.arange(PEOPLE) % 3 == 0, np.arange(PEOPLE) % 2 == 1
    assert [row["segment"] for row in found["rows"]] == ["regulars", OTHERS]
    for row, inside in zip(found["rows"], (regular, ~regular), strict=True):
        (effect,) = row["effects"]
        assert row["arms"] == {"control": (inside & ~odd).sum(), "treatment": (inside & odd).sum()}
        assert effect["difference"] == pytest.approx(money[inside & odd].mean() - money[inside & ~odd].mean())
        assert effect["p_value"] == pytest.approx(ttest_ind(money[inside & odd], money[inside & ~odd]).pvalue)


def test_p_values_of_segments_are_told_among_each_other_and_that_they_differ_is_found(
    shop: tuple[Workspace, np.ndarray],
) -> None:
    found = report_of(shop[0], "once", "twice")["segments"]
    effects = [row["effects"][0] for row in found["rows"]]
    assert [one["p_adjusted"] for one in effects] == pytest.approx(
        false_discovery_control([one["p_value"] for one in effects]).tolist()
    )
    estimates, errors = (np.array([one[name] for one in effects]) for name in ("difference", "error"))
    (interaction,) = found["interactions"]
    assert found["rows"][1]["arms"] == {"control": 20, "treatment": 20}  # too few to be asked whether they differ
    assert interaction["p_value"] == pytest.approx(heterogeneity(estimates[[0, 2]], errors[[0, 2]]).p_value)
    assert interaction["p_value"] < 0.001
    assert [one["shrunk"]["difference"] for one in effects] == [one.estimate for one in shrunk(estimates, errors)]
    assert abs(effects[0]["shrunk"]["difference"]) < abs(effects[0]["difference"])


def test_a_metric_of_time_and_secondary_ones_are_told_of_segments_too(shop: tuple[Workspace, np.ndarray]) -> None:
    secondary = ("time-to-conversion", "conversion-rate")
    found = report_of(shop[0], "regulars", secondary=secondary)["segments"]["rows"]
    regular = np.arange(PEOPLE) % 3 == 0
    for row, inside in zip(found, (regular, ~regular), strict=True):
        assert [effect["metric"] for effect in row["effects"]] == ["money", *secondary]
        assert [effect["primary"] for effect in row["effects"]] == [True, False, False]
        times = [np.array([waited(n) for n in np.flatnonzero(inside) if n % 2 == odd]) for odd in (1, 0)]
        expected = difference(*(curve(each, np.ones(len(each), bool)) for each in times), 2.5)
        told = row["effects"][1]
        assert (told["difference"], told["lower"]) == (pytest.approx(expected.estimate), pytest.approx(expected.lower))


def test_lifetime_value_is_told_of_segments_too(shop: tuple[Workspace, np.ndarray]) -> None:
    found = report_of(shop[0], "regulars", secondary=("lifetime-value",))["segments"]["rows"]
    money, regular, odd = shop[1], np.arange(PEOPLE) % 3 == 0, np.arange(PEOPLE) % 2 == 1
    for row, inside in zip(found, (regular, ~regular), strict=True):
        own = {"control": np.flatnonzero(inside & ~odd), "treatment": np.flatnonzero(inside & odd)}
        bought = {
            arm: Bought(money[some], np.ones(len(some)), np.array([waited(n) for n in some]), money[some])
            for arm, some in own.items()
        }
        expected = Worth.of(bought, 4, AHEAD * 4)
        told, test = row["effects"][1], expected.test("treatment", "control")
        assert (told["metric"], told["mean"]) == ("lifetime-value", pytest.approx(expected.mean("treatment"), rel=1e-4))
        assert test is None or told["difference"] == pytest.approx(test.difference, abs=0.01)


def test_who_has_lapsed_is_told_of_the_segments_that_had_ordered_before(shop: tuple[Workspace, np.ndarray]) -> None:
    found = report_of(shop[0], "regulars", "twice", secondary=("alive", "lapsed"))["segments"]["rows"]
    told = {row["segment"]: {effect["metric"]: effect for effect in row["effects"]} for row in found}
    assert told["regulars"]["alive"]["customers"] == told["regulars"]["lapsed"]["customers"] == 100  # of the treatment
    assert told["twice"]["alive"]["customers"] == 20
    assert 0 < told["twice"]["alive"]["mean"] < 1
    assert told[OTHERS].keys() == {"money"}  # nobody there had ordered


def test_segments_that_share_customers_are_told_as_they_are(shop: tuple[Workspace, np.ndarray]) -> None:
    found = report_of(shop[0], "regulars", "twice")["segments"]
    assert found["in_several"] == 40
    assert [row["customers"] for row in found["rows"]] == [200, 40, 400]
    assert found["interactions"] == []
    assert all(row["effects"][0]["shrunk"] is None for row in found["rows"])
    assert all(row["effects"][0]["p_adjusted"] is not None for row in found["rows"])


def test_a_segment_is_that_of_the_day_of_each_customers_own_first_exposure(ran: Any) -> None:
    """bob is exposed 60 days after ann; both ordered on day 2, cid an hour after the exposure, eve the day before."""
    exposures = {"ann": 3.5, "bob": 63.5, "cid": 1.5, "dan": 2.5, "eve": 5.5}
    orders = {"ann": 2.1, "bob": 2.1, "cid": 1.55, "eve": 4.99999}
    rows: list[dict[str, Any]] = [{"customer": who, "day": day, "arm": "control"} for who, day in exposures.items()]
    workspace = filed(ran(rows + [{"customer": who, "day": day, "money": 9.0} for who, day in orders.items()]))
    lately = "segments: [{key: lately, who: {event: Order Completed, within: 4d}}]"
    (workspace.folder / "segments" / "lately.yaml").write_text(lately)
    test = Experiment(key="badge", arms=ARMS, segments=["regulars", "lately"])
    first = [START + timedelta(days=day) for day in exposures.values()]
    people = pa.table({"customer": list(exposures), "first": pa.array(first, pa.timestamp("us"))})
    found = kinds(workspace, test, read_events(workspace), people)
    assert found.to_pylist() == ["11", "10", "00", "00", "11"]


def test_a_segment_with_a_split_that_is_off_breaks_the_test(ran: Any) -> None:
    """All regulars of one arm were lost, a tenth of it, which the whole does not show."""
    rows = []
    for n in range(1200):
        arm, regular = ("control", "treatment")[n % 2], n % 20 < 2
        if not (regular and arm == "treatment"):
            rows += [{"customer": f"c{n:04}", "day": 1.5, "arm": arm}]
        rows += [{"customer": f"c{n:04}", "day": 0.5, "money": 5.0}] if regular else []
    workspace = filed(ran(rows))
    report = report_of(workspace, "regulars")
    assert [one["alarm"] for one in report["sample_ratio"]["segments"]] == [True, False]
    assert "regulars: arm " in report["verdict"]
    assert report["verdict"].startswith("broken")
    assert report_of(workspace)["sample_ratio"]["as_planned"]


def test_a_segment_that_cannot_divide_a_test_is_refused(shop: tuple[Workspace, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="there is no segment 'regulrs'; did you mean 'regulars'"):
        report_of(shop[0], "regulrs")
    with pytest.raises(ValueError, match="the segment 'likely' asks for the score 'baseline'"):
        report_of(shop[0], "likely")
