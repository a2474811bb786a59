"""Baseline: the outcome that is expected without an offer. Who would have bought anyway redeems an offer too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np

from features.exposures import CONTROL, Exposures
from features.table import FeatureTable
from training.uplift.bases import Base, Matrix, family_of, fit_linear, load_base
from training.uplift.encoder import Encoder, Values

FOLDER = "baseline"  # inside the model's folder


class Baseline:
    """A linear model of the outcome, learned from the rows that got no offer."""

    encoder_: Encoder
    base_: Base
    ceiling_: float  # what is expected never lies above: 1 for a binary outcome

    def fit(self, table: FeatureTable, exposures: Exposures, outcome: Matrix) -> Self:
        """The model; whatever the learner of the effects is, this one is the same."""
        control = np.flatnonzero(exposures.arm == CONTROL)
        self.encoder_ = Encoder.fit(table)
        X, family = self.encoder_.linear(table.take(control)), family_of(outcome)
        self.base_ = fit_linear(X, outcome[control], exposures.weight[control], family=family)
        self.ceiling_ = 1.0 if family == "binary" else float("inf")
        return self

    def expected(self, table: FeatureTable) -> Matrix:
        """Per customer the expected outcome without an offer, never below 0."""
        return self._expected(self.encoder_.linear(table))

    def expected_for(self, values: Values) -> float:
        """As `expected`, for one customer's plain values."""
        return float(self._expected(self.encoder_.linear_row(values))[0])

    def _expected(self, X: Matrix) -> Matrix:
        found: Matrix = np.clip(self.base_.predict(X), 0.0, self.ceiling_)
        return found

    def save(self, folder: Path) -> None:
        """Writes `baseline.json` and `control.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.base_.save(folder / "control")
        kept = {"binary": self.ceiling_ == 1.0, "encoder": self.encoder_.to_json()}
        (folder / "baseline.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that was saved in this folder."""
        kept = json.loads((folder / "baseline.json").read_text(encoding="utf-8"))
        model = cls()
        model.encoder_ = Encoder.from_json(kept["encoder"])
        model.base_ = load_base(folder / "control")
        model.ceiling_ = 1.0 if kept["binary"] else float("inf")
        return model
