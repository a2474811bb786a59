"""Error against known effects: IHDP (Hill 2011), nine replications of 747 children, confounded and small.

    python -m benchmarks uplift-ihdp --data DIR [--seed N]

PEHE: root of the mean squared distance between predicted and true effects, each child's by models of the other folds
(five, the same for all). The last replication has effects thirty times as far apart as the others, so that it decides
any mean of PEHE.

`pehe_ratio`: the selector's PEHE over that of econml's DRLearner, each the mean over replications; target at most 1.
`pehe_ratio_geometric`: the geometric mean of the replications' ratios; `replications_above`: how many are above 1.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.peers import PEERS, Peers, Question, peers
from benchmarks.uplift_worlds import Array, Log
from training.uplift import LEARNERS
from training.uplift.folds import fold_numbers
from training.uplift.rows import FOLDS

FEATURES = [f"x{number}" for number in range(1, 26)]
KEYS = ("pehe_ratio", "pehe_ratio_geometric", "replications_above")
OF_AMOUNTS = tuple(name for name in PEERS if name != "uplift-forest")  # which needs outcomes that some have not
OURS, THEIRS = "selector", "econml-dr"


@dataclass(frozen=True)
class Folded:
    """One replication and its folds."""

    log: Log
    fold: NDArray[np.intp]


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """The figures of the issue; everyone's PEHE per replication under `comparators`; null without the data."""
    if data is None:
        return dict.fromkeys(KEYS)
    frame = pd.read_parquet(data / "uplift" / "ihdp_npci.parquet")
    told: list[dict[str, float]] = []
    with peers() as there:
        for number, part in frame.groupby("rep"):
            told.append(errors(folded(part.reset_index(drop=True), seed), there, seed))
            print(f"replication {number}: {told[-1]}", file=sys.stderr)
        versions = there.versions if there else {}
    every = {name: [one[name] for one in told] for name in told[0]}
    return ratios(every) | {"comparators": {"versions": versions, "pehe": every}}


def folded(part: pd.DataFrame, seed: int) -> Folded:
    """The replication of these rows."""
    treated, outcome = part["treatment"].to_numpy() == 1, part["y_factual"].to_numpy(np.float64)
    effect, unknown = (part["mu1"] - part["mu0"]).to_numpy(np.float64), np.full(len(part), np.nan)
    log = Log(part[FEATURES].to_numpy(np.float64), treated, outcome, unknown, effect)
    return Folded(log, fold_numbers(log.table, log.exposures, outcome, folds=FOLDS, seed=seed))


def errors(one: Folded, there: Peers | None, seed: int) -> dict[str, float]:
    """PEHE by learner, the selector and the peers among them."""
    effects = {name: ours(name, one, seed) for name in LEARNERS}
    if there:
        log = one.log
        question = Question(log.X, log.treated, log.outcome, log.probability, one.fold, seed)
        effects |= there.ask(question, OF_AMOUNTS).effects
    return {name: float(np.sqrt(((values - one.log.effect) ** 2).mean())) for name, values in effects.items()}


def ours(name: str, one: Folded, seed: int) -> Array:
    """The learner's effects, out of fold."""
    table, exposures, effect = one.log.table, one.log.exposures, np.empty(len(one.fold))
    for number in range(FOLDS):
        learn, ask = np.flatnonzero(one.fold != number), np.flatnonzero(one.fold == number)
        model = LEARNERS[name](seed=seed).fit(table.take(learn), exposures.take(learn), one.log.outcome[learn])
        effect[ask] = model.effect(table.take(ask)).effect[:, 0]
    return effect


def ratios(every: dict[str, list[float]]) -> dict[str, float | int | None]:
    """The selector's error over DRLearner's; None without the peers."""
    if THEIRS not in every:
        return dict.fromkeys(KEYS)
    ours, theirs = (np.array(every[name]) for name in (OURS, THEIRS))
    return {
        "pehe_ratio": float(ours.mean() / theirs.mean()),
        "pehe_ratio_geometric": float(np.exp(np.log(ours / theirs).mean())),
        "replications_above": int((ours > theirs).sum()),
    }
