"""Rows: one offer against none as arrays, and the checks that a log can be learned from at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.exposures import CONTROL, Exposures
from features.table import FeatureTable
from training.uplift.bases import Base, Family, Matrix, binned, family_of, fit_linear, fit_trees
from training.uplift.encoder import Encoder
from training.uplift.folds import fold_numbers

if TYPE_CHECKING:
    import lightgbm

MIN_ARM = 50  # people in an arm: below this neither an effect nor its error can be estimated
MIN_PROBABILITY = 0.01  # an arm given more rarely would let single rows decide
FOLDS = 5  # of the cross-fitting
LARGE, FEW = 200_000, 3  # rows from which so few folds do: two thirds of them teach as much, in half the time


@dataclass(frozen=True)
class Log:
    """A log as arrays, in the encoding of one kind of base; what learners share is worked out when one first asks."""

    kind: str
    encoder: Encoder
    X: Matrix
    table: FeatureTable
    exposures: Exposures
    outcome: Matrix
    seed: int
    crossed: dict[str, Matrix] = field(default_factory=dict)  # by arm: see `Rows.arms`

    @classmethod
    def of(cls, kind: str, table: FeatureTable, exposures: Exposures, outcome: Matrix, seed: int) -> Log:
        """The log of these rows, `linear` or `lightgbm`."""
        encoder = Encoder.fit(table) if kind == "linear" else Encoder.of_codes(table)
        outcome = np.asarray(outcome, dtype=np.float64)
        return cls(kind, encoder, encoded(kind, encoder, table), table, exposures, outcome, seed)

    @cached_property
    def family(self) -> Family:
        return family_of(self.outcome)

    @cached_property
    def binned(self) -> lightgbm.Dataset:
        return binned(self.X, self.encoder.category_positions)

    def fitted(self, rows: NDArray[np.bool_], y: Matrix, weight: Matrix, *, family: Family) -> Base:
        """A model of y, in these rows."""
        if self.kind == "linear":
            return fit_linear(self.X[rows], y[rows], weight[rows], family=family)
        return fit_trees(self.binned, np.flatnonzero(rows), y[rows], weight[rows], family=family, seed=self.seed)

    @cached_property
    def probability(self) -> Matrix:
        """Of the arm that was given."""
        if self.probability_known:
            return np.clip(self.exposures.probability, MIN_PROBABILITY, 1.0)
        return probabilities(self.linear, self.exposures)

    @property
    def probability_known(self) -> bool:
        return bool(np.isfinite(self.exposures.probability).all())

    @cached_property
    def linear(self) -> Matrix:
        """The features as a linear model reads them, whatever the kind."""
        return self.X if self.kind == "linear" else Encoder.fit(self.table).linear(self.table)

    @cached_property
    def fold(self) -> NDArray[np.intp]:
        """0, 1, ..., for cross-fitting."""
        folds = folds_of(len(self.outcome))
        return fold_numbers(self.table, self.exposures, self.outcome, folds=folds, seed=self.seed)


@dataclass(frozen=True)
class Rows:
    """All rows of a log, seen for one offer: `treated` got it, `control` got none, the rest another offer."""

    log: Log
    offer: str

    @cached_property
    def treated(self) -> NDArray[np.bool_]:
        return np.asarray(self.log.exposures.arm == self.offer)

    @cached_property
    def control(self) -> NDArray[np.bool_]:
        return np.asarray(self.log.exposures.arm == CONTROL)

    @property
    def pair(self) -> NDArray[np.bool_]:
        """The rows of the offer and of none."""
        return self.treated | self.control

    @property
    def X(self) -> Matrix:  # noqa: N802  # the field's name
        return self.log.X

    @property
    def outcome(self) -> Matrix:
        return self.log.outcome

    @property
    def weight(self) -> Matrix:
        return self.log.exposures.weight

    def model(self, chosen: NDArray[np.bool_]) -> Base:
        """A model of the outcome in the chosen rows."""
        return self.log.fitted(chosen, self.outcome, self.weight, family=self.log.family)

    def amount(self, chosen: NDArray[np.bool_], y: Matrix, weight: Matrix) -> Base:
        """A model of a difference y in the chosen rows, whatever the outcome."""
        return self.log.fitted(chosen, y, weight, family="amount")

    @property
    def every(self) -> NDArray[np.bool_]:
        """All rows."""
        return np.ones(len(self.outcome), dtype=bool)

    def folds(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Per fold: the rows to learn from, and the rows to answer for."""
        for number in range(folds_of(len(self.outcome))):
            yield self.log.fold != number, self.log.fold == number

    def arms(self) -> tuple[Matrix, Matrix]:
        """Per row the outcome expected with the offer and without, by models of the other folds."""
        return self._crossed(self.offer), self._crossed(CONTROL)

    def _crossed(self, arm: str) -> Matrix:
        if arm not in self.log.crossed:
            self.log.crossed[arm] = self.out_of_fold(self.log.exposures.arm == arm, self.weight)
        return self.log.crossed[arm]

    def out_of_fold(self, chosen: NDArray[np.bool_], weight: Matrix) -> Matrix:
        """Per row the outcome expected by models of the chosen rows of the other folds."""
        expected = np.zeros(len(self.outcome))
        for learn, ask in self.folds():
            model = self.log.fitted(learn & chosen, self.outcome, weight, family=self.log.family)
            expected[ask] = model.predict(self.X[ask])
        return expected


