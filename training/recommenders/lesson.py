"""Lesson: a log as of an earlier moment, and what its customers bought afterwards. What a ranker learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import PAIR, Interactions

HELD_OUT = 0.2  # a tenth undervalues low-rank members: they need customers with something left to find
FELLOWS = 200  # customers of an item that say what goes with it: more cost time, and most items have fewer
CELLS = 4_000_000  # of one product of drawn items with all items


@dataclass(frozen=True)
class Lesson:
    """`past` is what was known; `customer` and `item` are the pairs bought later, as positions in `past`, sorted."""

    past: Interactions
    customer: NDArray[np.int64]
    item: NDArray[np.int64]

    @property
    def repeats(self) -> bool:
        """Whether anybody bought later what the past already held."""
        return bool(np.isin(self.keys, _keys(self.past, self.past.customer, self.past.item)).any())

    @property
    def keys(self) -> NDArray[np.int64]:
        """One number per pair, sorted."""
        return _keys(self.past, self.customer, self.item)

    def learners(self, most: int, seed: int) -> NDArray[np.intp]:
        """Customers who bought something later, at most so many, in an order that their names do not decide."""
        rows = np.unique(self.customer)
        return rows[np.argsort(_contents(self.past, seed)[rows], kind="stable")][:most]


def lessons(log: Interactions, seed: int) -> list[Lesson]:
    """One per step back in time, where the log knows its earlier selves; else a share of the pairs is held out.

    Three times: what is learned of one share depends on its luck. Twice as chance has it; and once half of it around
    one item of each customer, as what is bought later goes together, and chance leaves its fellows in the past.
    """
    log, found = log.sorted(), []
    while log.earlier is not None:
        found.append(_later(log, log.earlier.sorted()))
        log = log.earlier.sorted()
    return found or [_without(log, held) for held in (_drawn(log, seed), _drawn(log, seed + 1), _together(log, seed))]


def _later(log: Interactions, past: Interactions) -> Lesson:
    """The pairs that were bought again, or for the first time, since the past."""
    customer, item = _place(past.customers, log.customers)[log.customer], _place(past.items, log.items)[log.item]
    known = (customer >= 0) & (item >= 0)
    customer, item, purchases = customer[known], item[known], log.purchases[known]
    before = np.asarray(past.purchase_matrix[customer, item]).ravel()
    later = purchases > before
    order = np.lexsort((item[later], customer[later]))
    return Lesson(past, customer[later][order], item[later][order])


def _without(log: Interactions, held: NDArray[np.bool_]) -> Lesson:
    """The log without these pairs, of which every customer keeps at least one, and these pairs."""
    left = np.bincount(log.customer[~held], minlength=len(log.customers))
    held = held & (left[log.customer] > 0)
    kept: dict[str, Any] = {name: getattr(log, name)[~held] for name in PAIR}
    past = replace(log, lines=None, **kept)  # the lines hold what was held out
    return Lesson(past, log.customer[held].astype(np.int64), log.item[held].astype(np.int64))


def _drawn(log: Interactions, seed: int, share: float = HELD_OUT) -> NDArray[np.bool_]:
    """Each pair with this chance."""
    return _chance(log, seed) < share


def _together(log: Interactions, seed: int) -> NDArray[np.bool_]:
    """Half of the share is what goes best with one drawn item of each customer, and that item; half is drawn."""
    chance, sizes = _chance(log, seed + 2), np.bincount(log.customer, minlength=len(log.customers))
    first = log.starts[:-1]
    best = np.lexsort((chance, log.customer))[first]  # of each customer the pair with the smallest number
    place = np.empty(len(log.item), np.int64)
    order = np.lexsort((chance, -_likeness(log, log.item[best], chance), log.customer))
    place[order] = np.arange(len(order)) - np.repeat(first, sizes)
    near = np.floor(sizes * HELD_OUT / 2 + _contents(log, seed) / 2.0**64)  # up or down, in the mean half of the share
    return (place < near[log.customer]) | _drawn(log, seed + 3, HELD_OUT / 2)


def _likeness(log: Interactions, drawn: NDArray[np.int32], chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pair's item to the one drawn for its customer: the cosine over at most `FELLOWS` who have that one."""
    ones, shape = np.ones(len(log.item)), (len(log.customers), len(log.items))
    bought = sparse.csr_array((ones, (log.customer, log.item)), shape)
    order = np.lexsort((chance, log.item))
    sizes = np.bincount(log.item, minlength=len(log.items))
    few = order[np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes) < FELLOWS]
    fellows = sparse.csr_array((np.ones(len(few)), (log.item[few], log.customer[few])), shape[::-1])
    found, step = np.empty(len(log.item)), max(1, CELLS // len(log.items))
    for start in range(0, len(drawn), step):
        end = min(start + step, len(drawn))
        rows = slice(log.starts[start], log.starts[end])
        both = (fellows[drawn[start:end]] @ bought).toarray()
        found[rows] = both[log.customer[rows] - start, log.item[rows]] / np.sqrt(sizes[log.item[rows]])
    return found


def _chance(log: Interactions, seed: int) -> NDArray[np.float64]:
    """A number from 0 to 1 per pair, which its customer's history and its item decide."""
    mixed = _mixed(_contents(log, seed)[log.customer] ^ _mixed(_item_keys(log)[log.item], seed), seed)
    return mixed / 2.0**64


def _contents(log: Interactions, seed: int) -> NDArray[np.uint64]:
    """A number per customer that its history decides, whatever the customer's name and place."""
    pairs = _mixed(_item_keys(log)[log.item] + log.weight.astype(np.float32).view(np.uint32).astype(np.uint64), seed)
    contents = np.zeros(len(log.customers), dtype=np.uint64)
    np.add.at(contents, log.customer, pairs)
    return contents


def _item_keys(log: Interactions) -> NDArray[np.uint64]:
    keys: NDArray[np.uint64] = pd.util.hash_array(log.items.astype(object), categorize=False)
    return keys


def _mixed(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    mixed: NDArray[np.uint64] = pd.util.hash_array(values ^ np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64))
    return mixed


def _place(known: NDArray[np.str_], ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Where each id stands among the sorted known ones; -1 where it is not one of them."""
    position = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[position] == ids, position, -1).astype(np.int64)


def _keys(past: Interactions, customer: NDArray[Any], item: NDArray[Any]) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = customer.astype(np.int64) * len(past.items) + item
    return keys
