"""Whom to mail, on a real randomised campaign: the selector against the best peers, out of fold on the same folds.

    python -m benchmarks uplift-hillstrom --data DIR [--seed N]

Hillstrom (64,000 customers, three arms), visit and conversion; women's mail against none, men's against none, and the
choice between them (the difference of the selector's two effects; peers learn it as a trial of its own). The selector
says of a fold what weights and models of the other folds say. Qini: extra outcomes per 1,000 customers.

`significantly_worse`: in how many of the six cells the best peer, found afterwards, has a Qini above the selector's
beyond the 95 % interval of the paired difference, from each customer's influence; target 0. `significantly_better`:
the reverse. All other differences are noise: the verdict beside each says so.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Peers, Question, peers
from features.exposures import CONTROL, ExposureLog
from features.sources import hillstrom
from training.intervals import Influenced, verdict
from training.metrics.qini_error import qini_estimate
from training.metrics.uplift import Array, Ranking, Trial, slope
from training.pipelines.uplift_evaluation import without_nan
from training.uplift import CANDIDATES
from training.uplift.encoder import Encoder
from training.uplift.out_of_fold import OutOfFold, out_of_fold
from training.uplift.rows import FOLDS
from training.uplift.selector import selected

OUTCOMES = ("visit", "conversion")
WOMENS, MENS = "womens-email", "mens-email"
PAIRS = {"women's or none": (WOMENS, CONTROL), "men's or none": (MENS, CONTROL), "women's or men's": (WOMENS, MENS)}
SELECTOR = "selector"
KEYS = ("significantly_worse", "significantly_better")


@dataclass(frozen=True)
class Cell:
    """The rows of two arms: the trial that they are, their doubly robust scores, and what each of ours predicts."""

    rows: NDArray[np.bool_]
    trial: Trial
    score: Array
    predicted: dict[str, Array]


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """The figures of the issue; every cell under `comparators`; null without the data."""
    if data is None:
        return dict.fromkeys(KEYS)
    log, cells = hillstrom.read(data / "uplift" / "hillstrom.parquet"), {}
    with peers() as there:
        for outcome in OUTCOMES:
            found = judged(log, outcome, seed)
            for name, arms in PAIRS.items():
                cells[f"{outcome}, {name}"] = compared(log, found, cell(found, *arms), there, seed)
                print(f"{outcome}, {name}: {cells[f'{outcome}, {name}']}", file=sys.stderr)
        versions = there.versions if there else {}
    return counted(cells) | {"comparators": {"versions": versions, "cells": without_nan(cells)}}


def judged(log: ExposureLog, outcome: str, seed: int) -> OutOfFold:
    """The candidates' effects out of fold, and the selector's under its name."""
    names = tuple(CANDIDATES)
    y = log.outcomes[outcome].to_numpy(np.float64)
    found = out_of_fold(names, log.table, log.exposures, y, folds=FOLDS, seed=seed)
    return replace(found, prediction={**found.prediction, SELECTOR: selected(found, names)})


def cell(found: OutOfFold, offer: str, other: str) -> Cell:
    """One mail against the other arm."""
    rows = np.isin(found.arm, [offer, other])
    trial = Trial(found.outcome[rows], np.asarray(found.arm[rows] == offer), found.weight[rows])
    every = {"score": found.score, **found.prediction}
    told = {
        name: (against_none(found, one, offer) - against_none(found, one, other))[rows] for name, one in every.items()
    }
    return Cell(rows, trial, told.pop("score"), told)


def against_none(found: OutOfFold, effects: Array, arm: str) -> Array:
    """The effects of this arm against none; of none against itself there are none."""
    return np.zeros(len(effects)) if arm == CONTROL else effects[:, found.offers.index(arm)]


def compared(log: ExposureLog, found: OutOfFold, one: Cell, there: Peers | None, seed: int) -> dict[str, Any]:
    """Qini with its interval and calibration slope of everyone; the selector's difference to each with its verdict."""
    asked = None
    if there:
        X, even = Encoder.fit(log.table).linear(log.table)[one.rows], np.full(len(one.trial.outcome), 0.5)
        asked = there.ask(Question(X, one.trial.treated, one.trial.outcome, even, found.fold[one.rows], seed))
    theirs = asked.effects if asked else {}
    predicted = one.predicted | theirs
    every = {name: qini(values, one.trial) for name, values in predicted.items()}
    slopes = {name: slope(one.score, values, np.ones(len(values))) for name, values in predicted.items()}
    best = max(theirs, key=lambda name: every[name].value, default=None)
    return {
        "qini": {name: asdict(estimate.interval) for name, estimate in every.items()},
        "slope": {name: asdict(estimate) for name, estimate in slopes.items()},
        "selector_minus": {name: difference(every[SELECTOR], values) for name, values in every.items()},
        "best_peer": best,
        "peers_cpu_s": asked.cpu_s if asked else {},
    }


def qini(predicted: Array, trial: Trial) -> Influenced:
    """Of these predictions; each row is a customer."""
    return qini_estimate(Ranking(predicted, trial), np.arange(len(predicted)))


def difference(ours: Influenced, theirs: Influenced) -> dict[str, Any]:
    """Paired over customers, with what may be said of it."""
    found = (ours - theirs).interval
    return asdict(found) | {"verdict": verdict(found)}


def counted(cells: dict[str, dict[str, Any]]) -> dict[str, int | None]:
    """In how many cells the selector is beyond noise; None without the peers."""
    if not all(one["best_peer"] for one in cells.values()):
        return dict.fromkeys(KEYS)
    said = [one["selector_minus"][one["best_peer"]]["verdict"] for one in cells.values()]
    return dict(zip(KEYS, (said.count("worse"), said.count("better")), strict=True))
