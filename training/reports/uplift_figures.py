"""The numbers of the uplift report: aggregates only, from what a training run left in the workspace.

Everything is in outcomes per 1,000 customers. Errors are summed per customer first, so that a customer with several
exposures counts once; where every row is a customer they equal `training.metrics.uplift.average`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from features.exposures import CONTROL
from features.offers import Offer
from training.metrics.uplift import PER, Array, Estimate, Trial, balance, chance_of
from training.pipelines.policy import PolicyLog, Worth
from training.pipelines.uplift_evaluation import CHOSEN, without_nan
from training.reports.policy_figures import policy_figures
from training.reports.uplift_bands import bands_of
from training.reports.uplift_budget import budget_of
from training.reports.uplift_curves import curves_of
from training.reports.uplift_effects import clustered
from training.reports.uplift_harm import harm_of
from training.reports.uplift_kinds import kinds_of
from training.reports.uplift_learners import agreement_of
from training.reports.uplift_profit import profit_of
from training.reports.uplift_segments import segments_of
from training.uplift.customer_effects import FILE, CustomerEffects
from training.uplift.out_of_fold import OutOfFold
from training.uplift.rows import is_binary

ROWS = ("arm", "outcome", "weight", "people", "fold", "unit", "expected", "score")


@dataclass(frozen=True)
class Evidence:
    """What one run left: out-of-fold predictions, the features of the same rows, the aggregates and the effects."""

    run: str
    oof: OutOfFold
    features: pd.DataFrame
    evaluation: dict[str, Any]
    effects: CustomerEffects | None

    @classmethod
    def read(cls, folder: Path) -> Evidence:
        """The evidence in a run's folder."""
        with np.load(folder / "oof.npz", allow_pickle=False) as kept:
            if "expected" not in kept:
                raise ValueError(f"{folder}: oof.npz holds no expected outcomes; train it again")
            oof = OutOfFold(
                offers=tuple(kept["offers"].tolist()),
                prediction=_named(kept, "prediction:"),
                standard_error=_named(kept, "error:"),
                **{name: kept[name] for name in ROWS},
            )
        features = pd.read_parquet(folder / "features.parquet")
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        effects = CustomerEffects.load(folder) if (folder / FILE).exists() else None  # erased
        return cls(folder.name, oof, features, evaluation, effects)


def figures(evidence: Evidence, listed: Sequence[Offer] = (), currency: str = "EUR") -> dict[str, Any]:
    """All numbers of the report, ready for JSON: NaN is null. `listed`: the offers of `offers.yaml`."""
    oof, evaluation = evidence.oof, evidence.evaluation
    kept = ("log", "outcome", "chosen_learner", "split", "verdict", "baseline", "difference", "lower", "upper")
    segments, log = segments_of(evidence.features, oof), PolicyLog(oof, Worth.of(oof.offers, listed))
    offers = {offer: _offer(evidence, offer, log) | {"segments": segments[offer]} for offer in oof.offers}
    found: dict[str, Any] = without_nan(
        {
            "run": evidence.run,
            **{name: evaluation[name] for name in kept},
            "binary": is_binary(oof.outcome),
            "unit": f"{evaluation['outcome']} per {PER:,.0f} customers",
            "arms": [_arm(oof, arm) for arm in (CONTROL, *oof.offers)],
            "segments_tested": sum(len(one) for one in segments.values()),
            "offers": offers,
            "policy": policy_figures(oof, listed, currency),
            "budget": budget_of(log),
        }
    )
    return found


def _offer(evidence: Evidence, offer: str, log: PolicyLog) -> dict[str, Any]:
    oof, number = evidence.oof, evidence.oof.offers.index(offer)
    rows, trial = oof.trial(offer)
    unit = oof.unit[rows]
    predictions = {name: values[rows, number] for name, values in oof.prediction.items()}
    rng = np.random.default_rng(int(evidence.evaluation["split"]["seed"]))
    curve, top = curves_of(predictions, trial, unit, rng)
    return {
        "effect": _per(clustered(trial, unit)),
        "against": evidence.evaluation["offers"][offer]["against"],
        "checks": _checks(evidence.evaluation["checks"][offer]),
        "balance": _balance(evidence.features[rows], trial),
        "learners": _learners(evidence.evaluation["offers"][offer]["learners"], predictions, trial),
        "curve": curve,
        "top": top,
        "deciles": _deciles(predictions[CHOSEN], trial, unit, oof.people[rows]),
        "agreement": agreement_of(oof, offer, evidence.evaluation["weights"][offer]),
        "bands": bands_of(evidence.effects, offer),
        "kinds": kinds_of(oof, offer),
        "harm": harm_of(oof, offer),
        "profit": profit_of(log, offer, rng),
    }


def _checks(checks: Mapping[str, Any]) -> dict[str, Any]:
    return {**checks, "predictability": checks["predictability"] | {"p_value": coin_p(checks["predictability"])}}


