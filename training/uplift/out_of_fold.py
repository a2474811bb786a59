"""Out of fold: the effects of all candidates in the same folds, each row's from models that never saw its customer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.exposures import CONTROL, Exposures
from features.table import FeatureTable
from training.uplift.base import Effects
from training.uplift.bases import Matrix, family_of
from training.uplift.candidates import CANDIDATES, suited
from training.uplift.compared import COMPARED
from training.uplift.dr import doubly_robust
from training.uplift.folds import fold_numbers
from training.uplift.per_offer import PerOffer
from training.uplift.rows import Log, Rows, check, encoded, folds_of

if TYPE_CHECKING:
    from training.metrics.uplift import Trial

KINDS = ("lightgbm", "linear")  # the longest work first
JUDGED = {**CANDIDATES, **COMPARED}
CAP = 5.0  # times the median of those above 0: the most that an amount counts in weights and averages
Task = tuple[list[str], NDArray[np.bool_]]  # candidates of one kind, and the rows they learn from


@dataclass(frozen=True)
class OutOfFold:
    """Per row of the log: arm, outcome, weight over probability, fold, doubly robust score and predictions.

    `score` and each `prediction` are rows x offers. `unit`: number of the customer, or of the row without ids.
    `expected`: rows x (none, then the offers), the outcome expected in each arm, from models of other folds.
    """

    offers: tuple[str, ...]
    arm: NDArray[np.str_]
    outcome: Matrix
    weight: Matrix
    people: Matrix
    fold: NDArray[np.intp]
    unit: NDArray[np.intp]
    expected: Matrix
    score: Matrix
    prediction: Mapping[str, Matrix]
    standard_error: Mapping[str, Matrix]

    @cached_property
    def steady(self) -> Matrix:
        """The score of amounts up to `CAP`, scaled to the mean of all: a few large ones would decide; else the score.

        As large as the score where an offer changes large amounts as it does others.
        """
        y = self.outcome
        if family_of(y) != "amount" or y.min() < 0:
            return self.score
        most = np.minimum(y, CAP * np.median(y[y > 0]))
        less = most * (np.average(y, weights=self.people) / np.average(most, weights=self.people)) - y
        sign = np.column_stack(
            [np.where(self.arm == offer, 1.0, -1.0 * (self.arm == CONTROL)) for offer in self.offers]
        )
        result: Matrix = self.score + sign * (less * self.weight / self.people)[:, None]
        return result

    def trial(self, offer: str) -> tuple[NDArray[np.bool_], Trial]:
        """The rows of this offer and of none, and the trial that they are."""
        from training.metrics.uplift import Trial

        rows = np.isin(self.arm, [offer, CONTROL])
        return rows, Trial(self.outcome[rows], np.asarray(self.arm[rows] == offer), self.weight[rows])


def out_of_fold(
    names: Sequence[str], table: FeatureTable, exposures: Exposures, outcome: Matrix, *, folds: int, seed: int
) -> OutOfFold:
    """The effects by these candidates, those that suit the outcome, and the doubly robust score that judges them."""
    check(table, exposures, outcome)
    names = suited(names, outcome)
    folds = folds_of(len(outcome), folds)
    fold, unit = fold_numbers(table, exposures, outcome, folds=folds, seed=seed), units(table)
    tasks = [(group, fold != number) for group in of_a_kind(names) for number in range(folds)]
    with ThreadPoolExecutor(cores()) as pool:  # LightGBM and LAPACK release the interpreter's lock
        views = pool.map(lambda kind: _view(Log.of(kind, table, exposures, outcome, seed)), KINDS)
        try:
            answers = list(pool.map(lambda task: _answer(task[0], table, exposures, outcome, task[1], seed), tasks))
        except ValueError as fault:  # the whole log was fine, what one fold leaves of it is not
            raise ValueError(f"{len(np.unique(unit)):,} customers in {folds} folds: {fault}") from fault
        weight, expected, score = _judge(list(views))
    found = {name: _joined(name, tasks, answers, len(outcome)) for name in names}
    return OutOfFold(
        offers=exposures.offers,
        arm=exposures.arm,
        outcome=outcome,
        weight=weight,
        people=exposures.weight,
        fold=fold,
        unit=unit,
        expected=expected,
        score=score,
        prediction={name: effects.effect for name, effects in found.items()},
        standard_error={name: effects.standard_error for name, effects in found.items()},
    )


def together(
    names: Sequence[str], table: FeatureTable, exposures: Exposures, outcome: Matrix, seed: int
) -> dict[str, PerOffer]:
    """These candidates of one kind: what they share is learned once."""
    check(table, exposures, outcome)
    log = Log.of(JUDGED[names[0]].kind, table, exposures, outcome, seed)
    return {name: JUDGED[name](seed=seed).learn(log) for name in names}


def of_a_kind(names: Sequence[str]) -> list[list[str]]:
    """The names by the kind of their base."""
    groups = [[name for name in names if JUDGED[name].kind == kind] for kind in KINDS]
    return [group for group in groups if group]


def units(table: FeatureTable) -> NDArray[np.intp]:
    """The number of each row's customer, or of the row where the log names none."""
    if table.customers is None:
        return np.arange(len(table))
    return np.unique(table.customers.astype(str), return_inverse=True)[1].astype(np.intp)


def cores() -> int:
    return os.cpu_count() or 1


def _answer(
    names: Sequence[str],
    table: FeatureTable,
    exposures: Exposures,
    outcome: Matrix,
    learn: NDArray[np.bool_],
    seed: int,
) -> dict[str, Effects]:
    inside, outside = np.flatnonzero(learn), np.flatnonzero(~learn)
    models = together(names, table.take(inside), exposures.take(inside), outcome[inside], seed)
    first = models[names[0]]
    X = encoded(first.kind, first.encoder_, table.take(outside))
    return {name: model.effect_of(X) for name, model in models.items()}


def _joined(name: str, tasks: Sequence[Task], answers: Sequence[Mapping[str, Effects]], rows: int) -> Effects:
    mine = [(learn, one[name]) for (group, learn), one in zip(tasks, answers, strict=True) if name in group]
    offers = mine[0][1].offers
    effect, error = (np.full((rows, len(offers)), np.nan) for _ in range(2))
    for learn, one in mine:
        effect[~learn], error[~learn] = one.effect, one.standard_error
    if name == "constant":  # the folds' different averages would rank folds against each other, not customers
        effect[:] = effect.mean(axis=0)
    return Effects(offers, effect, error)


def _view(log: Log) -> tuple[Log, list[tuple[Matrix, Matrix]]]:
    return log, [Rows(log, offer).arms() for offer in log.exposures.offers]


def _judge(views: Sequence[tuple[Log, list[tuple[Matrix, Matrix]]]]) -> tuple[Matrix, Matrix, Matrix]:
    """The rows' weights over probability; the outcome expected in each arm, none first, and psi.

    Both are by the mean of the linear and the LightGBM outcome models.
    """
    log = views[0][0]
    arms = [np.mean([pairs[number] for _, pairs in views], axis=0) for number in range(len(log.exposures.offers))]
    rows = [Rows(log, offer) for offer in log.exposures.offers]
    score = np.column_stack([doubly_robust(one, *pair) for one, pair in zip(rows, arms, strict=True)])
    expected = np.column_stack([arms[0][1], *(treated for treated, _ in arms)])
    return log.exposures.weight / log.probability, expected, score
