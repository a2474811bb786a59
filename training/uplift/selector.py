"""Selector: all candidates, weighed by a doubly robust loss, shrunk to calibration, with standard errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.exposures import Exposures
from features.table import FeatureTable
from training.uplift.base import Effects
from training.uplift.bases import Matrix
from training.uplift.blend import Blend, blended
from training.uplift.candidates import CANDIDATES, believed
from training.uplift.encoder import Values, one_row
from training.uplift.out_of_fold import OutOfFold, cores, of_a_kind, out_of_fold, together
from training.uplift.per_offer import PerOffer
from training.uplift.rows import FOLDS, encoded
from training.uplift.stack import Stack, centred_in, stacked

FILE = "selector.json"


class Selector:
    """Weighs, for each offer, the candidates' out-of-fold effects; those with a weight are refit on all rows."""

    name: ClassVar[str] = "selector"

    offers_: tuple[str, ...]
    models_: Mapping[str, PerOffer]
    blends_: tuple[Blend, ...]

    def __init__(self, seed: int = 0, candidates: Sequence[str] = tuple(CANDIDATES)) -> None:
        self.seed = seed
        self.candidates = tuple(candidates)

    def fit(self, table: FeatureTable, exposures: Exposures, outcome: Matrix) -> Self:
        """The model, learned from rows that were exposed to an offer or to none."""
        outcome = np.asarray(outcome, dtype=np.float64)
        found = out_of_fold(self.candidates, table, exposures, outcome, folds=FOLDS, seed=self.seed)
        return self.learn(found, table, exposures)

    def learn(self, found: OutOfFold, table: FeatureTable, exposures: Exposures) -> Self:
        """As `fit`, where the candidates' effects out of fold are known already."""
        self.candidates = tuple(name for name in self.candidates if name in found.prediction)
        stacks = [_stack(found, self.candidates, offer) for offer in range(len(found.offers))]
        kept = np.flatnonzero(np.max([stack.weights for stack in stacks], axis=0) > 0)
        names = [self.candidates[number] for number in kept]
        with ThreadPoolExecutor(cores()) as pool:
            groups = pool.map(
                lambda group: together(group, table, exposures, found.outcome, self.seed), of_a_kind(names)
            )
            models = {name: model for group in groups for name, model in group.items()}
        self.offers_ = found.offers
        self.models_ = {name: models[name] for name in names}
        effects = self._effects(table)
        self.blends_ = tuple(
            blended(found, offer, stack, stack.weights[kept], effects[:, offer]) for offer, stack in enumerate(stacks)
        )
        return self

    def effect(self, table: FeatureTable) -> Effects:
        """The effects for these customers; the model is not changed."""
        effects = self._effects(table)
        answers = [blend.answer(effects[:, offer]) for offer, blend in enumerate(self.blends_)]
        return Effects(
            self.offers_,
            np.column_stack([effect for effect, _ in answers]),
            np.column_stack([error for _, error in answers]),
        )

    def effect_for(self, values: Values) -> Effects:
        """As `effect`, for one customer's plain values."""
        return self.effect(one_row(values))

    def weights(self) -> dict[str, dict[str, float]]:
        """Per offer what each candidate weighs; below 1 in all, the rest is the average effect."""
        return {
            offer: {name: blend.factor * weight for name, weight in zip(self.models_, blend.weights, strict=True)}
            for offer, blend in zip(self.offers_, self.blends_, strict=True)
        }

    def save(self, folder: Path) -> None:
        """Writes `selector.json`, and one folder per candidate with a weight."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in self.models_.items():
            model.save(folder / name)
        kept = {
            "name": self.name,
            "seed": self.seed,
            "candidates": self.candidates,
            "offers": self.offers_,
            "models": list(self.models_),
            "blends": [asdict(blend) for blend in self.blends_],
        }
        (folder / FILE).write_text(json.dumps(kept, indent=1, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that was saved in this folder."""
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        model = cls(seed=kept["seed"], candidates=kept["candidates"])
        model.offers_ = tuple(kept["offers"])
        model.models_ = {name: CANDIDATES[name].load(folder / name) for name in kept["models"]}
        model.blends_ = tuple(Blend(**blend) for blend in kept["blends"])
        return model

    def _effects(self, table: FeatureTable) -> Matrix:
        """Rows x offers x candidates with a weight."""
        encoders = {model.kind: model.encoder_ for model in self.models_.values()}
        X = {kind: encoded(kind, encoder, table) for kind, encoder in encoders.items()}
        found = [model.effect_of(X[model.kind]).effect for model in self.models_.values()]
        return np.stack(found, axis=2) if found else np.empty((len(table), len(self.offers_), 0))


def selected(found: OutOfFold, candidates: Sequence[str]) -> Matrix:
    """Per row what the selector says when its weights and its factor are learned without the row's fold."""
    candidates = [name for name in candidates if name in found.prediction]
    result = np.empty_like(found.score)
    for offer in range(len(found.offers)):
        centred = centred_in(_predictions(found, candidates, offer), found.people, found.fold)
        for number in np.unique(found.fold):
            rows = found.fold == number
            stack = _stack(found, candidates, offer, ~rows)
            result[rows, offer] = stack.factor * (centred[rows] @ stack.weights)
    return result + np.average(found.steady, axis=0, weights=found.people)


def _stack(
    found: OutOfFold, candidates: Sequence[str], offer: int, rows: NDArray[np.bool_] | slice = slice(None)
) -> Stack:
    predictions = _predictions(found, candidates, offer)[rows]
    score, people, fold = found.steady[rows, offer], found.people[rows], found.fold[rows]
    return stacked(score, predictions, people, fold, believed(candidates))


def _predictions(found: OutOfFold, candidates: Sequence[str], offer: int) -> Matrix:
    return np.column_stack([found.prediction[name][:, offer] for name in candidates])
