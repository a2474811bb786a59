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
from training.uplift.encoder import Encoder, Values, one_row
from training.uplift.rows import Log, Rows, check, encoded

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
    def parts(self, rows: Rows) -> Parts:
        """The fitted base models of one offer."""

    @abstractmethod
    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        """Effect and standard error of one offer."""

    def fit(self, table: FeatureTable, exposures: Exposures, outcome: Matrix) -> Self:
        """The model, learned from rows that were exposed to an offer or to none."""
        check(table, exposures, outcome)
        return self.learn(Log.of(self.kind, table, exposures, outcome, self.seed))

    def learn(self, log: Log) -> Self:
        """As `fit`, from a checked log of this kind, which other learners may share."""
        self.encoder_ = log.encoder
        self.offers_ = tuple(log.exposures.offers)
        self.parts_ = tuple(self.parts(Rows(log, offer)) for offer in self.offers_)
        return self

    def effect(self, table: FeatureTable) -> Effects:
        """The effects for these customers; the model is not changed."""
        return self.effect_of(encoded(self.kind, self.encoder_, table))

    def effect_for(self, values: Values) -> Effects:
        """As `effect`, for one customer's plain values."""
        if self.kind == "linear":
            return self.effect_of(self.encoder_.linear_row(values))
        return self.effect(one_row(values))

    def effect_of(self, X: Matrix) -> Effects:
        """As `effect`, from features that are encoded already."""
        answers = [self.answer(parts, X) for parts in self.parts_]
        return Effects(
            self.offers_,
            np.column_stack([effect for effect, _ in answers]),
            np.column_stack([error for _, error in answers]),
        )

    def weights(self) -> dict[str, dict[str, float]]:
        """Per offer what each learner weighs: this one alone."""
        return {offer: {self.name: 1.0} for offer in self.offers_}

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
