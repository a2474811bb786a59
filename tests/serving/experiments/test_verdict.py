"""What is said of an arm: revenue and conversion are primary, complaints a guardrail of a tenth."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from serving.experiments.analysis import Shape, compare
from serving.experiments.metrics import standard
from serving.experiments.moments import Moments
from serving.experiments.verdict import effect, unharmed, verdict

KNOWN = standard()
UP, DOWN, NOISE = (0.5, 1.5), (-1.5, -0.5), (-1.0, 1.0)
Ends = tuple[float | None, float | None]


def told(revenue: Ends = NOISE, conversion: Ends = NOISE, complaints: Ends = NOISE) -> str:
    ends = {"revenue": revenue, "conversion-rate": conversion, "complaint-rate": complaints}
    metrics = {key: {"mean": 1.0, "lower": lower, "upper": upper} for key, (lower, upper) in ends.items()}
    arms: list[dict[str, Any]] = [{"arm": "old", "metrics": {}}, {"arm": "new", "metrics": metrics}]
    return verdict(arms, KNOWN, primary=["revenue", "conversion-rate"], guardrails=["complaint-rate"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"revenue": UP}, "ship new: revenue is better by +0.5 to +1.5"),
        ({"revenue": DOWN}, "stop new: revenue is worse by -1.5 to -0.5"),
        ({"revenue": UP, "complaints": UP}, "stop new: complaint-rate is worse by +0.5 to +1.5"),
        ({"revenue": UP, "complaints": DOWN}, "ship new: revenue is better by +0.5 to +1.5"),
        (
            {"revenue": DOWN, "conversion": UP},
            "weigh new: conversion-rate is better by +0.5 to +1.5, revenue is worse by -1.5 to -0.5",
        ),
        ({}, "new is not distinguishable from the control; the effect on revenue is -1 to +1"),
        ({"revenue": (None, None), "conversion": (None, None)}, "new is not distinguishable from the control"),
    ],
)
def test_it_is_said_what_to_do_and_why(given: dict[str, Ends], said: str) -> None:
    assert told(**given) == said


def test_less_is_better_where_the_metric_says_so() -> None:
    waited, money = KNOWN["time-to-conversion"], KNOWN["revenue"]
    assert effect(waited, {"lower": -2.0, "upper": -1.0}) == "better"
    assert effect(money, {"lower": -2.0, "upper": -1.0}) == "worse"
    assert effect(money, {"lower": None, "upper": None}) is None


def test_a_guardrail_is_unharmed_where_its_margin_is_out_of_reach() -> None:
    complaints, control = KNOWN["complaint-rate"], {"mean": 0.02}  # a tenth of it is the margin
    ends = {"lower": -0.001, "upper": 0.0018}
    assert unharmed(complaints, ends | {"lift_upper": 0.099}, control) is True
    assert unharmed(complaints, ends | {"lift_upper": 0.101}, control) is False
    assert unharmed(complaints, ends | {"lift_upper": None}, control) is False  # the control's mean may be 0
    assert unharmed(complaints, {"lower": None, "upper": None}, control) is None
    assert unharmed(complaints, {"lower": 0.0, "upper": 0.0}, {"mean": 0.0}) is None
    waited = KNOWN["time-to-conversion"].model_copy(update={"margin": 0.1})
    assert [unharmed(waited, {"lower": 0.1, "upper": upper}, {"mean": 10.0}) for upper in (0.9, 1.1)] == [True, False]


def test_a_harm_of_the_margin_is_seldom_called_none() -> None:
    """Of 2,000 tests with a control of 5 %, in which half as many again unsubscribe, at most one in forty says so."""
    rng, metric = np.random.default_rng(0), KNOWN["unsubscribe-rate"].model_copy(update={"margin": 0.5})
    sizes, said = np.array([1_000, 19_000]), 0
    for left in rng.binomial(sizes, [0.05, 0.075], (2_000, 2)):
        old, new = (
            Moments(count, np.array([share]), np.array([[share * (1 - share)]]))
            for count, share in zip(sizes.tolist(), left / sizes, strict=True)
        )
        test = compare(old, new, Shape())
        assert test is not None
        said += bool(unharmed(metric, asdict(test), {"mean": old.mean[0]}))
    assert said / 2_000 < 0.025 + 2.6 * (0.025 * 0.975 / 2_000) ** 0.5


@pytest.mark.parametrize(
    ("interval", "harmless", "said"),
    [
        ((-0.001, 0.0019), True, ""),
        ((None, None), None, ""),  # nobody complained: nothing was tested
        (
            (-0.001, 0.0021),
            False,
            ", but that complaint-rate is worse by less than 10% is not shown (-0.001 to +0.0021)",
        ),
        (
            (-0.001, 0.0021),
            None,
            ", but that complaint-rate is worse by less than 10% is not shown (-0.001 to +0.0021)",
        ),
    ],
)
def test_what_is_shipped_says_which_guardrails_are_not_shown_to_be_unharmed(
    interval: Ends, harmless: bool | None, said: str
) -> None:
    complaints = {"lower": interval[0], "upper": interval[1], "unharmed": harmless}
    arms = [
        {"arm": "old", "metrics": {}},
        {"arm": "new", "metrics": {"revenue": {"lower": 0.5, "upper": 1.5}, "complaint-rate": complaints}},
    ]
    found = verdict(arms, KNOWN, primary=["revenue"], guardrails=["complaint-rate"])
    assert found == "ship new: revenue is better by +0.5 to +1.5" + said


def test_what_does_nothing_is_shipped_as_rarely_as_the_manual_says() -> None:
    """1,000 tests of 1,000 customers an arm, of whom three in ten buy: at most 5 % shipped by either primary metric."""
    rng, keys = np.random.default_rng(0), ("conversion-rate", "revenue")
    # revenue in the spread that it has after its cap; its customers' past explains nothing here
    found: Counter[str] = Counter()
    for _ in range(1_000):
        bought = rng.random((2, 1_000)) < 0.3
        money = bought * np.minimum(rng.lognormal(3, 1, (2, 1_000)), 200.0)
        old, new = ([Moments.of(made[arm][:, None].astype(float)) for made in (bought, money)] for arm in range(2))
        tests = [compare(*both, Shape()) for both in zip(old, new, strict=True)]
        metrics = {key: asdict(test) for key, test in zip(keys, tests, strict=True) if test is not None}
        arms: list[dict[str, Any]] = [{"arm": "old", "metrics": {}}, {"arm": "new", "metrics": metrics}]
        found[verdict(arms, KNOWN, primary=keys, guardrails=[]).split()[0]] += 1
    assert 0.025 < found["ship"] / 1_000 < 0.05 + 2.6 * (0.05 * 0.95 / 1_000) ** 0.5
    assert 0.025 < found["stop"] / 1_000 < 0.05 + 2.6 * (0.05 * 0.95 / 1_000) ** 0.5
