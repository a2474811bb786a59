"""What is said of an arm: revenue and conversion are primary, complaints a guardrail of a tenth."""

from typing import Any

import pytest

from serving.experiments.metrics import standard
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
    assert unharmed(complaints, {"lower": -0.001, "upper": 0.0019}, control) is True
    assert unharmed(complaints, {"lower": -0.001, "upper": 0.0021}, control) is False
    assert unharmed(complaints, {"lower": None, "upper": None}, control) is None
    assert unharmed(complaints, {"lower": 0.0, "upper": 0.0}, {"mean": 0.0}) is None
