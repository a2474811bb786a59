"""Cycles: which items are bought again, and after how long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from features.lines import Lines

DAY = np.timedelta64(86_400_000_000, "us")
PRIOR = 20.0  # buyers that an item's own chance and cycle are shrunk by, toward those of all items
FIRM = 1.0  # gaps that a cycle of purchases one by one is shrunk by: items differ more than the gaps of one item
NEVER = 365.0  # the cycle where nobody ever bought anything twice, in days


def chance_of_repeat(interactions: Interactions) -> NDArray[np.float32]:
    """Per item the share of its buyers who bought it again, shrunk toward the share over all items."""
    size = len(interactions.items)
    buyers = np.bincount(interactions.item, interactions.purchases > 0, minlength=size)
    again = np.bincount(interactions.item, interactions.purchases > 1, minlength=size)
    overall = (again.sum() + 1) / (buyers.sum() + 2)  # Laplace: above 0 also where nobody ever came back
    return np.asarray((again + PRIOR * overall) / (buyers + PRIOR), dtype=np.float32)


def cycles(interactions: Interactions) -> NDArray[np.float32]:
    """Per item the mean days between two purchases by one customer, shrunk toward the mean over all items."""
    size = len(interactions.items)
    again = (interactions.purchases > 1) & ~np.isnat(interactions.first) & ~np.isnat(interactions.last)
    days = (interactions.last[again] - interactions.first[again]) / DAY
    gaps = interactions.purchases[again] - 1.0
    total = np.bincount(interactions.item[again], days, minlength=size)
    count = np.bincount(interactions.item[again], gaps, minlength=size)
    return _shrunk(total, count, prior=PRIOR)


def line_cycles(lines: Lines, items: int) -> NDArray[np.float32]:
    """As `cycles`, from purchases one by one: what was only viewed since does not make a cycle longer."""
    order = np.lexsort((lines.basket, lines.item, lines.customer))
    customer, item, time = lines.customer[order], lines.item[order], lines.time[order]
    days = np.diff(time) / DAY
    again = (np.diff(customer) == 0) & (np.diff(item) == 0) & ~np.isnan(days)
    total = np.bincount(item[1:][again], days[again], minlength=items)
    count = np.bincount(item[1:][again], minlength=items)
    return _shrunk(total, count, prior=FIRM)


def _shrunk(days: NDArray[Any], gaps: NDArray[Any], *, prior: float) -> NDArray[np.float32]:
    """Days per gap, drawn toward that of all items."""
    overall = days.sum() / gaps.sum() if gaps.sum() and days.sum() else NEVER
    return np.asarray((days + prior * overall) / (gaps + prior), dtype=np.float32)
