"""Metrics of rankings: functions of arrays, one value per customer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.str_]


def hits(ranked: Sequence[Ids], relevant: Sequence[Ids], k: int) -> NDArray[np.bool_]:
    """True where place j of customer i's ranking holds a relevant item; shape (customers, k)."""
    found = np.zeros((len(ranked), k), dtype=bool)
    for row, (ids, truth) in enumerate(zip(ranked, relevant, strict=True)):
        wanted = set(truth.tolist())
        found[row, : min(k, len(ids))] = [item in wanted for item in ids[:k].tolist()]
    return found


def sizes(relevant: Sequence[Ids]) -> NDArray[np.int64]:
    """How many items are relevant, per customer; at least 1 is needed for a metric to mean anything."""
    return np.array([len(set(truth.tolist())) for truth in relevant], dtype=np.int64)


def recall(found: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of the relevant items that is among the k."""
    return np.asarray(found.sum(axis=1) / relevant, dtype=np.float64)


def ndcg(found: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """DCG over the ideal DCG; the ideal has min(k, relevant) hits at the top."""
    discounts = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, found.shape[1]) - 1]
    return np.asarray((found * discounts).sum(axis=1) / ideal, dtype=np.float64)


def hit_rate(found: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where at least one of the k is relevant."""
    return np.asarray(found.any(axis=1), dtype=np.float64)


def coverage(ranked: Sequence[Ids], items: int) -> float:
    """The share of the catalogue's items that anybody was recommended."""
    return len(set().union(*(ids.tolist() for ids in ranked))) / items if len(ranked) else 0.0


def exposure(ranked: Sequence[Ids], items: int) -> NDArray[np.int64]:
    """How often each item was answered, ascending; `items` is the size of the catalogue, most of which may be 0."""
    answered = np.concatenate([np.asarray(ids, dtype=np.str_) for ids in ranked]) if len(ranked) else np.empty(0, str)
    counts = np.unique(answered, return_counts=True)[1]
    never = np.zeros(max(0, items - len(counts)), dtype=np.int64)
    return np.concatenate([never, np.sort(counts)]).astype(np.int64)


def gini(counts: NDArray[np.int64]) -> float:
    """How unevenly: 0 where all items are answered equally often, towards 1 where one has everything; ascending."""
    # Gini 1912: 2 * sum(i * x_i) / (n * sum(x)) - (n + 1) / n
    size, total = len(counts), float(counts.sum())
    if not total:
        return float("nan")
    return float(2 * (np.arange(1, size + 1) @ counts) / (size * total) - (size + 1) / size)


def top_share(counts: NDArray[np.int64], share: float = 0.01) -> float:
    """Of all answers those of the most answered share of the items (at least one item); ascending."""
    most = max(1, round(share * len(counts)))
    return float(counts[-most:].sum() / counts.sum()) if counts.sum() else float("nan")
