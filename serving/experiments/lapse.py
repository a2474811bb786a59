"""Lapse: how sure it is, when a customer's window closes, that she will ever order again, by her own rhythm.

alive     the mean chance to order ever again (BG/NBD)
lapsed    the share of customers for whom it is below a half: silent for longer than their own rhythm allows

Customers are those who had ordered before the first exposure, as of their own first order; orders that were given back
are none. One model of all arms together is the yardstick, and what it says of each customer is compared as any mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from serving.experiments.fitting import fit_transactions
from serving.experiments.lifetime import alive
from serving.experiments.moments import Moments
from serving.experiments.purchases import Purchases
from serving.experiments.values import Columns, closed

if TYPE_CHECKING:
    import ibis.expr.types as ir

LAPSED = 0.5  # below this chance a customer has more likely left than not


def lapses(table: ir.Table, one: Columns, as_of: datetime) -> Mapping[str, Moments]:
    """Per arm the moments, of the customers whose window has closed.

    Raises ValueError where the customers are too few or too much alike for the model.
    """
    number, last, age = one.purchases
    known = closed(table, one, as_of) & (table[age] > 0)
    rows = table.filter(known).select("arm", *one.purchases).to_pyarrow()
    arms = rows["arm"].to_numpy(zero_copy_only=False)
    repeats, recency, seen = (rows[name].to_numpy() for name in (number, last, age))
    purchases = Purchases.of(repeats, recency, seen, np.ones(len(arms)))
    chance = alive(purchases, fit_transactions(purchases))
    told = chance if one.metric.kind == "alive" else (chance < LAPSED).astype(float)
    return {arm: Moments.of(told[arms == arm][:, None]) for arm in sorted(set(arms.tolist()))}
