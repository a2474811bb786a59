"""The tests of an experiment, through tea-tasting: interval and p-value come from one test and never disagree.

The unit is the customer: outcomes are summed per customer before anything is averaged. tea-tasting takes seconds to
import, so nothing that the service runs imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import tea_tasting as tt
from scipy.stats import chisquare

ALPHA = 0.05
RATIO_ALPHA = 0.001  # a false alarm over the split stops a good test, so it has to be rarer
MIN_CUSTOMERS = 2  # per arm; a variance needs two


def arms(customers: pd.DataFrame, control: str, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    """Per arm its customers and, per metric, the mean and the difference to the control with interval and p-value.

    `customers` has one row per customer: `arm` and one column per metric.
    """
    names = [control, *sorted(set(customers["arm"]) - {control})]
    return [_arm(customers, name, control, metrics) for name in names]


def _arm(customers: pd.DataFrame, name: str, control: str, metrics: tuple[str, ...]) -> dict[str, Any]:
    rows = customers[customers["arm"] == name]
    means = {metric: {"mean": float(rows[metric].mean())} for metric in metrics}
    if name != control:
        pair = customers[customers["arm"].isin([control, name])]
        for metric in metrics:
            means[metric] |= compare(pair, metric, control)
    return {"arm": name, "customers": len(rows), "metrics": means}


def compare(pair: pd.DataFrame, metric: str, control: str) -> dict[str, Any]:
    """The difference of an arm's mean to the control's (Welch's test), its interval, its p-value and a verdict."""
    if pair[metric].nunique() < 2:  # nobody differs from anybody: there is no variance to test with
        return {"difference": 0.0, "lower": None, "upper": None, "p_value": None, "verdict": verdict(0.0, math.nan)}
    with np.errstate(divide="ignore", invalid="ignore"):  # the relative change of a control of 0 is infinite
        found = tt.Experiment(metric=tt.Mean(metric, confidence_level=1 - ALPHA), variant="arm").analyze(
            pair[["arm", metric]], control=control
        )["metric"]
    return {
        "difference": float(found.effect_size),
        "lower": float(found.effect_size_ci_lower),
        "upper": float(found.effect_size_ci_upper),
        "p_value": float(found.pvalue),
        "verdict": verdict(found.effect_size, found.pvalue),
    }


def verdict(difference: float, p_value: float) -> str:
    """In words; within noise it is `not distinguishable`."""
    if not p_value < ALPHA:
        return "not distinguishable"
    return "higher than control" if difference > 0 else "lower than control"


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, Any]:
    """Whether the arms are as large as their shares say (chi-square over all arms)."""
    total, weight = sum(counts.values()), math.fsum(shares.values())
    expected = [total * share / weight for share in shares.values()]
    p_value = float(chisquare([counts.get(name, 0) for name in shares], expected).pvalue)
    return {"p_value": p_value, "as_planned": p_value >= RATIO_ALPHA}
