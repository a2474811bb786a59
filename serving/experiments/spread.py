"""Spread: how many customers of each arm brought how much, for the picture behind a mean of money.

    edges     0    5    10    20    50          the same for all arms: 1, 2, 5, 10, ... as far as the money goes
    customers  <5   <10   <20   <50   more          beside who brought nothing, and who got back more than they paid

Only customers whose window has closed count, as in the mean; no value is capped.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from serving.experiments.gathered import Gathered
from serving.experiments.values import Columns

MOST = 12  # bins; a picture of more says no more
LOW = 0.02  # of those who brought something, the share that the first bin may hold together
STEPS = ((1, 2, 5), (1, 3), (1,))  # of a power of ten, the coarser the further the money reaches
CENTS = 4  # digits: what an order less its refund leaves beyond them is no money
Numbers = NDArray[np.float64]


def spread(gathered: Gathered) -> dict[str, Any]:
    """Per metric of money that is a mean: the edges, and by arm the customers in each bin; before any closed, none."""
    told = [one for one in gathered.told if one.metric.kind == "mean" and one.metric.numerator.sum == "money"]
    values = {one.metric.key: _values(gathered, one) for one in told}
    return {key: _told(found) for key, found in values.items() if found}


def edges(values: Numbers) -> list[float]:
    """The edges for these amounts, which are above 0: beginning with 0; the last bin is open."""
    if not len(values):
        return [0.0]
    low, high = np.quantile(values, LOW), np.quantile(values, 1 - LOW)
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for steps in STEPS:
        every = [step * 10.0**power for power in powers for step in steps]
        found = [0.0, *(one for one in every if low <= one < high)]
        if len(found) <= MOST:
            break
    return found if len(found) <= MOST else [0.0, *found[-(MOST - 1) :]]


def _told(values: dict[str, Numbers]) -> dict[str, Any]:
    found = edges(np.concatenate([own[own > 0] for own in values.values()]))
    arms = {
        arm: {
            "below": int((own < 0).sum()),
            "none": int((own == 0).sum()),
            "customers": np.histogram(own[own > 0], [*found, math.inf])[0].tolist(),
        }
        for arm, own in values.items()
    }
    return {"edges": found, "arms": arms}


def _values(gathered: Gathered, one: Columns) -> dict[str, Numbers]:
    """By arm what each customer brought, of those whose window has closed."""
    until = utc(gathered.now) - timedelta(days=one.window.days)
    rows = gathered.rows.filter(gathered.rows["first"] <= until).select("arm", one.value).to_pyarrow()
    arms, values = rows["arm"].to_numpy(), rows[one.value].to_numpy().astype(np.float64).round(CENTS)
    return {arm: values[arms == arm] for arm in gathered.experiment.arms if (arms == arm).any()}
