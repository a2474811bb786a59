"""Rows: one offer against none as arrays, and the checks that a log can be learned from at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.exposures import CONTROL, Exposures
from features.table import FeatureTable
from training.uplift.bases import Base, Matrix, fit_linear, fit_trees
from training.uplift.encoder import Encoder

MIN_ARM = 50  # people in an arm: below this neither an effect nor its error can be estimated
MIN_PROBABILITY = 0.01  # an arm given more rarely would let single rows decide
FOLDS = 5  # of the cross-fitting


@dataclass(frozen=True)
class Fitter:
    """How a base model is fitted: `linear` or `lightgbm`, with what it needs to know about the matrix."""

    kind: str
    binary: bool
    categories: list[int]
    seed: int

    def outcome(self, X: Matrix, y: Matrix, weight: Matrix, *, extra: int = 0) -> Base:
        """A model of the outcome; `extra` columns stand before the features."""
        return self._fit(X, y, weight, binary=self.binary, extra=extra)

    def amount(self, X: Matrix, y: Matrix, weight: Matrix) -> Base:
        """A model of a difference, whatever the outcome."""
        return self._fit(X, y, weight, binary=False, extra=0)

    def _fit(self, X: Matrix, y: Matrix, weight: Matrix, *, binary: bool, extra: int) -> Base:
        if self.kind == "linear":
            return fit_linear(X, y, weight, binary=binary)
        categories = [position + extra for position in self.categories]
        return fit_trees(X, y, weight, binary=binary, categories=categories, seed=self.seed)


@dataclass(frozen=True)
class Log:
    """A log as arrays; probabilities and folds are worked out when a learner first asks."""

    X: Matrix
    table: FeatureTable
    exposures: Exposures
    outcome: Matrix
    seed: int

    @cached_property
    def probability(self) -> Matrix:
        """Of the arm that was given."""
        if np.isfinite(self.exposures.probability).all():
            return np.clip(self.exposures.probability, MIN_PROBABILITY, 1.0)
        return probabilities(Encoder.fit(self.table).linear(self.table), self.exposures)

    @cached_property
    def fold(self) -> NDArray[np.intp]:
        """0..FOLDS-1, for cross-fitting."""
        return fold_numbers(self.table, self.exposures, self.outcome, folds=FOLDS, seed=self.seed)


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
    def X(self) -> Matrix:  # noqa: N802  # the field's name
        return self.log.X

    @property
    def outcome(self) -> Matrix:
        return self.log.outcome

    @property
    def weight(self) -> Matrix:
        return self.log.exposures.weight

    def model(self, fitter: Fitter, chosen: NDArray[np.bool_]) -> Base:
        """A model of the outcome in the chosen rows."""
        return fitter.outcome(self.X[chosen], self.outcome[chosen], self.weight[chosen])

    def folds(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Per fold: the rows to learn from, and the rows to answer for."""
        for number in range(FOLDS):
            yield self.log.fold != number, self.log.fold == number


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
    return bool(np.isin(outcome, (0.0, 1.0)).all())


def probabilities(X: Matrix, exposures: Exposures) -> Matrix:
    """The logged probability of the arm given; where unknown, that of a multinomial logistic model of the arm."""
    known = exposures.probability
    unknown = ~np.isfinite(known)
    if not unknown.any():
        return np.clip(known, MIN_PROBABILITY, 1.0)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(X, exposures.arm, sample_weight=exposures.weight)
    position = np.searchsorted(model.classes_, exposures.arm)
    estimated = model.predict_proba(X)[np.arange(len(X)), position]
    return np.clip(np.where(unknown, estimated, known), MIN_PROBABILITY, 1.0)


def fold_numbers(
    table: FeatureTable, exposures: Exposures, outcome: Matrix, *, folds: int, seed: int
) -> NDArray[np.intp]:
    """A fold per row: all rows of a customer share one, and the order of the rows does not matter."""
    if table.customers is not None:
        customers, position = np.unique(table.customers.astype(str), return_inverse=True)
        keys = np.asarray(pd.util.hash_array(customers.astype(object)), dtype=np.uint64)
        return _dealt(keys, np.zeros(len(keys)), folds, seed)[position]
    content = table.frame.assign(arm=exposures.arm, outcome=outcome, weight=exposures.weight)
    keys = np.asarray(pd.util.hash_pandas_object(content, index=False), dtype=np.uint64)
    return _dealt(keys, np.unique(exposures.arm, return_inverse=True)[1], folds, seed)


def _dealt(keys: NDArray[np.uint64], group: NDArray[np.generic], folds: int, seed: int) -> NDArray[np.intp]:
    # Shuffled by a hash of what the row holds and dealt like cards within each group; equal rows are interchangeable.
    mixed = pd.util.hash_array(keys ^ np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64))
    order = np.lexsort((mixed, group))
    dealt = np.empty(len(keys), dtype=np.intp)
    dealt[order] = np.arange(len(keys)) % folds
    return dealt
