"""Splits by chance of the time before: how often the report's own test errs on this shop's customers."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from serving.experiments import placebo as room
from serving.experiments.analysis import Shape, apart, compare
from serving.experiments.definitions import Experiment
from serving.experiments.metrics import standard
from serving.experiments.moments import Moments
from serving.experiments.placebo import Repeated, broken, lines
from serving.experiments.report import build, table
from serving.experiments.values import Columns
from tests.serving.experiments.conftest import START, Ran

NOW = START + timedelta(days=60)
EXPERIMENT = Experiment(key="badge", arms={"a": 0.5, "b": 0.5}, window_days=7)
SHAPES = {
    "conversion-rate": Shape(before=1),
    "revenue": Shape(before=1),
    "click-through-rate": Shape(ratio=True),
}


def drawn(customers: int, rng: np.random.Generator) -> dict[str, Any]:
    """Values as a shop's: few buy, and a few of them for much."""
    buys = rng.random(customers) < 0.2
    mails = 1 + rng.poisson(2, customers)
    return {
        "m": buys * np.exp(rng.standard_normal(customers)),
        "mb0": (rng.random(customers) < 0.3).astype(float),
        "md": mails.astype(float),
    }


@pytest.mark.parametrize(("key", "shape"), SHAPES.items())
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_a_split_is_told_apart_exactly_when_the_reports_test_does(key: str, shape: Shape, share: float) -> None:
    rng = np.random.default_rng(5)
    columns = Columns(standard()[key], "m", timedelta(days=7))
    rows = pa.table({name: values for name, values in drawn(900, rng).items() if name in columns.names})
    test = Repeated.of(rows, columns)
    assert test.shape == shape
    inside = rng.random((200, 900)) < share
    inside[0] = False  # an arm without customers is no alarm
    matrix = np.column_stack([rows[name].to_numpy() for name in columns.names])
    expected = []
    for who, theirs, ours in zip(inside, test.moments(inside), test.moments(~inside), strict=True):
        alone = Moments.of(matrix[who])
        if len(matrix[who]) > 1:
            np.testing.assert_allclose(theirs.mean, alone.mean, rtol=1e-9)
            np.testing.assert_allclose(theirs.covariance, alone.covariance, rtol=1e-9, atol=1e-12)
        told = compare(theirs, ours, shape)
        expected.append(told is not None and (told.lower > 0 or told.upper < 0))
        assert apart(theirs, ours, shape) == expected[-1]
    assert test.alarms(inside, ~inside) == sum(expected) > 0


def shop(customers: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Everybody visits a month before; a fifth buys in the week before the experiment; then comes the exposure."""
    rows: list[dict[str, Any]] = []
    for number in range(customers):
        who = f"c{number:04}"
        rows.append({"customer": who, "day": float(rng.uniform(0, 10)), "name": "Product Viewed"})
        if rng.random() < 0.2:
            rows.append({"customer": who, "day": float(rng.uniform(13.5, 19.9)), "money": float(rng.lognormal(3))})
        rows.append({"customer": who, "day": 20 + number / customers, "arm": "ab"[number % 2]})
    return rows


def test_the_report_holds_its_false_alarms_which_are_those_of_a_true_test(ran: Ran) -> None:
    workspace = ran(shop(400, np.random.default_rng(1)))
    report = build(workspace, EXPERIMENT, NOW)
    found = report["placebo"]
    assert (found["splits"], found["customers"]) == (1_000, 400)
    assert (found["from"], found["until"]) == ("2026-01-14T00:00:00Z", "2026-01-21T00:00:00Z")
    assert found["metrics"].keys() == {"conversion-rate", "revenue"}
    for one in found["metrics"].values():
        assert one["rate"] == one["false_alarms"] / 1_000
        assert one["lower"] < 0.05 < one["upper"]
    assert build(workspace, EXPERIMENT, NOW)["placebo"] == found  # the same splits again
    assert sum("placebo splits of 400 customers" in line for line in table(report)) == 2
    assert not [line for line in report["warnings"] if "errs" in line]


def test_a_shop_without_a_time_before_says_so(ran: Ran) -> None:
    rows = [{"customer": f"c{number}", "day": 1 + number / 1_000, "arm": "ab"[number % 2]} for number in range(300)]
    found = build(ran(rows), EXPERIMENT, NOW)["placebo"]
    assert found == {"untold": "0 customers who count were seen before 2025-12-26 00:00 UTC, 200 are needed"}
    assert list(lines(found)) == [
        "false alarms on splits of the time before cannot be told: 0 customers who count were seen before "
        "2025-12-26 00:00 UTC, 200 are needed"
    ]


def test_a_test_that_errs_more_often_than_it_says_is_a_warning() -> None:
    found: Mapping[str, Any] = {
        "splits": 1_000,
        "metrics": {"revenue": {"rate": 0.09, "lower": 0.07, "upper": 0.11}, "orders": {"rate": 0.05, "lower": 0.04}},
    }
    told: Sequence[str] = list(broken(found))
    assert len(told) == 1
    assert told[0].startswith("the test of revenue errs on this shop's customers: 9.0% false alarms")


def test_more_customers_than_are_needed_are_a_sample(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST", 250)
    found = build(ran(shop(400, np.random.default_rng(2))), EXPERIMENT, NOW)["placebo"]
    assert found["customers"] == 250
