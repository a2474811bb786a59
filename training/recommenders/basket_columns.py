"""What a ranker reads from purchases one by one: how often, how lately and how regularly, in baskets and in days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from features.lines import Lines
from training.recommenders.cycles import DAY, line_cycles

Numbers = NDArray[np.float32]
Columns = dict[str, Numbers]
Places = NDArray[Any]
PRIOR = 5.0  # buyers that an item's repeat rate is shrunk by
LATELY = (1, 3, 5)  # baskets
NEVER = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class PairHistory:
    """Per pair of a customer and an item that was bought: keys are sorted, `ages` count baskets since, 0 = newest."""

    key: NDArray[np.int64]
    purchases: Numbers
    since: Numbers
    since_first: Numbers
    last: NDArray[Any]  # datetime64[us], NaT where no time is known
    lately: tuple[Numbers, ...]  # purchases in the last `LATELY` baskets

    @classmethod
    def of(cls, lines: Lines, customers: int, items: int) -> PairHistory:
        """The pairs of these lines."""
        age = (lines.baskets(customers)[lines.customer] - 1 - lines.basket).astype(np.float32)
        key, pair = np.unique(lines.customer.astype(np.int64) * items + lines.item, return_inverse=True)
        since = np.full(len(key), np.inf, dtype=np.float32)
        first = np.zeros(len(key), dtype=np.float32)
        np.minimum.at(since, pair, age)
        np.maximum.at(first, pair, age)
        latest = np.full(len(key), NEVER).view(np.int64)  # below every moment
        np.maximum.at(latest, pair, lines.time.astype("M8[us]").view(np.int64))
        purchases = np.bincount(pair, minlength=len(key)).astype(np.float32)
        lately = tuple(np.bincount(pair, age < last, len(key)).astype(np.float32) for last in LATELY)
        return cls(key, purchases, since, first, latest.view("M8[us]"), lately)

    def place(self, row: Places, item: Places, items: int) -> Places:
        """Where each of these pairs stands here; after the last where it does not."""
        wanted = row.astype(np.int64) * items + item
        place = np.searchsorted(self.key, wanted)
        return np.where(np.append(self.key, -1)[place] == wanted, place, len(self.key))


@dataclass(frozen=True)
class BasketFacts:
    """Per item: the share of its buyers who bought it again, of their later baskets that held it, and its trend."""

    buyers: Numbers
    again: Numbers
    per_basket: Numbers
    trend: Numbers
    latest: Numbers
    gap: Numbers
    cycle: Numbers  # days between two purchases; views do not end it

    @classmethod
    def of(cls, lines: Lines, customers: int, items: int) -> BasketFacts:
        """The facts of these lines."""
        pairs = PairHistory.of(lines, customers, items)
        item = pairs.key % items
        buyers = np.bincount(item, minlength=items)
        again = _shrunk(np.bincount(item, pairs.purchases > 1, items), buyers)
        per_basket = _shrunk(np.bincount(item, pairs.purchases - 1, items), np.bincount(item, pairs.since_first, items))
        newest = np.bincount(lines.item, lines.basket == lines.baskets(customers)[lines.customer] - 1, items)
        trend = _shrunk(newest, np.bincount(lines.item, minlength=items))
        gaps, repeats = pairs.since_first - pairs.since, pairs.purchases - 1
        gap = np.bincount(item, gaps, items) / np.maximum(np.bincount(item, repeats, items), 1)
        values = (buyers, again, per_basket, trend, newest / max(customers, 1), gap, line_cycles(lines, items))
        return cls(*(np.asarray(value, dtype=np.float32) for value in values))


def basket_columns(
    row: Places, item: Places, lines: Lines, customers: int, facts: BasketFacts, as_of: datetime | None
) -> Columns:
    """Per candidate, a customer's row and an item's place: what the pair, the item and the customer are like."""
    items = len(facts.buyers)
    pairs = PairHistory.of(lines, customers, items)
    return (
        _of_pair(row, item, pairs, lines.baskets(customers), facts)
        | _of_days(np.append(pairs.last, NEVER)[pairs.place(row, item, items)], facts.cycle[item], as_of)
        | _of_customer(row, lines, customers, pairs.key // items)
    )


def _of_days(last: Places, cycle: Numbers, as_of: datetime | None) -> Columns:
    """Days since the pair's last purchase, against the days after which the item is bought again."""
    now: Any = NEVER if as_of is None else np.datetime64(utc(as_of), "us")
    days = (now - last) / DAY
    columns = {
        "pair.days_since": days,
        "pair.cycles_since": days / cycle,
        "pair.days_left": cycle - days,
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in columns.items()}


def _of_pair(row: Places, item: Places, pairs: PairHistory, baskets: Places, facts: BasketFacts) -> Columns:
    place = pairs.place(row, item, len(facts.buyers))
    known = place < len(pairs.key)
    purchases = np.append(pairs.purchases, 0)[place]
    since = np.where(known, np.append(pairs.since, 0)[place], np.nan)
    first = np.where(known, np.append(pairs.since_first, 0)[place], np.nan)
    gap = np.where(purchases > 1, (first - since) / np.maximum(purchases - 1, 1), np.nan)
    usual = np.where(purchases > 1, gap, facts.gap[item])
    columns = {
        "pair.purchases": purchases,
        "pair.share": purchases / np.maximum(baskets[row], 1),
        "pair.rate": purchases / (first + 1),
        "pair.baskets_since": since,
        "pair.baskets_since_first": first,
        "pair.gap": gap,
        "pair.gaps_since": (since + 1) / np.maximum(usual, 1),
        **{
            f"pair.last_{last}": np.where(known, np.append(pairs.lately[at], 0)[place], 0)
            for at, last in enumerate(LATELY)
        },
        **{f"item.{name}": value[item] for name, value in vars(facts).items()},
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in columns.items()}


def _of_customer(row: Places, lines: Lines, customers: int, owner: Places) -> Columns:
    baskets = lines.baskets(customers)
    size = np.bincount(lines.customer, minlength=customers)
    different = np.bincount(owner, minlength=customers)
    newest = np.bincount(lines.customer, lines.basket == baskets[lines.customer] - 1, customers)
    values = {
        "baskets": baskets,
        "basket_size": size / np.maximum(baskets, 1),
        "latest_size": newest,
        "items": different,
        "repeat_share": 1 - different / np.maximum(size, 1),
    }
    return {f"customer.{name}": np.asarray(value[row], dtype=np.float32) for name, value in values.items()}


def _shrunk(part: Places, whole: Places) -> Places:
    """The share, drawn towards that of all items where little is known."""
    mean = part.sum() / max(whole.sum(), 1)
    return np.asarray((part + PRIOR * mean) / (whole + PRIOR))
