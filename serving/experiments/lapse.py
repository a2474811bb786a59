"""Lapse: how sure it is, when a customer's window closes, that she will ever order again, by her own rhythm.

alive     the mean chance to order ever again (BG/NBD)
lapsed    the share of customers for whom it is below a half: silent for longer than their own rhythm allows

Customers are those who had ordered before the first exposure, as of their own first order; orders that were given back
are none. One model of all arms together is the yardstick, and what it says of each customer is compared as any mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from features.words import many
from serving.experiments.fitting import MIN_CUSTOMERS, MIN_REPEATERS, fit_transactions
from serving.experiments.lifetime import alive
from serving.experiments.moments import Moments
from serving.experiments.purchases import Array, Purchases
from serving.experiments.values import Cell, Columns, closed, places, steady

if TYPE_CHECKING:
    import ibis.expr.types as ir

LEAVING = ("alive", "lapsed")
LAPSED = 0.5  # below this chance a customer has more likely left than not


def lapses(
    table: ir.Table, told: Sequence[Columns], as_of: datetime, by: Sequence[str] = ("arm",)
) -> tuple[dict[Cell, dict[str, Moments]], dict[str, str]]:
    """Per cell, and metric of who has left, the moments of the customers whose window has closed.

    And by metric why the model says nothing: the customers are too few or too much alike for it.
    """
    found: dict[Cell, dict[str, Moments]] = {}
    untold: dict[str, str] = {}
    known: dict[str, dict[Cell, Array]] = {}
    for one in told:
        if one.metric.kind not in LEAVING:
            continue
        asked = f"{one.metric.numerator.model_dump_json()} {one.window}"
        try:
            known[asked] = known.get(asked) or _chances(table, one, as_of, by)
        except ValueError as error:
            untold[one.metric.key] = str(error)
            continue
        for cell, chance in known[asked].items():
            own = chance if one.metric.kind == "alive" else (chance < LAPSED).astype(float)
            found.setdefault(cell, {})[one.metric.key] = Moments.of(own[:, None])
    return found, untold


def _chances(table: ir.Table, one: Columns, as_of: datetime, by: Sequence[str]) -> dict[Cell, Array]:
    """Per cell each customer's chance to order ever again."""
    number, last, age = one.purchases
    rows = steady(table.filter(closed(table, one, as_of) & (table[age] > 0)), by, one.purchases)
    repeats, recency, seen = (rows[name].to_numpy() for name in (number, last, age))
    if why := _few(rows.num_rows, int((repeats > 0).sum())):
        raise ValueError(why)
    purchases = Purchases.of(repeats, recency, seen, np.ones(rows.num_rows))
    chance = alive(purchases, fit_transactions(purchases))
    return {cell: chance[own] for cell, own in places(rows, by).items()}


def _few(customers: int, again: int) -> str:
    """Why no rhythm is known, in words; nothing where it is."""
    if customers < MIN_CUSTOMERS:
        who = f"{many(customers, 'customer')} whose window has closed had ordered before"
        return f"{who}; their rhythm (BG/NBD) needs at least {MIN_CUSTOMERS}"
    if again < MIN_REPEATERS:
        who = f"of {customers:,} customers who had ordered before {again} ordered again"
        return f"{who}; their rhythm (BG/NBD) needs at least {MIN_REPEATERS}"
    return ""
