"""Pinned: promotions in an answer, each seen by its share of the customers, and with which probability they were shown.

Who sees a promotion is drawn by the hash, steady for a customer; for nobody in particular by the decision's id. The
probability is that of what was shown: the sum over all that the draws could have been of those that show the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from features.assignment import bucket
from features.catalog import Catalog
from features.placements import Pinned
from serving.decisions.chain import PINNED, Found, among
from serving.decisions.where import fitting
from training.recommenders.base import ItemFilter, Reason

PUT = Reason("pinned")


@dataclass(frozen=True)
class Promotion:
    """A promotion, what of it may be shown, and whether the customer's draw says that it is."""

    pinned: Pinned
    items: tuple[str, ...]
    drawn: bool

    @property
    def open(self) -> bool:
        """Whether it could have been drawn otherwise."""
        return self.pinned.share < 1 and bool(self.items)


def promotion(pinned: Pinned, items: tuple[str, ...], unit: str) -> Promotion:
    """The promotion for whom this unit stands."""
    drawn = pinned.share >= 1 or bucket(f"pinned:{pinned.key}", unit) < pinned.share
    return Promotion(pinned, items[: len(pinned.positions)], drawn)


def named(pinned: Pinned, catalog: Catalog, items: ItemFilter) -> tuple[str, ...]:
    """Those of its `items` that the catalogue has and the filter allows, in their order."""
    ids = np.unique(np.array(pinned.items, np.str_))
    allowed = set(ids[items.mask(ids, 1)[0]].tolist())
    return tuple(one for one in dict.fromkeys(pinned.items) if one in allowed and one in catalog.frame.index)


def fitting_only(pinned: Pinned, catalog: Catalog, items: ItemFilter) -> ItemFilter:
    """The filter that allows only what its condition holds for."""
    fits = fitting(catalog, pinned.where)
    return items if fits is None else among(items, fits)


def shown(base: Found, promotions: Sequence[Promotion], k: int) -> tuple[Found, float]:
    """The k items with the promotions that were drawn, and the probability that just these are shown."""
    given = _with(base, [one for one in promotions if one.drawn], k)
    open_ = [one for one in promotions if one.open]
    sure = [one for one in promotions if one.drawn and not one.open]
    chance = 0.0
    for draws in product((True, False), repeat=len(open_)):
        could = [one for one, drawn in zip(open_, draws, strict=True) if drawn]
        order = [one for one in promotions if one in sure or one in could]
        if _with(base, order, k).items == given.items:
            shares = (
                one.pinned.share if drawn else 1 - one.pinned.share for one, drawn in zip(open_, draws, strict=True)
            )
            chance += math.prod(shares)
    return given, chance


def _with(base: Found, promotions: Iterable[Promotion], k: int) -> Found:
    """The base with the items of these promotions at their positions, and the rest in its order around them."""
    put: dict[int, str] = {}
    keys: dict[str, str] = {}
    for one in promotions:
        new = [item for item in dict.fromkeys(one.items) if item not in keys]
        for position, item in zip(sorted(one.pinned.positions), new, strict=False):
            place = position - 1
            while place in put:
                place += 1
            if place < k:
                put[place], keys[item] = item, one.pinned.key
    rest = iter([row for row in _rows(base) if row[0] not in keys])
    rows = [(put[at], None, PUT, PINNED) if at in put else next(rest, None) for at in range(k)]
    kept = [row for row in rows if row is not None]
    names, scores, reasons, steps = zip(*kept, strict=True) if kept else ((),) * 4
    return replace(base, items=names, scores=scores, reasons=reasons, steps=steps, pinned=keys)


def _rows(found: Found) -> list[tuple[str, float | None, Reason, str]]:
    return list(zip(found.items, found.scores, found.reasons, found.steps, strict=True))
