"""Conditions over a population, or over a catalogue: one query on DuckDB that means what `facts.holds` means."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.catalog import Catalog
from features.conditions.facts import FIELDS
from features.conditions.grammar import (
    AllOf,
    AnyOf,
    Attribute,
    Condition,
    Happened,
    Leaf,
    Not,
    Score,
    Trait,
    leaves,
    of_customers,
    of_items,
)
from features.conditions.typed import Typed, described, inside
from features.customers.profile import latest
from features.engine import connect
from features.events import ORDERED, REFUNDED, Events, utc
from features.past import people

if TYPE_CHECKING:
    import ibis.expr.types as ir

SCORED = pa.schema([("customer", pa.string()), ("score", pa.float64())])
Scores = Mapping[str, pa.Table]  # per name a table of `customer` and `score`


def matching(
    condition: Condition,
    events: Events,
    as_of: datetime,
    *,
    among: pa.Array | None = None,
    scores: Scores | None = None,
    catalog: Catalog | None = None,
) -> list[str]:
    """The customers for whom the condition holds, sorted; of `among`, else of all who did something before `as_of`.

    `catalog` is needed where `where` names an attribute of items.
    """
    rows, asked = people(events.before(as_of)), _asked(of_customers(condition))
    columns = {said: f"part_{place}" for place, said in enumerate(asked)}
    known = _counted(rows, {columns[said]: leaf for said, leaf in asked.items()}, utc(as_of), catalog)
    known = known if among is None else _of_each(among, known)
    for said, leaf in asked.items():
        if not isinstance(leaf, Happened):
            beside = latest(rows, leaf.trait) if isinstance(leaf, Trait) else _scored(leaf, scores or {})
            known = known.left_join(beside.rename(who="customer", **{columns[said]: "value"}), [("customer", "who")])
            known = known.drop("who")
    found = known.filter(_holding(condition, lambda leaf: _leaf(leaf, known[columns[_said(leaf)]])))
    ids: list[str] = found.select("customer").order_by("customer").to_pyarrow()["customer"].to_pylist()
    return ids


def allowed_items(condition: Condition, catalog: Catalog) -> NDArray[np.str_]:
    """The items of the catalogue for which the condition holds, sorted."""
    names = sorted({leaf.item for leaf in leaves(of_items(condition)) if isinstance(leaf, Attribute)})
    items = described(catalog, names)

    def fits(leaf: Leaf) -> ir.BooleanValue:
        assert isinstance(leaf, Attribute)  # noqa: S101  # `of_items` says so; this tells the type checker
        return Typed.of_attribute(items, names.index(leaf.item)).fits(leaf)

    found = items.filter(_holding(condition, fits)).select("described").order_by("described")
    return np.array(connect().to_pyarrow(found)["described"].to_pylist(), dtype=np.str_)


def _holding(condition: Condition, fits: Callable[[Leaf], ir.BooleanValue]) -> ir.BooleanValue:
    match condition:
        case AllOf():
            return reduce(operator.and_, [_holding(part, fits) for part in condition.parts])
        case AnyOf():
            return reduce(operator.or_, [_holding(part, fits) for part in condition.parts])
        case Not():
            return ~_holding(condition.part, fits)
        case _:
            return fits(condition)


def _asked(condition: Condition) -> dict[str, Leaf]:
    """What is asked of customers, each thing once."""
    return {_said(leaf): leaf for leaf in leaves(condition)}


def _said(leaf: Leaf) -> str:
    match leaf:
        case Trait():
            return f"trait {leaf.trait}"
        case Score():
            return f"score {leaf.score}"
        case _:
            return repr(leaf)


def _leaf(leaf: Leaf, column: ir.Value) -> ir.BooleanValue:
    match leaf:
        case Trait():
            return Typed.of_json(column).fits(leaf)
        case Happened():
            return inside(leaf.count, column)
        case _:
            return inside(leaf, column)


def _counted(rows: ir.Table, asked: Mapping[str, Leaf], moment: datetime, catalog: Catalog | None) -> ir.Table:
    """One row per customer, with the number of different events of each part."""
    parts = {column: leaf for column, leaf in asked.items() if isinstance(leaf, Happened)}
    names = sorted({name for part in parts.values() for name in part.where if name not in FIELDS})
    rows = rows.mutate(one=_one_event(rows))
    if names:
        rows = rows.left_join(described(catalog, names), [("item", "described")])
    counts = {column: rows.one.nunique(where=_wanted(part, rows, moment, names)) for column, part in parts.items()}
    return rows.group_by("customer").aggregate(**counts) if counts else rows.select("customer").distinct()


def _of_each(customers: pa.Array, counted: ir.Table) -> ir.Table:
    """One row for each of these customers; who did nothing did it 0 times."""
    import ibis

    counts = [name for name in counted.columns if name != "customer"]
    asked = ibis.memtable(pa.table({"customer": customers}))
    found = asked.left_join(counted.rename(who="customer"), [("customer", "who")]).drop("who")
    return found.mutate(**{name: found[name].fill_null(0) for name in counts})


def _wanted(part: Happened, rows: ir.Table, moment: datetime, names: Sequence[str]) -> ir.BooleanValue:
    """The rows that the part counts."""
    wanted = rows.name == part.event
    if part.within is not None:
        wanted &= rows.time >= moment - part.within
    for name, test in part.where.items():
        field = Typed.of_field(rows, name) if name in FIELDS else Typed.of_attribute(rows, names.index(name))
        wanted &= field.fits(test)
    return wanted


def _one_event(rows: ir.Table) -> ir.StructValue:
    """What lines of one event share: `facts.one_event`."""
    import ibis

    order = rows.name.isin([ORDERED, REFUNDED])
    kept = {"order_id": order, "time": order & rows.order_id.isnull(), "source": ~order, "message_id": ~order}
    return ibis.struct({name: when.ifelse(rows[name], None) for name, when in kept.items()})


def _scored(leaf: Leaf, scores: Scores) -> ir.Table:
    """The table of this score, a row per customer, its `value` null where it is no number."""
    import ibis

    assert isinstance(leaf, Score)  # noqa: S101  # the last of the three kinds; this tells the type checker
    if leaf.score not in scores:
        raise ValueError(f"there is no score {leaf.score!r}; there are {list(scores)}")
    table = scores[leaf.score].select(["customer", "score"]).cast(SCORED)
    if pc.count_distinct(table["customer"]).as_py() != table.num_rows:
        raise ValueError(f"the score {leaf.score!r} names a customer twice or none; each customer once")
    table = ibis.memtable(table)
    return table.select("customer", value=table.score.isnan().ifelse(None, table.score))
