"""What a report says of an arm, from moments."""

import numpy as np
import pytest
from scipy.stats import norm

from serving.experiments.compared import Evidence
from serving.experiments.metrics import Measure, Metric
from serving.experiments.moments import Moments
from serving.experiments.values import Columns, columns


def column(better: str) -> Columns:
    return columns([Metric(key="it", name="It", better=better, numerator=Measure(event="A"))], 14)[0]


def of_arms(rng: np.random.Generator, more: float) -> Evidence:
    arms = {"old": rng.normal(10.0, 3.0, (900, 1)), "new": rng.normal(10.0 + more, 3.0, (600, 1))}
    return Evidence({arm: {"it": Moments.of(rows)} for arm, rows in arms.items()}, {})


@pytest.mark.parametrize("more", [0.0, 0.1, -0.2])
def test_the_chance_to_beat_is_in_the_direction_that_is_better(more: float) -> None:
    """The prior, five wide, is nothing beside an error of .16: the chance is that of the test's one side."""
    evidence, (higher, lower) = of_arms(np.random.default_rng(1), more), map(column, ("higher", "lower"))
    up, down = (evidence.of_arm("new", "old", [one])["it"] for one in (higher, lower))
    assert up["difference"] == down["difference"]
    assert up["chance_to_beat"] == pytest.approx(norm.cdf(up["difference"] / up["error"]), abs=1e-3)
    assert up["chance_to_beat"] + down["chance_to_beat"] == pytest.approx(1)
    assert down["expected_loss"] - up["expected_loss"] == pytest.approx(up["difference"], rel=2e-3)


def test_nobody_who_differs_is_told_by_nothing() -> None:
    same = {arm: {"it": Moments.of(np.zeros((9, 1)))} for arm in ("old", "new")}
    found = Evidence(same, {}).of_arm("new", "old", [column("higher")])["it"]
    assert (found["mean"], found["lower"], found["chance_to_beat"]) == (0, None, None)
    assert found["verdict"] == "not distinguishable"
