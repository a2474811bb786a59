"""The next basket on Ta-Feng, seeds 0 to 4, each a 72/8/20 shuffle of the customers; every model in its own process.

    python -m benchmarks recommend-tafeng --data DIR

All histories (all but the last basket), also those of the 20 %, are known. Ranker and TIFU-KNN are the registry's:
the ranker is given the log with the last baskets of the 72 %, which knows itself without them, and is judged once on
those of the 20 %. TIFU-KNN has its paper's parameters; the ranker's members were compared on the 8 % of seed 0
(`python -m benchmarks.recommend_tafeng MODEL DIR SEED validation`). The field's NDCG takes its ideal over all items of
the basket; the standard one over 10 at most. The standard error is that of the five folds, which share customers.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.apart import apart
from features.interactions import Interactions
from features.lines import Lines
from training.metrics import ranking
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.ranker import Ranker
from training.recommenders.tifu import Tifu

K = 10
SEEDS = range(5)
OURS = "ranker"
MODELS = ("personal", "personal-global", "tifu", OURS)
PUBLISHED = {
    "TIFU-KNN": {"recall_at_10": 0.1301, "ndcg_at_10": 0.1011},
    "TIFU-KNN, rerun": {"recall_at_10": 0.1277, "ndcg_at_10": 0.1049},
}
KEPT = ("recall_at_10", "ndcg_at_10", "ndcg_standard_at_10", "recall_repeat_at_10", "recall_explore_at_10", "hit_at_10")
MEMBERS: dict[str, dict[str, Any]] = {"tifu": {}, "neighbours": {}, "repeat": {}, "popularity": {}}

Scores = NDArray[np.float32]
Places = NDArray[Any]


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """Means over the five seeds of the ranker; under `comparators` those of every model and the published ones."""
    if data is None:
        return dict.fromkeys((*KEPT, "cpu_s_per_fold"))
    runs = {model: [apart("recommend_tafeng", model, data, fold, "test") for fold in SEEDS] for model in MODELS}
    means = {model: _mean(folds) for model, folds in runs.items()}
    return {**means[OURS], "comparators": {"models": means, "published": PUBLISHED}}


def _mean(folds: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([fold[name] for fold in folds])) for name in (*KEPT, "cpu_s_per_fold", "peak_rss_gb")}
    spread = np.std([fold["recall_at_10"] for fold in folds], ddof=1) / np.sqrt(len(folds))
    return means | {"recall_at_10_se": float(spread)}


def main() -> None:
    """Judges one model on one fold and prints what it cost."""
    model, data, seed, part = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    log, future = read(data)
    start = time.process_time()
    learners, *others = folds(len(log.customers), seed)
    judges = others[("validation", "test").index(part)]
    best = ANSWERS[model](log, future, learners, judges, seed)
    cost = {"cpu_s_per_fold": time.process_time() - start}
    cost["peak_rss_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(cost | judged(best, log, future, judges)))


def read(data: Path) -> tuple[Interactions, sparse.csr_matrix]:
    """All histories with their lines, and the last baskets as a matrix of the same shape."""
    past, future = (pq.read_table(data / "tafeng" / f"{name}.parquet").to_pandas() for name in ("history", "future"))
    customers = np.unique(past.user)
    items = np.unique(np.concatenate([past.item, future.item]))
    row, column = np.searchsorted(customers, past.user), np.searchsorted(items, past.item)
    names = (np.char.zfill(numbers.astype(np.str_), 6) for numbers in (customers, items))
    log = _interactions(*names, row, column, past.order.to_numpy())
    place = np.searchsorted(customers, future.user), np.searchsorted(items, future.item)
    truth = sparse.csr_matrix((np.ones(len(future), np.float32), place), shape=log.matrix.shape)
    truth.data[:] = 1
    return log, truth


def _interactions(customers: Any, items: Any, row: Places, column: Places, order: Places) -> Interactions:
    """Purchases one by one; a pair's weight is how often it was bought."""
    never = np.full(len(row), "NaT", "M8[us]")
    lines = Lines.of(row, column, order, never)
    key, count = np.unique(lines.customer.astype(np.int64) * len(items) + lines.item, return_counts=True)
    bought = count.astype(np.float32)
    pairs = ((key // len(items)).astype(np.int32), (key % len(items)).astype(np.int32))
    return Interactions(customers, items, *pairs, bought, bought, never[: len(key)], never[: len(key)], lines=lines)


def folds(customers: int, seed: int) -> list[Places]:
    """72 % to learn from, 8 % to choose parameters on, 20 % to judge on."""
    order = np.random.default_rng(seed).permutation(customers)
    parts = np.split(order, [int(0.72 * customers), int(0.8 * customers)])
    return [np.sort(part) for part in parts]


def judged(best: Places, log: Interactions, future: sparse.csr_matrix, rows: Places) -> dict[str, float]:
    """The means over the customers; repeat and explore over those whose basket holds such items."""
    truth, known = [future[row].indices for row in rows], [log.matrix[row].indices for row in rows]
    found, sizes = ranking.hits(list(best), truth, K), ranking.sizes(truth)
    discounts = 1 / np.log2(np.arange(2, K + 2))
    longest = np.cumsum(1 / np.log2(np.arange(2, sizes.max() + 2)))
    repeats = [np.intersect1d(*pair) for pair in zip(truth, known, strict=True)]
    explored = [np.setdiff1d(*pair) for pair in zip(truth, known, strict=True)]
    return {
        "recall_at_10": float(ranking.recall(found, sizes).mean()),
        "ndcg_at_10": float(((found * discounts).sum(axis=1) / longest[sizes - 1]).mean()),
        "ndcg_standard_at_10": float(ranking.ndcg(found, sizes).mean()),
        "recall_repeat_at_10": _recall_of(best, repeats),
        "recall_explore_at_10": _recall_of(best, explored),
        "hit_at_10": float(ranking.hit_rate(found).mean()),
    }


def _recall_of(best: Places, truth: list[Places]) -> float:
    some = [row for row, items in enumerate(truth) if len(items)]
    relevant = [truth[row] for row in some]
    return float(ranking.recall(ranking.hits(list(best[some]), relevant, K), ranking.sizes(relevant)).mean())


def _best(scores: Scores, k: int) -> Places:
    """The places of the k highest, best first, ties by place."""
    part = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    part.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)


def _popularity(log: Interactions) -> Scores:
    total = np.bincount(log.item, log.purchases, len(log.items))
    return np.asarray(total / (total.max() + 1), dtype=np.float32)


def personal(log: Interactions, _future: Any, _learners: Places, rows: Places, _seed: int) -> Places:
    """What the customer bought most often; nothing follows where that is all."""
    counts = log.purchase_matrix[rows].toarray()
    best = _best(counts, K)
    return np.where(np.take_along_axis(counts, best, axis=1) > 0, best, -1)


def personal_then_global(log: Interactions, _future: Any, _learners: Places, rows: Places, _seed: int) -> Places:
    """What the customer bought most often, ties and the rest by what everybody buys."""
    return _best(log.purchase_matrix[rows].toarray() + _popularity(log)[None, :], K)


def tifu(log: Interactions, _future: Any, _learners: Places, rows: Places, _seed: int) -> Places:
    """TIFU-KNN with the paper's parameters."""
    return _answered(Tifu().fit(log).beside(log), log, rows)


def ranked(log: Interactions, future: sparse.csr_matrix, learners: Places, rows: Places, seed: int) -> Places:
    """The ranker, taught by the last baskets of the learners."""
    known = later(log, future, learners)
    return _answered(Ranker(members=MEMBERS, seed=seed).fit(known).beside(known), log, rows)


def later(log: Interactions, future: sparse.csr_matrix, learners: Places) -> Interactions:
    """The log when the learners have bought their last basket too; its earlier self is the log."""
    row, item = future[learners].nonzero()
    lines = log.lines
    assert lines is not None  # noqa: S101  # `read` makes them
    customer, items = np.append(lines.customer, learners[row]), np.append(lines.item, item)
    order = np.append(lines.basket, np.full(len(row), lines.basket.max() + 1))
    return replace(_interactions(log.customers, log.items, customer, items, order), earlier=log)


def _answered(model: Recommender, log: Interactions, rows: Places) -> Places:
    histories = log.rows(log.customers[rows].tolist())
    answers = model.recommend_for(histories, K, items=ItemFilter(), as_of=None)
    return np.searchsorted(log.items, np.stack(answers.items))


ANSWERS = {"personal": personal, "personal-global": personal_then_global, "tifu": tifu, OURS: ranked}

if __name__ == "__main__":
    main()
