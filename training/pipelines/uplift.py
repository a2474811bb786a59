"""From a campaign's log to a judged, registered uplift model: wiring only.

    log -> consent -> features -> out-of-fold effects of every learner, in the same folds -> selector -> refit on all

The selector is judged honestly: what it says of a fold (`chosen`) has weights that were learned from the other folds'
out-of-fold effects. The figures of single learners are out of fold too, but the best of many is flattered by luck. With
one learner there is nothing to select: that learner is judged and registered.

What a run leaves in `workspace.runs / run_id` (the report reads it; per-customer parts never leave the workspace):

- `oof.npz`: per row of the log `arm`, `outcome`, `weight` (people over the probability of the arm), `people`, `fold`,
  `unit`, `expected` (rows x none and the offers), `score` (rows x offers), `prediction:NAME` and `error:NAME`
  (rows x offers) per learner and for `chosen`, and `offers`.
- `features.parquet`: the features, row i belongs to row i of `oof.npz`.
- `effects.npz`: `customers`, `offers`, `effect`, `standard_error` of the registered model and `baseline`, the outcome
  expected without an offer, one row per customer; without `customers` where the log names none, one row per row.
- `evaluation.json`, aggregates only: `log`, `outcome`, `metric`, `unit`, `model`, `baseline`, `difference`, `lower`,
  `upper` (of `chosen` against the better baseline, mean over the offers), `verdict`, `split`, `chosen_learner`,
  `weights` (per offer what each learner weighs in the choice; what is missing to 1 is the average effect),
  `checks` (per offer `predictability`, `sample_ratio`: a p-value or null, `largest_difference`: the largest
  standardised mean difference, `without_overlap`: a share, `few_outcomes`: arms, `smallest_effect` per customer,
  `telling` and `different`: features that may be from after the offer, and `warnings`), and `offers`: per offer
  `average`, `rows`, `deciles`, `curve` {share, extra}, `against`, and `learners`: per learner `qini`, `qini_interval`,
  `slope`, `uplift_at`. An estimate is {value, lower, upper}; Qini and `extra` are outcomes per 1,000 customers.
  Where the champion was judged again, `champion` (see `uplift_champion`). `features`: their distribution (`stability`).
- `model/`: the learner, as `UpliftModel.save` writes it. What is registered has `baseline/` in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.consent import consented_customers, left_out
from features.exposures import ExposureLog
from features.ledger import Ledger
from features.workspace import Workspace
from training.metrics.uplift import Array
from training.pipelines.uplift_champion import UNTIL, facing
from training.pipelines.uplift_checks import checks_of
from training.pipelines.uplift_evaluation import (
    CHOSEN,
    judge_all,
    outcome_of,
    over_offers,
    predictions_out_of_fold,
    without_nan,
)
from training.registration import EVALUATION, KEPT, REGISTERED, Finished, Registered, building, register
from training.release import MODEL, save_model
from training.stability import shapes
from training.uplift import BASELINES, CANDIDATES, COMPARED
from training.uplift.baseline import FOLDER as BASELINE
from training.uplift.baseline import Baseline
from training.uplift.candidates import suited
from training.uplift.customer_effects import CustomerEffects
from training.uplift.out_of_fold import OutOfFold
from training.uplift.per_offer import PerOffer
from training.uplift.rows import is_binary
from training.uplift.selector import Selector, selected

NOT_DISTINGUISHABLE = "not distinguishable"
METRIC = "qini"
UNIT = "extra outcomes per 1,000 customers"


@dataclass(frozen=True)
class Judged:
    """What one training run found: the models refit on all rows, their out-of-fold evidence and the aggregates."""

    model: PerOffer | Selector
    baseline: Baseline
    oof: OutOfFold
    evaluation: dict[str, Any]


def allowed(log: ExposureLog, workspace: Workspace, as_of: datetime) -> tuple[ExposureLog, str]:
    """The rows of customers who agreed to personalisation, and a line on who was left out."""
    if log.table.customers is None:
        return log, "consent: the log names no customers; nobody left out"
    agreed = set(consented_customers(Ledger.at(workspace.ledger), purpose="personalisation", as_of=as_of))
    keep = np.array([customer in agreed for customer in log.table.customers], dtype=bool)
    everybody, kept = set(log.table.customers), set(log.table.customers[keep])
    line = left_out(len(everybody), len(everybody) - len(kept), "personalisation")
    if not keep.any():
        raise ValueError(f"log {log.name!r}: {line}; at least one customer must agree")
    return taken(log, np.flatnonzero(keep)), line


def taken(log: ExposureLog, rows: np.ndarray[Any, np.dtype[np.intp]]) -> ExposureLog:
    """The log of these rows."""
    outcomes = log.outcomes.iloc[rows].reset_index(drop=True)
    return replace(log, table=log.table.take(rows), exposures=log.exposures.take(rows), outcomes=outcomes)


def judged(
    log: ExposureLog, outcome: str, names: Sequence[str], *, folds: int, seed: int, compare: Sequence[str] = ()
) -> Judged:
    """All learners and baselines out of fold, the selector of them judged the same way, and refit on all rows.

    `compare`: names of `COMPARED`, judged in the same folds and nothing else.
    """
    y = outcome_of(log, outcome)
    _check_names(names, compare, binary=is_binary(y))
    if not suited(names, y):
        raise ValueError(
            f"learner == {names[0]!r} is of amounts most of which are 0; {outcome!r} is none (uplift.learners)"
        )
    candidates = list(dict.fromkeys([*names, *BASELINES]))
    oof = predictions_out_of_fold(log, outcome, [*candidates, *dict.fromkeys(compare)], folds=folds, seed=seed)
    model, chosen = _chosen(log, oof, names, seed)
    oof = replace(oof, prediction={**oof.prediction, CHOSEN: chosen})
    baseline = Baseline().fit(log.table, log.exposures, oof.outcome)
    return Judged(model, baseline, oof, _evaluation(log, outcome, oof, model, seed))


def _check_names(names: Sequence[str], compare: Sequence[str], *, binary: bool) -> None:
    if unknown := [name for name in names if name not in CANDIDATES]:
        raise ValueError(f"learner == {unknown[0]!r}, must be one of {list(CANDIDATES)} (uplift.learners)")
    if unknown := [name for name in compare if name not in COMPARED]:
        raise ValueError(f"compare == {unknown[0]!r}, must be one of {list(COMPARED)} (uplift.compare)")
    if compare and not binary:
        raise ValueError(f"compare == {list(compare)} needs an outcome of 0 and 1 (uplift.compare)")


def _chosen(log: ExposureLog, oof: OutOfFold, names: Sequence[str], seed: int) -> tuple[PerOffer | Selector, Array]:
    if len(set(names)) == 1:
        model = CANDIDATES[names[0]](seed=seed).fit(log.table, log.exposures, oof.outcome)
        return model, oof.prediction[names[0]]
    candidates = [name for name in oof.prediction if name in CANDIDATES]
    return Selector(seed, candidates).learn(oof, log.table, log.exposures), selected(oof, candidates)


def save_evidence(found: Judged, log: ExposureLog, folder: Path) -> None:
    """Writes `oof.npz`, `features.parquet`, `evaluation.json` and `model/`."""
    folder.mkdir(parents=True, exist_ok=True)
    oof = found.oof
    rows = ("arm", "outcome", "weight", "people", "fold", "unit", "expected", "score")
    arrays: dict[str, Any] = {name: getattr(oof, name) for name in rows} | {"offers": np.array(oof.offers)}
    arrays |= {f"prediction:{name}": values for name, values in oof.prediction.items()}
    arrays |= {f"error:{name}": values for name, values in oof.standard_error.items()}
    np.savez_compressed(folder / "oof.npz", **arrays)
    log.table.frame.to_parquet(folder / "features.parquet")
    (folder / EVALUATION).write_text(_json(found.evaluation), encoding="utf-8")
    found.model.save(folder / "model")


def save_effects(found: Judged, log: ExposureLog, folder: Path) -> None:
    """Writes `effects.npz`: one row per customer, as of the last exposure; without ids one row per row of the log."""
    table = log.table
    if table.customers is None:
        CustomerEffects(None, found.model.effect(table), found.baseline.expected(table)).save(folder)
        return
    customers = table.customers.astype(np.str_)
    last = len(customers) - 1 - np.unique(customers[::-1], return_index=True)[1]
    latest = table.take(last.astype(np.intp))
    CustomerEffects(customers[last], found.model.effect(latest), found.baseline.expected(latest)).save(folder)


def fingerprint(log: ExposureLog, outcome: str) -> str:
    """The first 16 hex digits of SHA-256 over features, arms and outcome: the same data has the same."""
    content = log.table.frame.assign(arm=log.exposures.arm, outcome=outcome_of(log, outcome))
    keys = np.asarray(pd.util.hash_pandas_object(content, index=False))
    return hashlib.sha256(keys.tobytes()).hexdigest()[:16]


def verdict(against: dict[str, Any]) -> str:
    """In words: better, worse, or not distinguishable from the baseline."""
    if against["lower"] > 0:
        return f"better than {against['baseline']}"
    return f"worse than {against['baseline']}" if against["upper"] < 0 else NOT_DISTINGUISHABLE


def lines(evaluation: dict[str, Any]) -> list[str]:
    """The warnings, the table of learners against baselines, per offer, and the verdict."""
    shown = [f"warning: {line}" for checks in evaluation["checks"].values() for line in checks["warnings"]]
    for offer, found in evaluation["offers"].items():
        effect = found["average"]
        shown.append(
            f"{offer}: average effect {effect['value']:.4f} [{effect['lower']:.4f}, {effect['upper']:.4f}] "
            f"({found['rows']['offer']:,} offered, {found['rows']['none']:,} not)"
        )
        shown.append(f"  {'learner':<17} {'Qini':>7}  {'95 % interval':<18} {'slope':>6}  top 20 %")
        shown.extend(_line(name, figures) for name, figures in found["learners"].items())
        shown.append(f"  weights: {weights_in_words(evaluation['weights'][offer])}")
    shown.append(f"{evaluation['chosen_learner']}: {evaluation['verdict']} (Qini: {UNIT})")
    return [*shown, f"the champion {evaluation['champion']['words']}"] if "champion" in evaluation else shown


def weights_in_words(weights: dict[str, float]) -> str:
    """What each learner weighs, the weightiest first, and the average effect."""
    order = sorted((name for name in weights if weights[name] >= 0.005), key=lambda name: -weights[name])
    return ", ".join(
        [*(f"{name} {weights[name]:.2f}" for name in order), f"average {max(0.0, 1 - sum(weights.values())):.2f}"]
    )


def _line(name: str, figures: dict[str, Any]) -> str:
    low, high = figures["qini_interval"]
    return (
        f"  {name:<17} {figures['qini']:>7.2f}  {f'[{low:.2f}, {high:.2f}]':<18} "
        f"{figures['slope']['value']:>6.2f}  {figures['uplift_at']['0.2']:+.4f}"
    )


def _evaluation(
    log: ExposureLog, outcome: str, oof: OutOfFold, model: PerOffer | Selector, seed: int
) -> dict[str, Any]:
    offers = judge_all(oof)
    against = [offers[offer]["against"] for offer in oof.offers]
    found = {"baseline": " and ".join(dict.fromkeys(one["baseline"] for one in against)), **over_offers(against)}
    return {
        "log": log.name,
        "outcome": outcome,
        "metric": METRIC,
        "unit": UNIT,
        "model": float(np.mean([offers[offer]["learners"][CHOSEN]["qini"] for offer in oof.offers])),
        **found,
        "verdict": verdict(found),
        "chosen_learner": model.name,
        "weights": model.weights(),
        "split": {"kind": "out of fold", "folds": int(oof.fold.max()) + 1, "seed": seed, "rows": len(oof.outcome)},
        "features": shapes(log.table),
        "checks": {offer: checks_of(log, oof, outcome, offer) for offer in oof.offers},
        "offers": offers,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(without_nan(value), indent=1, allow_nan=False)


def train(
    workspace: Workspace,
    log: ExposureLog,
    outcome: str,
    names: Sequence[str],
    *,
    seed: int,
    window: timedelta = timedelta(0),
) -> tuple[Judged, Registered]:
    """A judged model and the version that holds it; `log` holds only customers who agreed.

    `window`: how long after an exposure its outcome is known; 0 where the log brings the outcomes.
    """
    settings = workspace.settings.uplift
    found = judged(log, outcome, names, folds=settings.folds, seed=seed, compare=settings.compare)
    params = {"log": log.name, "outcome": outcome, "learner": found.model.name, "seed": seed}
    champion = facing(workspace, log, found.oof, found.model, params, window)
    found = replace(found, evaluation=found.evaluation | champion)
    metrics = {METRIC: found.evaluation["model"], "qini_difference": found.evaluation["difference"]}
    # What is registered is the model alone: no row of a customer goes with it.
    facts = {"kind": "uplift", "name": found.model.name, "as_of": log.table.as_of, "seed": found.model.seed}
    facts |= {} if log.exposures.time is None else {UNTIL: str(log.exposures.time.max())}
    with building(workspace) as folder:
        save_evidence(found, log, folder / KEPT)
        save_effects(found, log, folder / KEPT)
        save_model(found.model, folder / REGISTERED, facts)
        found.baseline.save(folder / REGISTERED / MODEL / BASELINE)
        finished = Finished("uplift", params, fingerprint(log, outcome), metrics, *_example(found.model, log))
        return found, register(workspace, finished, folder)


def _example(model: PerOffer | Selector, log: ExposureLog) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A few rows and their effects, from which MLflow reads the signature."""
    few = log.table.take(np.arange(min(5, len(log.table))))
    return few.frame, pd.DataFrame(model.effect(few).effect, columns=list(model.offers_))
