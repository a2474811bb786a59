"""What a feature family is: descriptions, the aggregates it needs at each grain, and its columns from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    Columns = dict[str, ir.Value]

EVER = 1_000_000  # days: before any event
MONEY = "money"  # stands for the workspace's currency until a table is built


def nothing(_table: ir.Table, _moment: datetime) -> Columns:
    """No aggregate at this grain."""
    return {}


@dataclass(frozen=True)
class Family:
    """Aggregates of all families are taken together, one query per grain; `columns` derives the features from them.

    Grains: `rows` are a customer's events as in `Past`; `orders` one row per order or refund with `refund`, `value`,
    `units`, `time`; `pairs` one row per item ordered with `bought` (lines, less those refunded);
    `pages` one row per page viewed or engaged with `time`, `told` and `estimate` in seconds.
    Two families that share an aggregate name it alike and mean the same.
    `words` names columns that are categories: their numbers are positions in these words.
    `counted` names the events of which `rows` counts each one of the last so many days (`EVER`: of all time); of every
    other event it may ask only for the first of all, the last of its name and the different items.
    """

    features: tuple[Feature, ...]
    columns: Callable[[ir.Table, datetime], Columns]
    rows: Callable[[ir.Table, datetime], Columns] = nothing
    orders: Callable[[ir.Table, datetime], Columns] = nothing
    pairs: Callable[[ir.Table, datetime], Columns] = nothing
    pages: Callable[[ir.Table, datetime], Columns] = nothing
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)