def coin_p(guess: Mapping[str, float | None]) -> float | None:
    """The one-sided p-value of an AUC and its 95 % interval when a coin gave the offer; None where no AUC is known."""
    value, lower = guess["value"], guess["lower"]
    if value is None or lower is None or value <= lower:
        return None
    return float(stats.norm.sf((value - 0.5) / (value - lower) * stats.norm.ppf(0.975)))


def _arm(oof: OutOfFold, arm: str) -> dict[str, Any]:
    rows = oof.arm == arm
    weight, outcome = oof.weight[rows], oof.outcome[rows]
    mean = float(np.average(outcome, weights=weight))
    error = np.sqrt((np.bincount(oof.unit[rows], weight / weight.sum() * (outcome - mean)) ** 2).sum())
    counts = {
        "arm": arm,
        "rows": int(rows.sum()),
        "customers": len(np.unique(oof.unit[rows])),
        "with_outcome": int((outcome != 0).sum()),
    }
    return counts | _per(Estimate(mean, float(error)))


def _deciles(prediction: Array, trial: Trial, unit: NDArray[np.intp], people: Array) -> list[dict[str, Any]]:
    rank = stats.rankdata(-prediction, method="average")  # equal predictions share a tenth, as in by_decile
    tenth = np.minimum(((rank - 0.5) / len(rank) * 10).astype(int), 9)
    found = []
    for number in np.unique(tenth):
        rows = tenth == number
        treated = trial.treated[rows]
        if min(treated.sum(), (~treated).sum()) < 2:  # one row has no spread
            continue
        observed = clustered(Trial(trial.outcome[rows], treated, trial.weight[rows]), unit[rows])
        predicted = PER * float(np.average(prediction[rows], weights=people[rows]))
        found.append({"tenth": int(number) + 1, "rows": int(rows.sum()), "predicted": predicted, **_per(observed)})
    return found


def _learners(judged: Mapping[str, Any], predictions: Mapping[str, Array], trial: Trial) -> list[dict[str, Any]]:
    order = sorted(judged, key=lambda name: (name != CHOSEN, -judged[name]["qini"]))
    return [
        {
            "learner": name,
            "qini": judged[name]["qini"],
            "lower": judged[name]["qini_interval"][0],
            "upper": judged[name]["qini_interval"][1],
            "slope": judged[name]["slope"],
            **_sklift(predictions[name], trial),
        }
        for name in order
    ]


def _sklift(prediction: Array, trial: Trial) -> dict[str, float | None]:
    # scikit-uplift's measures are for outcomes of 0 and 1; a constant has no ranking for it to measure.
    if not is_binary(trial.outcome) or np.ptp(prediction) == 0:
        return {"sklift_qini": None, "sklift_uplift_at_30": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-uplift calls what newer libraries deprecate
        from sklift.metrics import qini_auc_score, uplift_at_k

        given = trial.outcome.astype(int), prediction, trial.treated.astype(int)
        qini, top = qini_auc_score(*given), uplift_at_k(*given, strategy="overall", k=0.3)
    return {"sklift_qini": float(qini), "sklift_uplift_at_30": float(top)}


def _balance(features: pd.DataFrame, trial: Trial) -> list[dict[str, Any]]:
    columns = _columns(features)
    if not columns:
        return []
    differences = balance(np.column_stack(list(columns.values())), trial.treated, trial.weight)
    chance = chance_of(differences, trial)
    rows = zip(columns, differences.tolist(), chance.tolist(), strict=True)
    found = [{"feature": name, "difference": one, "p_value": p} for name, one, p in rows]
    return sorted(found, key=lambda one: -abs(one["difference"]))


def _columns(features: pd.DataFrame) -> dict[str, Array]:
    # Each number, whether it is unknown, and each category as 0 or 1.
    columns: dict[str, Array] = {}
    for name, values in features.items():
        if isinstance(values.dtype, pd.CategoricalDtype):
            present = values.value_counts().head(12)  # rarer ones say nothing about balance
            columns |= {
                f"{name}: {one}": np.asarray(values == one, dtype=np.float64) for one in present.index[present > 0]
            }
            continue
        columns[str(name)] = values.fillna(values.mean()).fillna(0.0).to_numpy(np.float64)
        if values.isna().any():
            columns[f"{name}: unknown"] = np.asarray(values.isna(), dtype=np.float64)
    return columns


def _named(kept: Any, prefix: str) -> dict[str, Array]:
    names: Sequence[str] = [name for name in kept.files if name.startswith(prefix)]
    return {name.removeprefix(prefix): kept[name] for name in names}


def _per(estimate: Estimate) -> dict[str, float]:
    return {"value": PER * estimate.value, "lower": PER * estimate.lower, "upper": PER * estimate.upper}