def folds_of(rows: int, most: int = FOLDS) -> int:
    """In how many folds so many rows are dealt."""
    return min(most, FEW) if rows >= LARGE else most


def encoded(kind: str, encoder: Encoder, table: FeatureTable) -> Matrix:
    """The features as this kind of base reads them."""
    return encoder.linear(table) if kind == "linear" else encoder.codes(table)


def check(table: FeatureTable, exposures: Exposures, outcome: Matrix) -> None:
    """An error in one line when no effect can be learned from these rows."""
    if not len(table) == len(exposures) == len(outcome):
        raise ValueError(
            f"{len(table)} feature rows, {len(exposures)} exposures and {len(outcome)} outcomes; "
            "one of each per row is needed (exposures)"
        )
    if not exposures.offers:
        raise ValueError(f"no row has an offer, arms == {[CONTROL]}; at least one offer is needed (exposures)")
    for arm in [CONTROL, *exposures.offers]:
        count = int((exposures.arm == arm).sum())
        if count < MIN_ARM:
            raise ValueError(f"arm {arm!r} has {count} rows, must be >= {MIN_ARM} to learn an effect (exposures)")
    known = exposures.probability[np.isfinite(exposures.probability)]
    if wrong := known[(known <= 0) | (known > 1)].tolist():
        raise ValueError(f"probability == {wrong[0]} in {len(wrong)} rows, must be > 0 and <= 1 (exposures)")
    if not np.isfinite(outcome).all():
        raise ValueError(f"{int((~np.isfinite(outcome)).sum())} outcomes are not numbers; all must be (outcome)")
    if not outcome.any():
        raise ValueError(f"all {len(outcome)} outcomes are 0; at least one must differ from 0 (outcome)")


def is_binary(outcome: Matrix) -> bool:
    return family_of(outcome) == "binary"


def probabilities(X: Matrix, exposures: Exposures) -> Matrix:
    """The logged probability of the arm given; where unknown, that of a multinomial logistic model of the arm."""
    known = exposures.probability
    unknown = ~np.isfinite(known)
    if not unknown.any():
        return np.clip(known, MIN_PROBABILITY, 1.0)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=1000).fit(X, exposures.arm, sample_weight=exposures.weight)
    position = np.searchsorted(model.classes_, exposures.arm)
    estimated = model.predict_proba(X)[np.arange(len(X)), position]
    return np.clip(np.where(unknown, estimated, known), MIN_PROBABILITY, 1.0)
