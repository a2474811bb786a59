"""Lesson: a log as of an earlier moment, and what its customers bought afterwards. What a ranker learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.interactions import PAIR, Interactions

HELD_OUT = 0.2  # a tenth undervalues low-rank members: they need customers with something left to find


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
    """One per step back in time, where the log knows its earlier selves; else a share of the pairs is held out."""
    log, found = log.sorted(), []
    while log.earlier is not None:
        found.append(_later(log, log.earlier.sorted()))
        log = log.earlier.sorted()
    return found or [_held_out(log, seed)]


def _later(log: Interactions, past: Interactions) -> Lesson:
    """The pairs that were bought again, or for the first time, since the past."""
    customer, item = _place(past.customers, log.customers)[log.customer], _place(past.items, log.items)[log.item]
    known = (customer >= 0) & (item >= 0)
    customer, item, purchases = customer[known], item[known], log.purchases[known]
    before = np.asarray(past.purchase_matrix[customer, item]).ravel()
    later = purchases > before
    order = np.lexsort((item[later], customer[later]))
    return Lesson(past, customer[later][order], item[later][order])


def _held_out(log: Interactions, seed: int) -> Lesson:
    """Each pair with the chance `HELD_OUT`; of every customer at least one pair stays."""
    drawn = _mixed(_contents(log, seed)[log.customer] ^ _mixed(_item_keys(log)[log.item], seed), seed)
    held = drawn < np.uint64(HELD_OUT * 2**64)
    left = np.bincount(log.customer[~held], minlength=len(log.customers))
    held &= left[log.customer] > 0
    kept: dict[str, Any] = {name: getattr(log, name)[~held] for name in PAIR}
    past = replace(log, lines=None, **kept)  # the lines hold what was held out
    return Lesson(past, log.customer[held].astype(np.int64), log.item[held].astype(np.int64))


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
