"""What a ranker knows beside its members' scores: of the customer, of the item, and of both together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from features.interactions import Interactions
from training.recommenders.candidates import Candidates, Columns
from training.recommenders.cycles import DAY, chance_of_repeat, cycles

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class ItemFacts:
    """Per item of a log: how popular it is, how many had it, how often and after how many days it is bought again."""

    popularity: Numbers
    buyers: Numbers
    again: Numbers
    cycle: Numbers

    @classmethod
    def of(cls, log: Interactions, popularity: Numbers) -> ItemFacts:
        """The facts of this log."""
        buyers = np.bincount(log.item, minlength=len(log.items)).astype(np.float32)
        return cls(popularity, buyers, chance_of_repeat(log), cycles(log))


def pair_columns(found: Candidates, histories: Interactions, facts: ItemFacts, as_of: datetime | None) -> Columns:
    """Per candidate what the history says of the item, what the item is like, and what the customer is like."""
    return _of_pair(found, histories, facts, as_of) | _of_item(found, facts) | _of_customer(found, histories, as_of)


def _of_pair(found: Candidates, histories: Interactions, facts: ItemFacts, as_of: datetime | None) -> Columns:
    pair = _pairs(found, histories)
    known = pair >= 0
    since = _days(histories.last, as_of)[pair]
    since_first = _days(histories.first, as_of)[pair]
    purchases = np.append(histories.purchases, 0)[pair]
    gap = (since_first - since) / np.maximum(purchases - 1, 1)
    return {
        "pair.weight": np.append(histories.weight, 0)[pair].astype(np.float32),
        "pair.purchases": purchases.astype(np.float32),
        "pair.days_since": _where(known, since),
        "pair.days_since_first": _where(known, since_first),
        "pair.gap": _where(known & (purchases > 1), gap),
        "pair.gaps_since": _where(known & (purchases > 1), since / np.maximum(gap, 1e-3)),
        "pair.cycles_since": _where(known, since / facts.cycle[found.item]),
    }


def _of_item(found: Candidates, facts: ItemFacts) -> Columns:
    values = {"popularity": facts.popularity, "buyers": facts.buyers, "again": facts.again, "cycle": facts.cycle}
    return {f"item.{name}": value[found.item] for name, value in values.items()}


def _of_customer(found: Candidates, histories: Interactions, as_of: datetime | None) -> Columns:
    rows = len(histories.customers)
    size = np.diff(histories.starts).astype(np.float32)
    weight = np.bincount(histories.customer, histories.weight, rows)
    purchases = np.bincount(histories.customer, histories.purchases, rows)
    again = np.bincount(histories.customer, histories.purchases > 1, rows) / np.maximum(size, 1)
    latest = np.full(rows, np.inf)
    np.fmin.at(latest, histories.customer, _days(histories.last, as_of)[:-1])
    latest[np.isinf(latest)] = np.nan
    values: dict[str, NDArray[Any]] = {
        "items": size,
        "weight": weight,
        "purchases": purchases,
        "again": again,
        "days_since": latest,
    }
    return {f"customer.{name}": value[found.row].astype(np.float32) for name, value in values.items()}


def _pairs(found: Candidates, histories: Interactions) -> NDArray[np.intp]:
    """The position of each candidate's pair in the histories; -1, the entry appended, where there is none."""
    width = len(histories.items)
    keys = histories.customer.astype(np.int64) * width + histories.item
    wanted = found.row.astype(np.int64) * width + found.item
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.intp)
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[position] == wanted, position, -1)


def _days(times: NDArray[np.datetime64], as_of: datetime | None) -> NDArray[np.float64]:
    """Days before `as_of`; NaN where either is unknown. One more at the end, for pairs that are not there."""
    if as_of is None:
        return np.full(len(times) + 1, np.nan)
    days = (np.datetime64(utc(as_of), "us") - times) / DAY
    return np.append(days, np.nan)


def _where(known: NDArray[np.bool_], values: NDArray[np.generic], other: float = np.nan) -> Numbers:
    return np.where(known, values, other).astype(np.float32)
