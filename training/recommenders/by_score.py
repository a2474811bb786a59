"""Items by falling score, made once: the best that are allowed at the cost of what is answered, not of all items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.located import located
from training.recommenders.base import ItemFilter
from training.recommenders.places import Places, positions

FIRST = 64  # items in the first block that is looked at; each further block is twice as long


class ByScore:
    """Sorted ids and a score each; `best` answers what `topk.best` answers."""

    def __init__(self, items: NDArray[np.str_], scores: NDArray[np.float32]) -> None:
        self.items, self.scores = items, scores
        self._order = np.argsort(-scores, kind="stable")
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(items))

    def best(self, k: int, items: ItemFilter) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        """The ids and scores of the k best that one customer may be answered, best first, ties by id."""
        places = self._order[self._first(k, *items.placed(0, self, self._ranks))]
        return self.items[places], self.scores[places]

    def _ranks(self, ids: NDArray[np.str_]) -> Places:
        return np.unique(self._rank[positions(self.items, ids)])

    def _first(self, k: int, among: Places | None, banned: list[Places]) -> Places:
        """The first k ranks of those that are left."""
        end = len(self.items) if among is None else len(among)
        start, size, parts, missing = 0, max(FIRST, 2 * k), [np.empty(0, np.intp)], k
        while missing > 0 and start < end:
            stop = min(start + size, end)
            block = np.arange(start, stop) if among is None else among[start:stop]
            for some in banned:
                block = block[~located(some, block)[1]]
            parts.append(block[:missing])
            start, size, missing = stop, 2 * size, missing - len(parts[-1])
        return np.concatenate(parts)
