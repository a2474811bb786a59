"""Cycles: which items are bought again, and after how long."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions

DAY = np.timedelta64(86_400_000_000, "us")
PRIOR = 20.0  # buyers that an item's own chance and cycle are shrunk by, toward those of all items
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
    overall = days.sum() / gaps.sum() if gaps.sum() and days.sum() else NEVER
    return np.asarray((total + PRIOR * overall) / (count + PRIOR), dtype=np.float32)
