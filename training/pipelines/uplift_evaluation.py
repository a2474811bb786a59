"""Out-of-fold evaluation of uplift learners: what each brings, with intervals, and the choice against the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.exposures import ExposureLog
from training.intervals import Influenced
from training.metrics.qini_error import qini_estimate
from training.metrics.uplift import (
    Array,
    Estimate,
    Ranking,
    Trial,
    average,
    by_decile,
    slope,
    uplift_at,
)
from training.uplift import BASELINES
from training.uplift.out_of_fold import OutOfFold, out_of_fold

SHARES = (0.1, 0.2, 0.3, 0.5)
CHOSEN = "chosen"  # what the selector says, its weights learned without the row's fold; or the one learner there is


def predictions_out_of_fold(
    log: ExposureLog, outcome: str, names: Sequence[str], *, folds: int, seed: int
) -> OutOfFold:
    """Each row's effects from models that never saw its customer."""
    y = outcome_of(log, outcome)
    try:
        return out_of_fold(names, log.table, log.exposures, y, folds=folds, seed=seed)
    except ValueError as fault:
        raise ValueError(f"log {log.name!r}: {fault}") from fault


def outcome_of(log: ExposureLog, outcome: str) -> Array:
    """The outcome's column, or an error that names those there are."""
    if outcome not in log.outcomes.columns:
        raise ValueError(f"outcome == {outcome!r}, must be one of {list(log.outcomes.columns)} (log {log.name!r})")
    return log.outcomes[outcome].to_numpy(dtype=np.float64)


def judge_all(oof: OutOfFold) -> dict[str, dict[str, Any]]:
    """Per offer: what every learner, the baselines and the choice bring, and the choice against the best baseline."""
    return {offer: _judge_offer(oof, number) for number, offer in enumerate(oof.offers)}


def _judge_offer(oof: OutOfFold, number: int) -> dict[str, Any]:
    rows, trial = oof.trial(oof.offers[number])
    predictions = {name: values[rows, number] for name, values in oof.prediction.items()}
    ranked = {name: qini_estimate(Ranking(values, trial), oof.unit[rows]) for name, values in predictions.items()}
    fits = {name: slope(oof.score[:, number], values[:, number], oof.people) for name, values in oof.prediction.items()}
    learners = {
        name: {
            "qini": ranked[name].value,
            "qini_interval": (ranked[name].interval.lower, ranked[name].interval.upper),
            "slope": _plain(fits[name]),
            "uplift_at": {str(k): uplift_at(values, trial, k) for k in SHARES},
        }
        for name, values in predictions.items()
    }
    baseline = max((n for n in BASELINES if n in learners), key=lambda n: ranked[n].value, default=None)
    return {
        "average": _plain(average(trial)),
        "rows": {"offer": int(trial.treated.sum()), "none": int((~trial.treated).sum())},
        "learners": learners,
        "deciles": [_plain(one) for one in by_decile(predictions[CHOSEN], trial)],
        "curve": _points(predictions[CHOSEN], trial),
        "against": None if baseline is None else _against(ranked, baseline),
    }


def over_offers(against: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean over the offers; its interval is as wide as theirs are on average, as if they moved together.

    Offers share their control, so their errors are correlated: this is the widest the interval can be.
    """
    return {name: float(np.mean([one[name] for one in against])) for name in ("difference", "lower", "upper")}


def _against(ranked: Mapping[str, Influenced], baseline: str) -> dict[str, Any]:
    found = (ranked[CHOSEN] - ranked[baseline]).interval
    return {"baseline": baseline, "difference": found.estimate, "lower": found.lower, "upper": found.upper}


def _points(prediction: Array, trial: Trial) -> dict[str, list[float]]:
    curve = Ranking(prediction, trial).curve()
    share = np.linspace(0, 1, 51)
    return {"share": share.tolist(), "extra": curve.at(share).tolist()}


def without_nan(value: Any) -> Any:
    """The value as JSON can hold it: what is not known is null."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _plain(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
