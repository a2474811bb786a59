"""PerOffer: what all learners share. Each offer is learned against `none`, from one encoding of the features."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from features.exposures import Exposures
from features.table import FeatureTable
from training.uplift.base import Effects
from training.uplift.bases import Base, Matrix, load_base
from training.uplift.encoder import Encoder
from training.uplift.rows import Fitter, Log, Rows, check, is_binary

Parts = Mapping[str, Base]


class PerOffer(ABC):
    """A learner says how the parts of one offer are fitted, and what effect they give."""

    name: ClassVar[str]
    kind: ClassVar[str] = "linear"

    encoder_: Encoder
    offers_: tuple[str, ...]
    parts_: tuple[Parts, ...]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def parts(self, rows: Rows, fitter: Fitter) -> Parts:
        """The fitted base models of one offer."""

    @abstractmethod
    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        """Effect and standard error of one offer."""

    def fit(self, table: FeatureTable, exposures: Exposures, outcome: Matrix) -> Self:
        """The model, learned from rows that were exposed to an offer or to none."""
        check(table, exposures, outcome)
        self.encoder_ = Encoder.fit(table) if self.kind == "linear" else Encoder.of_codes(table)
        self.offers_ = tuple(exposures.offers)
        fitter = Fitter(self.kind, is_binary(outcome), self.encoder_.category_positions, self.seed)
        log = Log(self._matrix(table), table, exposures, np.asarray(outcome, dtype=np.float64), self.seed)
        self.parts_ = tuple(self.parts(Rows(log, offer), fitter) for offer in self.offers_)
        return self

    def effect(self, table: FeatureTable) -> Effects:
        """The effects for these customers; the model is not changed."""
        X = self._matrix(table)
        answers = [self.answer(parts, X) for parts in self.parts_]
        return Effects(
            self.offers_,
            np.column_stack([effect for effect, _ in answers]),
            np.column_stack([error for _, error in answers]),
        )

    def save(self, folder: Path) -> None:
        """Writes `learner.json` and one npz or LightGBM text model per part."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, parts in enumerate(self.parts_):
            for part, base in parts.items():
                base.save(folder / f"{number}-{part}")
        kept = {
            "name": self.name,
            "seed": self.seed,
            "offers": self.offers_,
            "parts": [list(parts) for parts in self.parts_],
            "encoder": self.encoder_.to_json(),
        }
        (folder / "learner.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that was saved in this folder."""
        kept = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
        if kept["name"] != cls.name:
            raise ValueError(f"{folder}: holds the learner {kept['name']!r}, expected {cls.name!r}")
        model = cls(seed=kept["seed"])
        model.encoder_ = Encoder.from_json(kept["encoder"])
        model.offers_ = tuple(kept["offers"])
        model.parts_ = tuple(
            {part: load_base(folder / f"{number}-{part}") for part in parts}
            for number, parts in enumerate(kept["parts"])
        )
        return model

    def _matrix(self, table: FeatureTable) -> Matrix:
        return self.encoder_.linear(table) if self.kind == "linear" else self.encoder_.codes(table)
