"""Variety: an answer whose items are less alike, by maximal marginal relevance (Carbonell and Goldstein 1998).

    next = the item of the pool with the largest (1 - variety) * relevance - variety * closeness
    relevance    1 for the model's best item, falling evenly to 0 behind the last of the pool
    closeness    the largest likeness to an item that was taken already; 1 is the most alike pair of the pool

Likeness is the model's own. Models that know none (popularity, repeat, tifu) answer the same at every variety. What the
model has no opinion on is no variety: it stays out of a pool that has k items without it.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import ItemFilter, Rankings, Recommender

POOL = 5  # items looked at per item answered
MOST = 200  # and at most so many more: the likeness of every two of them is held


def recommend_varied(
    model: Recommender, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None, variety: float
) -> Rankings:
    """As `recommend_for` at variety 0; above, the same k or fewer alike. Scores are the model's, so they may rise."""
    return varied(
        model, model.recommend_for(histories, pooled(k, variety), items=items, as_of=as_of), k, variety=variety
    )


def pooled(k: int, variety: float) -> int:
    """How many items to choose the k from."""
    return k if variety == 0 else min(POOL * k, k + MOST)


def varied(model: Recommender, pool: Rankings, k: int, *, variety: float) -> Rankings:
    """The k of each pool; its first item stays the first."""
    if not 0 <= variety <= 1:
        raise ValueError(f"variety == {variety}, must be from 0 to 1")
    if variety == 0:
        return pool
    orders = [_order(model, ids, scores, k, variety) for ids, scores in zip(pool.items, pool.scores, strict=True)]
    items = tuple(ids[order] for ids, order in zip(pool.items, orders, strict=True))
    return Rankings(items, tuple(scores[order] for scores, order in zip(pool.scores, orders, strict=True)))


def _order(
    model: Recommender, ids: NDArray[np.str_], scores: NDArray[np.float32], k: int, variety: float
) -> NDArray[np.intp]:
    scored = int(np.count_nonzero(scores > 0))
    ids = ids[:scored] if scored >= k else ids
    return marginal(model.alike(ids), k, variety)


def marginal(alike: NDArray[np.float32], k: int, variety: float) -> NDArray[np.intp]:
    """The places of the k by the formula above; `alike` is that of every two of the pool, best first."""
    size = len(alike)
    largest = alike.max(initial=np.finfo(np.float32).tiny)
    near = alike / largest
    worth = (1 - variety) * (1 - np.arange(size) / max(size, 1))
    closest, taken = np.zeros(size), np.zeros(size, dtype=bool)
    order = np.empty(min(k, size), dtype=np.intp)
    for turn in range(len(order)):
        gain = np.where(taken, -np.inf, worth - variety * closest)
        order[turn] = np.argmax(gain) if turn else 0
        taken[order[turn]] = True
        closest = np.maximum(closest, near[order[turn]])
    return order
