"""The effect per segment: each feature alone, binned; intervals hold for all segments together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from training.metrics.uplift import PER, Array, Trial
from training.reports.page import shown
from training.reports.uplift_effects import clustered
from training.uplift.out_of_fold import OutOfFold

MIN_ROWS = 50  # per arm; below it the normal interval of a rate is not to be trusted
LEVELS = 8  # categories and values shown one by one; rarer ones are put together
Mask = NDArray[np.bool_]


def segments_of(features: pd.DataFrame, oof: OutOfFold) -> dict[str, list[dict[str, Any]]]:
    """Per offer the segments, largest effect first; 95 % intervals corrected for all of them (Bonferroni)."""
    labels = {str(name): segment_labels(values) for name, values in features.items()}
    found = {offer: _effects(labels, oof, offer) for offer in oof.offers}
    number = sum(len(one) for one in found.values())
    z = float(stats.norm.ppf(1 - 0.025 / max(number, 1)))
    return {offer: sorted((_row(one, z) for one in rows), key=lambda r: -r["value"]) for offer, rows in found.items()}


def segment_labels(values: pd.Series[Any]) -> pd.Series[str]:
    """The segment of each row: a category, a value where there are few, else the quarter its value is in."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _frequent(values.astype(object).where(values.notna(), "unknown").astype(str))
    known = values[values.notna()]
    if known.nunique() <= LEVELS:
        return values.map(lambda value: "unknown" if pd.isna(value) else f"{value:g}")
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
    quarter = np.clip(np.searchsorted(edges, values, side="left"), 1, len(edges) - 1)  # (low, high]
    names = {n: f"{_edge(edges[n - 1])} to {_edge(edges[n])}" for n in range(1, len(edges))}
    labels = pd.Series([names[int(n)] for n in quarter], index=values.index)
    return labels.where(values.notna(), "unknown")


def _edge(value: float) -> str:
    return shown(float(value)) if abs(value) >= PER else f"{value:.4g}"  # 6, not 6.00


def _frequent(labels: pd.Series[str]) -> pd.Series[str]:
    return labels.where(labels.isin(labels.value_counts().head(LEVELS).index), "all others")


def _effects(labels: dict[str, pd.Series[str]], oof: OutOfFold, offer: str) -> list[dict[str, Any]]:
    chosen, trial = oof.trial(offer)
    unit, found = oof.unit[chosen], []
    for feature, label in labels.items():
        given = label.to_numpy(dtype=object)[chosen]
        for segment in sorted(set(given)) if len(set(given)) > 1 else ():
            rows = np.asarray(given == segment, dtype=bool)
            if min((trial.treated & rows).sum(), (~trial.treated & rows).sum()) >= MIN_ROWS:
                found.append({"feature": feature, "segment": str(segment), **_effect(trial, rows, unit)})
    return found


def _effect(trial: Trial, rows: Mask, unit: NDArray[np.intp]) -> dict[str, Any]:
    part: Array = trial.outcome[rows]
    estimate = clustered(Trial(part, trial.treated[rows], trial.weight[rows]), unit[rows])
    return {"rows": int(rows.sum()), "value": PER * estimate.value, "error": PER * estimate.standard_error}


def _row(one: dict[str, Any], z: float) -> dict[str, Any]:
    lower, upper = one["value"] - z * one["error"], one["value"] + z * one["error"]
    says = "works" if lower > 0 else "hurts" if upper < 0 else "not distinguishable"
    kept = {name: one[name] for name in ("feature", "segment", "rows", "value")}
    return kept | {"lower": lower, "upper": upper, "says": says}
