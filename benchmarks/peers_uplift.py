"""The comparators of uplift: runs in `.venv-peers` (`make setup-peers`) and imports nothing of Attune.

    .venv-peers/bin/python benchmarks/peers_uplift.py

Reads a folder per line from stdin. Its `given.npz` holds X, treated, outcome, fold, probability (of being treated; NaN
where it is not known), names and seed. Each fold from 0 on is answered by models of all other rows, so that rows with
fold -1 are only learned from; the effects are written to `effects.npz`. Prints JSON, a line each: first the packages'
versions, then per folder the CPU seconds by name.

LightGBM is as small as ours, because its default overfits effects; probabilities that are known are told; all else is
the library's default, on one thread.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from causalml.inference.meta import BaseDRRegressor, BaseXClassifier, BaseXRegressor
from causalml.inference.tree import UpliftRandomForestClassifier
from econml.dml import CausalForestDML
from econml.dr import DRLearner
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

FOLDS = 5  # of the cross-fitting
PACKAGES = ("causalml", "econml", "lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Rows:
    """What a model learns from, and the features that it answers for; `probability` is None where it is not known."""

    X: np.ndarray
    treated: np.ndarray
    outcome: np.ndarray
    probability: np.ndarray | None
    ask: np.ndarray
    ask_probability: np.ndarray | None
    seed: int

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.outcome, (0.0, 1.0)).all())

    @property
    def amount(self) -> LGBMRegressor:
        return LGBMRegressor(**self._small)

    @property
    def expected(self) -> LGBMClassifier | LGBMRegressor:
        """A model of the outcome."""
        return LGBMClassifier(**self._small) if self.binary else self.amount

    @property
    def arm(self) -> DummyClassifier | LogisticRegression:
        """A model of the treatment."""
        return LogisticRegression(max_iter=1000) if self.probability is None else DummyClassifier(strategy="prior")

    @property
    def _small(self) -> dict[str, Any]:
        leaf = max(5, min(200, len(self.outcome) // 20))
        trees = {"n_estimators": 60, "learning_rate": 0.05, "num_leaves": 8, "min_child_samples": leaf, "max_bin": 63}
        return trees | {"reg_lambda": 10.0, "n_jobs": 1, "verbosity": -1, "random_state": self.seed}


def causal_forest(rows: Rows) -> np.ndarray:
    """econml: 200 honest trees on residuals."""
    model = CausalForestDML(
        model_y=rows.expected,
        model_t=rows.arm,
        discrete_outcome=rows.binary,
        discrete_treatment=True,
        n_estimators=200,
        cv=FOLDS,
        n_jobs=1,
        random_state=rows.seed,
    )
    return model.fit(rows.outcome, rows.treated, X=rows.X).effect(rows.ask)


def econml_dr(rows: Rows) -> np.ndarray:
    """econml: LightGBM on doubly robust scores."""
    model = DRLearner(
        model_propensity=rows.arm,
        model_regression=rows.expected,
        model_final=rows.amount,
        discrete_outcome=rows.binary,
        min_propensity=0.01,
        cv=FOLDS,
        random_state=rows.seed,
    )
    return model.fit(rows.outcome, rows.treated, X=rows.X).effect(rows.ask)


def uplift_forest(rows: Rows) -> np.ndarray:
    """causalml: 100 trees that split by divergence; of an amount the chance of one, times its mean."""
    some = rows.outcome > 0
    model = UpliftRandomForestClassifier("none", n_estimators=100, n_jobs=1, random_state=rows.seed)
    model.fit(rows.X, np.where(rows.treated == 1, "offer", "none"), some.astype(int))
    return model.predict(rows.ask)[:, 0] * rows.outcome[some].mean()


def causalml_x(rows: Rows) -> np.ndarray:
    """causalml: differences against the other arm's model, learned again."""
    if rows.binary:
        model = BaseXClassifier(outcome_learner=rows.expected, effect_learner=rows.amount)
    else:
        model = BaseXRegressor(rows.amount)
    model.fit(rows.X, rows.treated, rows.outcome, p=rows.probability)
    return model.predict(rows.ask, p=rows.ask_probability)[:, 0]


def causalml_dr(rows: Rows) -> np.ndarray:
    """causalml: doubly robust scores in three parts; a regressor, as its classifier takes classes for chances."""
    model = BaseDRRegressor(rows.amount)
    model.fit(rows.X, rows.treated, rows.outcome, p=rows.probability, seed=rows.seed)
    return model.predict(rows.ask)[:, 0]


METHODS: dict[str, Callable[[Rows], np.ndarray]] = {
    "causal-forest": causal_forest,
    "uplift-forest": uplift_forest,
    "econml-dr": econml_dr,
    "causalml-x": causalml_x,
    "causalml-dr": causalml_dr,
}


def answered(folder: Path) -> dict[str, float]:
    """CPU seconds by name; the effects are left in the folder."""
    with np.load(folder / "given.npz", allow_pickle=False) as kept:
        given = dict(kept)
    effects, seconds = {}, {}
    for name in given["names"].tolist():
        effects[name] = np.full(len(given["outcome"]), np.nan)
        started = time.process_time()
        for fold in range(int(given["fold"].max()) + 1):
            effects[name][given["fold"] == fold] = np.ravel(METHODS[name](split(given, fold)))
        seconds[name] = time.process_time() - started
    np.savez(folder / "effects.npz", **effects)
    return seconds


def split(given: dict[str, np.ndarray], fold: int) -> Rows:
    """What is learned from, and asked for, in this fold."""
    learn, ask = given["fold"] != fold, given["fold"] == fold
    known = bool(np.isfinite(given["probability"]).all())
    chance = [given["probability"][rows] if known else None for rows in (learn, ask)]
    parts = (given[name][learn] for name in ("X", "treated", "outcome"))
    return Rows(*parts, chance[0], given["X"][ask], chance[1], int(given["seed"]))


def main() -> None:
    """Answers until stdin ends."""
    warnings.filterwarnings("ignore")
    print(json.dumps({package: version(package) for package in PACKAGES}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(Path(line.strip()))), flush=True)


if __name__ == "__main__":
    main()
