"""Boosted: a ranking in which the shop moves items, whatever the scale of the model's scores.

    worth(i) = (1 - place(i) / size of the pool) * product of `by` over the boosts whose condition holds for i

`place` is 0 for the model's best. So 2 brings an item from the middle of the pool as high as the best, and 0.5 takes
the best to the middle. The pool is that of variety: 5 items per item answered. What the model has no opinion on stays
behind what it has one on. Scores stay the model's, so they may rise down the list.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.placements import Boost
from serving.decisions.where import held
from training.recommenders.base import Rankings

BROAD = 1.0  # the variety at which a pool is as large as it gets


def factors(catalog: Catalog, boosts: Sequence[Boost], ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """Per item the product of its boosts; 1 where it has none."""
    found = np.ones(len(ids))
    for boost in boosts:
        found[held(catalog, boost.where, ids.tolist())] *= boost.by
    return found


def boosted(catalog: Catalog, boosts: Sequence[Boost], pool: Rankings) -> Rankings:
    """The pool in the order of what its items are worth; equal ones as the model has them."""
    ids, scores = pool.items[0], pool.scores[0]
    worth = (1 - np.arange(len(ids)) / max(len(ids), 1)) * factors(catalog, boosts, ids)
    order = np.lexsort((-worth, scores <= 0))
    return Rankings((ids[order],), (scores[order],))
