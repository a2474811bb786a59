"""The best k of a model of factors without a look at every item: exact, by the lengths of the items' factors.

    score(customer, item) = customer . item <= |customer| |item|        Cauchy and Schwarz

Items are visited by falling length, in blocks that double; once |customer| |item| is below the k-th best score so far,
no later item can enter. Filters touch what is visited only. The gain lives on lengths that differ, as popularity makes
them: with all of one length every item is visited, at the price of the whole product (docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
Vector = NDArray[np.float32]

FIRST = 1024  # items in the first block; each further block is twice as long
WIDEST = 65_536  # 16 MB of 64 factors: no longer block is faster
FIRST_STAYS = np.ones(1, np.bool_)
SLACK = 1 + 1e-5  # what float32 may lose of a product of 64 factors
LEAST = float(np.finfo(np.float32).smallest_subnormal)  # the smallest score above 0


class NormOrder:
    """Item factors by falling length, and the items by falling popularity for where scores of 0 or less are filled.

    It holds a copy of the factors, so that a block is one piece of memory.
    """

    def __init__(self, factors: NDArray[np.float32], popularity: Vector) -> None:
        lengths = np.linalg.norm(factors.astype(np.float32, copy=False), axis=1).astype(np.float64)
        self._order = np.argsort(-lengths, kind="stable")
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(lengths))
        self._shortness = -lengths[self._order]  # rising, for a binary search
        self._factors = np.ascontiguousarray(factors[self._order])
        self._fill = (popularity - 1).astype(np.float32)  # as `topk.filled` says it
        self._by_fill = np.argsort(-self._fill, kind="stable")

    def best(self, customer: Vector, k: int, *, among: Places | None, without: Places) -> tuple[Places, Vector]:
        """The places and scores of the k best items, best first, ties by place; `topk.best` of `topk.filled` scores.

        `among`: these places only, None for all; `without`: never these. Fewer than k where fewer are left.
        """
        return self.search(customer, k, None if among is None else self.ranks(among), [self.ranks(without)])

    def ranks(self, places: Places) -> Places:
        """Where items stand in the order by length, rising, each once: how `search` is told of them."""
        ranks = np.sort(self._rank[places])
        return ranks if len(ranks) < 2 else ranks[np.concatenate([FIRST_STAYS, ranks[1:] != ranks[:-1]])]

    def longest(self, count: int) -> tuple[Places, float]:
        """The places of so many items, rising, and the length that no other item exceeds."""
        return np.sort(self._order[:count]), float(-self._shortness[count]) if count < len(self._order) else 0.0

    def search(
        self, customer: Vector, k: int, visits: Places | None, banned: Sequence[Places]
    ) -> tuple[Places, Vector]:
        """As `best`, by ranks: `visits` only, none of `banned`."""
        places, scores = self._scored(customer, k, visits, banned)
        if len(places) == k:
            return places, scores
        among = None if visits is None else self._order[visits]
        rest = self._popular(k - len(places), among, np.concatenate([*(self._order[some] for some in banned), places]))
        return np.concatenate([places, rest]), np.concatenate([scores, self._fill[rest]])

    def _scored(
        self, customer: Vector, k: int, visits: Places | None, banned: Sequence[Places]
    ) -> tuple[Places, Vector]:
        """Those scored above 0."""
        shortness = self._shortness if visits is None else self._shortness[visits]
        reach = math.sqrt(np.dot(customer, customer)) * SLACK
        ranks, scores = np.empty(0, np.intp), np.empty(0, np.float32)
        start, size, floor = 0, max(FIRST, 2 * k), LEAST
        while reach and start < (end := int(shortness.searchsorted(-floor / reach, side="right"))):
            stop = min(start + size, end)
            block = slice(start, stop) if visits is None else visits[start:stop]
            found = self._factors[block] @ customer
            for some in banned:
                found[_struck(block, some)] = 0
            near = (found >= floor).nonzero()[0]
            ranks = np.concatenate([ranks, start + near if visits is None else visits[start:stop][near]])
            scores = np.concatenate([scores, found[near]])
            if len(ranks) > k:
                ranks, scores = self._cut(ranks, scores, k)
            floor = float(scores.min()) if len(ranks) == k else LEAST
            start, size = stop, min(2 * size, WIDEST)
        places = self._order[ranks]
        best = np.lexsort((places, -scores))
        return places[best], scores[best]

    def _cut(self, ranks: Places, scores: Vector, k: int) -> tuple[Places, Vector]:
        """The k best, ties by place."""
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = np.flatnonzero(scores >= edge)
        kept = near[np.lexsort((self._order[ranks[near]], -scores[near]))[:k]]
        return ranks[kept], scores[kept]

    def _popular(self, k: int, among: Places | None, without: Places) -> Places:
        """The k most popular of those that are left."""
        if among is not None:
            left = np.setdiff1d(among, without)
            return left[np.argsort(-self._fill[left], kind="stable")[:k]]
        start, size, parts, missing = 0, max(FIRST, 2 * k), [without[:0]], k
        while missing > 0 and start < len(self._by_fill):
            block = self._by_fill[start : start + size]
            parts.append(block[~np.isin(block, without)][:missing])
            start, size, missing = start + size, 2 * size, missing - len(parts[-1])
        return np.concatenate(parts)


def _struck(block: slice | Places, ranks: Places) -> Places:
    """Where these ranks stand in the block."""
    first, last = (block.start, block.stop) if isinstance(block, slice) else (block[0], block[-1] + 1)
    inside: Places = ranks[slice(*ranks.searchsorted([first, last]))]
    if isinstance(block, slice):
        return inside - np.intp(first)
    found: Places = block.searchsorted(inside)
    struck: Places = found[block[found] == inside]
    return struck
