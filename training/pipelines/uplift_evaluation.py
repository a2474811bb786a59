"""Out-of-fold evaluation of uplift learners: same folds for all, and a choice that is not judged on its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from training.uplift import BASELINES, LEARNERS
from training.uplift.dr import doubly_robust, expected
from training.uplift.encoder import Encoder
from training.uplift.rows import Fitter, Log, Rows, check, fold_numbers, is_binary

SHARES = (0.1, 0.2, 0.3, 0.5)
CHOSEN = "chosen"  # the prediction of the learner that was chosen on the other half


@dataclass(frozen=True)
class OutOfFold:
    """Per row of the log: arm, outcome, weight over probability, fold, half, doubly robust score and predictions.

    `score` and each `prediction` are rows x offers. `unit`: number of the customer, or of the row without ids.
    `expected`: rows x (none, then the offers), the outcome expected in each arm, from models of the other folds.
    """

    offers: tuple[str, ...]
    arm: NDArray[np.str_]
    outcome: Array
    weight: Array
    people: Array
    fold: NDArray[np.intp]
    half: NDArray[np.intp]
    unit: NDArray[np.intp]
    expected: Array
    score: Array
    prediction: Mapping[str, Array]
    standard_error: Mapping[str, Array]

    def trial(self, offer: str) -> tuple[NDArray[np.bool_], Trial]:
        """The rows of this offer and of none, and the trial that they are."""
        rows = np.isin(self.arm, [offer, "none"])
        return rows, Trial(self.outcome[rows], np.asarray(self.arm[rows] == offer), self.weight[rows])


def predictions_out_of_fold(
    log: ExposureLog, outcome: str, names: Sequence[str], *, folds: int, seed: int, jobs: int = 1
) -> OutOfFold:
    """Each row's effects from models that never saw its customer."""
    y = outcome_of(log, outcome)
    check(log.table, log.exposures, y)
    fold = fold_numbers(log.table, log.exposures, y, folds=folds, seed=seed)
    tasks = [(name, number) for name in names for number in range(folds)]
    try:
        with ThreadPoolExecutor(jobs) as pool:  # LightGBM and LAPACK release the interpreter's lock
            answers = list(pool.map(lambda task: _answer(log, y, task[0], fold != task[1], seed), tasks))
    except ValueError as fault:  # the whole log was fine, what one fold leaves of it is not
        customers = len(np.unique(_units(log)))
        raise ValueError(f"log {log.name!r}: {customers:,} customers in {folds} folds: {fault}") from fault
    shape = (len(y), len(log.exposures.offers))
    effect, error = ({name: np.full(shape, np.nan) for name in names} for _ in range(2))
    for (name, number), (values, errors) in zip(tasks, answers, strict=True):
        effect[name][fold == number], error[name][fold == number] = values, errors
    if "constant" in effect:  # the folds' different averages would rank folds against each other, not customers
        effect["constant"][:] = effect["constant"].mean(axis=0)
    view = _view(log, y, seed)
    expect, score = _nuisances(view)
    return OutOfFold(
        offers=tuple(log.exposures.offers),
        arm=log.exposures.arm,
        outcome=y,
        weight=log.exposures.weight / view.probability,
        people=log.exposures.weight,
        fold=fold,
        half=fold_numbers(log.table, log.exposures, y, folds=2, seed=seed + 1),
        unit=_units(log),
        expected=expect,
        score=score,
        prediction=effect,
        standard_error=error,
    )


def outcome_of(log: ExposureLog, outcome: str) -> Array:
    """The outcome's column, or an error that names those there are."""
    if outcome not in log.outcomes.columns:
        raise ValueError(f"outcome == {outcome!r}, must be one of {list(log.outcomes.columns)} (log {log.name!r})")
    return log.outcomes[outcome].to_numpy(dtype=np.float64)


def losses(oof: OutOfFold, names: Sequence[str], rows: NDArray[np.bool_]) -> dict[str, float]:
    """The mean squared distance of the doubly robust score, per learner: smallest for the true effect."""
    return {
        name: float(np.average(((oof.score - oof.prediction[name]) ** 2).mean(axis=1)[rows], weights=oof.people[rows]))
        for name in names
    }


def choose(oof: OutOfFold, rows: NDArray[np.bool_]) -> str:
    """The learner with the smallest doubly robust loss on these rows; baselines are not chosen."""
    names = [name for name in oof.prediction if name not in (*BASELINES, CHOSEN)] or list(oof.prediction)
    found = losses(oof, names, rows)
    return min(found, key=lambda name: found[name])


def cross_chosen(oof: OutOfFold) -> Array:
    """Per row the prediction of the learner that was chosen on the other half: judges the choice honestly."""
    result = np.empty_like(oof.score)
    for half in (0, 1):
        name = choose(oof, oof.half != half)
        result[oof.half == half] = oof.prediction[name][oof.half == half]
    return result


def judge_all(oof: OutOfFold) -> dict[str, dict[str, Any]]:
    """Per offer: what every learner, the baselines and the choice bring, and the choice against the best baseline."""
    everything = {**oof.prediction, CHOSEN: cross_chosen(oof)}
    return {offer: _judge_offer(oof, everything, number) for number, offer in enumerate(oof.offers)}


def _judge_offer(oof: OutOfFold, everything: Mapping[str, Array], number: int) -> dict[str, Any]:
    rows, trial = oof.trial(oof.offers[number])
    predictions = {name: values[rows, number] for name, values in everything.items()}
    ranked = {name: qini_estimate(Ranking(values, trial), oof.unit[rows]) for name, values in predictions.items()}
    fits = {name: slope(oof.score[:, number], values[:, number], oof.people) for name, values in everything.items()}
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


def _answer(log: ExposureLog, y: Array, name: str, learn: NDArray[np.bool_], seed: int) -> tuple[Array, Array]:
    inside, outside = np.flatnonzero(learn), np.flatnonzero(~learn)
    model = LEARNERS[name](seed=seed).fit(log.table.take(inside), log.exposures.take(inside), y[inside])
    effects = model.effect(log.table.take(outside))
    return effects.effect, effects.standard_error


def _view(log: ExposureLog, y: Array, seed: int) -> Log:
    return Log(Encoder.fit(log.table).linear(log.table), log.table, log.exposures, y, seed)


def _nuisances(view: Log) -> tuple[Array, Array]:
    # The outcome expected in each arm, none first, and the doubly robust score of each offer.
    fitter = Fitter("linear", is_binary(view.outcome), [], view.seed)
    every = [Rows(view, offer) for offer in view.exposures.offers]
    control = expected(every[0], fitter, every[0].control)
    treated = [expected(rows, fitter, rows.treated) for rows in every]
    score = [doubly_robust(rows, given, control) for rows, given in zip(every, treated, strict=True)]
    return np.column_stack([control, *treated]), np.column_stack(score)


def _units(log: ExposureLog) -> NDArray[np.intp]:
    if log.table.customers is None:
        return np.arange(len(log.table))
    return np.unique(log.table.customers.astype(str), return_inverse=True)[1].astype(np.intp)
