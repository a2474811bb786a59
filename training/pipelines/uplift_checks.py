"""Checks: what speaks against believing a campaign's log, in numbers and, where something does, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from features.exposures import CONTROL, ExposureLog
from training.metrics.uplift import PER, Array, Trial, balance, chance_of, predictability, sample_ratio
from training.uplift.encoder import Encoder
from training.uplift.out_of_fold import OutOfFold

FEW_OUTCOMES = 100  # below it chance alone moves a count by more than a tenth
UNLIKELY = 0.001  # a p-value this small is a fault of the test, not chance
DOUBT = 0.01  # an arm that was given with a probability below this, or above one less this, had no alternative
SHARE = 0.01  # of customers without an alternative that is still no warning
TOO_GOOD = 0.95  # AUC or correlation with the outcome that no feature from before the offer has
POWER = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))  # standard errors of an effect that is seen 80 times in 100
Checks = dict[str, Any]


def checks_of(log: ExposureLog, oof: OutOfFold, outcome: str, offer: str) -> Checks:
    """The checks of one offer against none; `warnings` says in words which of them failed."""
    rows, trial = oof.trial(offer)
    table = log.table.take(np.flatnonzero(rows))
    encoder = Encoder.fit(table)
    X, names = encoder.linear(table), encoder.linear_names
    guess, ratio = predictability(X, trial.treated, oof.fold[rows]), _ratio(log, offer)
    differences = balance(X, trial.treated, trial.weight)
    found = {
        "predictability": {"value": guess.value, "lower": guess.lower, "upper": guess.upper},
        "sample_ratio": ratio,
        "largest_difference": float(np.abs(differences).max(initial=0.0)),
        "without_overlap": _without_overlap(log, oof, rows),
        "few_outcomes": [arm for arm in (CONTROL, offer) if (oof.outcome[oof.arm == arm] != 0).sum() < FEW_OUTCOMES],
        "smallest_effect": smallest_effect(trial),
        "telling": _named(names, _telling(X, trial.outcome)),
        "different": [] if ratio is None else _named(names, chance_of(differences, trial) < UNLIKELY),
    }
    return found | {"warnings": [f"{offer}: {line}" for line in _warnings(found, outcome)]}


def smallest_effect(trial: Trial) -> float:
    """Per customer: what this many would show with 80 % power in a two-sided test at 5 %."""
    spread = np.sqrt(np.cov(trial.outcome, aweights=trial.weight))
    arms = (trial.weight[trial.treated], trial.weight[~trial.treated])
    return float(POWER * spread * np.sqrt(sum((weight**2).sum() / weight.sum() ** 2 for weight in arms)))


def _warnings(found: Checks, outcome: str) -> list[str]:
    said = []
    if found["without_overlap"] > SHARE:
        said.append(
            f"{found['without_overlap']:.0%} of the customers could hardly have been in another arm (probability below "
            f"{DOUBT} or above {1 - DOUBT}). What the offer does to them rests on the model alone."
        )
    if found["few_outcomes"]:
        said.append(
            f"Fewer than {FEW_OUTCOMES} rows with {outcome} in: {', '.join(found['few_outcomes'])}. "
            f"The smallest effect that this many customers show is {PER * found['smallest_effect']:.3g} per {PER:,.0f} "
            "(80 % power, two-sided 5 %)."
        )
    if found["telling"]:
        said.append(
            f"{', '.join(found['telling'])} says the outcome nearly perfectly. Was it known before the offer? "
            "If not, leave it out."
        )
    if found["different"]:
        said.append(
            f"the arms differ in {', '.join(found['different'])} by more than chance gives. Was it known before the "
            "offer? If not, leave it out; if it was, the arms were not drawn by chance."
        )
    return said


def _without_overlap(log: ExposureLog, oof: OutOfFold, rows: NDArray[np.bool_]) -> float:
    # One share for everybody, however small, is a design: each customer had the alternative, unless it is all of them.
    shares = [log.exposures.probability[oof.arm == arm] for arm in np.unique(oof.arm[rows])]
    if all(_fixed(share) and share[0] < 1 for share in shares):
        return 0.0
    people = oof.people[rows]
    probability = people / oof.weight[rows]
    return float(np.average((probability <= DOUBT) | (probability >= 1 - DOUBT), weights=people))


def _fixed(probability: Array) -> bool:
    return bool(np.isfinite(probability).all() and np.ptp(probability) == 0)


def _ratio(log: ExposureLog, offer: str) -> float | None:
    # Only where the probabilities are known and do not differ between customers is there a ratio to expect.
    arms = {arm: log.exposures.arm == arm for arm in (offer, CONTROL)}
    shares = {arm: log.exposures.probability[rows] for arm, rows in arms.items()}
    if not all(_fixed(values) for values in shares.values()):
        return None
    return sample_ratio([int(rows.sum()) for rows in arms.values()], [float(v[0]) for v in shares.values()])


def _telling(X: Array, outcome: Array) -> NDArray[np.bool_]:
    # Which columns alone order the rows by whether there is an outcome, or lie on a line with it.
    some = outcome != 0
    found = np.abs(_correlations(X, outcome)) > TOO_GOOD
    if some.all():
        return np.asarray(found)
    auc = np.array([roc_auc_score(some, column) for column in X.T])
    return np.asarray(found | (np.abs(auc - 0.5) > TOO_GOOD - 0.5))


def _correlations(X: Array, outcome: Array) -> Array:
    centred, y = X - X.mean(axis=0), outcome - outcome.mean()
    scale = np.sqrt((centred**2).sum(axis=0) * (y**2).sum())
    found: Array = np.divide(centred.T @ y, scale, out=np.zeros(X.shape[1]), where=scale > 0)
    return found


def _named(names: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    return list(dict.fromkeys(name for name, one in zip(names, chosen.tolist(), strict=True) if one))
