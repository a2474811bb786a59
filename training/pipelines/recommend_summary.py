"""The aggregates of `evaluation.json`: each model against the baseline, and what there was to choose from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from training.intervals import Interval, mean_interval, paired_difference, verdict
from training.metrics import ranking
from training.pipelines import recommend_ages as ages
from training.pipelines.recommend_evaluation import METRICS, PARTS, Judged, Trial
from training.splits import TimeSplit

BASELINE = "popularity"
METRIC = "ndcg"


def summary(
    judged: Mapping[str, Judged],
    validated: Mapping[str, Judged],
    best: str,
    split: TimeSplit,
    k: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The aggregates of `evaluation.json`: means, intervals and the difference to the baseline, per model."""
    models = {name: _figures(found, judged[BASELINE], validated[name], rng) for name, found in judged.items()}
    chosen = models[best]
    return {
        "metric": f"{METRIC}@{k}",
        "chosen": best,
        "model": chosen["all"][METRIC],
        "baseline_name": BASELINE,
        "baseline": models[BASELINE]["all"][METRIC],
        **chosen["against_baseline"],
        "unit": f"{METRIC}@{k}, mean over customers",
        "customers": {part: int((~np.isnan(judged[best].values[part][METRIC])).sum()) for part in PARTS},
        "split": {"kind": "time", **{name: moment.isoformat() for name, moment in asdict(split).items()}},
        "models": models,
    }


def _figures(found: Judged, baseline: Judged, validated: Judged, rng: np.random.Generator) -> dict[str, Any]:
    figures: dict[str, Any] = {
        part: {metric: _finite(found.mean(part, metric)) for metric in METRICS} for part in PARTS
    }
    ours, theirs = found.values["all"][METRIC], baseline.values["all"][METRIC]
    counted = ~np.isnan(ours)
    difference = paired_difference(ours[counted], theirs[counted], rng)
    return figures | {
        "coverage": found.coverage,
        "gini": _finite(found.gini),
        "top_share": _finite(found.top_share),
        "answered_by_age": found.answered,
        "interval": _ends(mean_interval(ours[counted], rng), 0.0),
        "validation": _finite(validated.mean("all", METRIC)),
        "against_baseline": {
            "difference": _finite(difference.estimate),
            **_ends(difference, -1.0),
            "verdict": verdict(difference),
        },
    }


def _ends(interval: Interval, least: float) -> dict[str, float]:
    """The ends within what is possible: too few customers give all of it, from `least` to 1."""
    return {"lower": max(interval.lower, least), "upper": min(interval.upper, 1.0)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def bought(found: Trial) -> dict[str, Any]:
    """What there was to choose from, and how concentrated and how old what customers did choose is."""
    items, chosen = found.train.items, found.relevant
    counts = ranking.exposure(chosen, len(items))
    by_age = ages.shares(chosen, items, found.age_groups)
    return {
        "catalogue": len(items),
        "purchases": {"gini": ranking.gini(counts), "top_share": ranking.top_share(counts), "by_age": by_age},
    }
