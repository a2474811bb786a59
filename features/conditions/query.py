"""Conditions over a population, or over a catalogue: one query on DuckDB that means what `facts.holds` means."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.catalog import Catalog
from features.conditions.counts import counted, money_of
from features.conditions.facts import meant
from features.conditions.grammar import (
    AllOf,
    AnyOf,
    Attribute,
    Condition,
    Happened,
    Leaf,
    Named,
    Not,
    Score,
    Trait,
    leaves,
    of_customers,
    of_items,
)
from features.conditions.typed import Typed, described, inside
from features.customers.profile import latest_of
from features.customers.touches import TOUCHES, touched
from features.engine import connect
from features.events import Events, utc
from features.past import people

if TYPE_CHECKING:
    import ibis.expr.types as ir

SCORED = pa.schema([("customer", pa.string()), ("score", pa.float64())])
Scores = Mapping[str, pa.Table]  # per name a table of `customer` and `score`


@dataclass(frozen=True)
class Members:
    """Who is in what: `inside` has a row per customer, sorted, and a column per condition."""

    names: tuple[str, ...]
    customers: pa.Array
    inside: NDArray[np.bool_]


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

    `catalog` is needed where `where` or `same` names an attribute of items.
    """
    found = members({"": condition}, events, as_of, among=among, scores=scores, catalog=catalog)
    ids: list[str] = found.customers.filter(pa.array(found.inside[:, 0])).to_pylist()
    return ids


def members(
    conditions: Mapping[str, Condition],
    events: Events,
    as_of: datetime,
    *,
    among: pa.Array | None = None,
    scores: Scores | None = None,
    catalog: Catalog | None = None,
) -> Members:
    """For whom each condition holds, in one query; of those for whom `matching` would answer."""
    return _members(conditions, people(events.before(as_of)), utc(as_of), _asked_of(among), scores or {}, catalog)


def members_each(
    conditions: Mapping[str, Condition], events: Events, moments: pa.Table, *, catalog: Catalog | None = None
) -> Members:
    """The same of each of these customers as of their own moment, in one query; no condition may ask for a score.

    `moments`: `customer`, each once, and `moment`, UTC without a zone.
    """
    import ibis

    return _members(conditions, people(events.before_each(moments)), None, ibis.memtable(moments), {}, catalog)


def _members(
    conditions: Mapping[str, Condition],
    rows: ir.Table,
    moment: datetime | None,
    among: ir.Table | None,
    scores: Scores,
    catalog: Catalog | None,
) -> Members:
    asked = _asked(conditions.values())
    columns = {said: f"part_{place}" for place, said in enumerate(asked)}
    happened = {columns[said]: leaf for said, leaf in asked.items() if isinstance(leaf, Happened)}
    known = counted(rows, happened, moment, among, catalog)
    for beside in _beside(rows, {columns[said]: leaf for said, leaf in asked.items()}, scores):
        known = known.left_join(beside.rename(who="customer"), [("customer", "who")]).drop("who")
    holding = [
        _holding(condition, lambda leaf: _leaf(leaf, known, columns[_said(leaf)])).name(f"holds_{place}")
        for place, condition in enumerate(conditions.values())
    ]
    table = known.select("customer", *holding).order_by("customer").to_pyarrow()
    inside = [column.to_numpy(zero_copy_only=False) for column in table.columns[1:]]
    flags = np.stack(inside, axis=1).astype(np.bool_) if inside else np.zeros((table.num_rows, 0), dtype=np.bool_)
    return Members(tuple(conditions), table["customer"].combine_chunks(), flags)


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
        case Named():
            return _holding(meant(condition), fits)
        case _:
            return fits(condition)


def _asked(conditions: Iterable[Condition]) -> dict[str, Leaf]:
    """What is asked of customers, each thing once."""
    return {_said(leaf): leaf for condition in conditions for leaf in leaves(of_customers(condition))}


def _asked_of(among: pa.Array | None) -> ir.Table | None:
    import ibis

    return None if among is None else ibis.memtable(pa.table({"customer": among}))


def _beside(rows: ir.Table, asked: Mapping[str, Leaf], scores: Scores) -> Iterator[ir.Table]:
    """What is known beside the events that were counted, by column."""
    traits = {column: leaf.trait for column, leaf in asked.items() if isinstance(leaf, Trait)}
    told = {column: trait for column, trait in traits.items() if trait not in TOUCHES}
    if told:
        yield latest_of(rows, told)
    for column in traits.keys() - told.keys():
        yield touched(rows, traits[column]).rename({column: "value"})
    for column, leaf in asked.items():
        if isinstance(leaf, Score):
            yield _scored(leaf, scores).rename({column: "value"})


def _said(leaf: Leaf) -> str:
    match leaf:
        case Trait():
            return f"trait {leaf.trait}"
        case Score():
            return f"score {leaf.score}"
        case _:
            return repr(leaf)


def _leaf(leaf: Leaf, known: ir.Table, column: str) -> ir.BooleanValue:
    match leaf:
        case Trait():
            return Typed.of_json(known[column]).fits(leaf)
        case Happened():
            often = inside(leaf.count, known[column])
            return often if leaf.money is None else often & inside(leaf.money, known[money_of(column)])
        case Score():
            return inside(leaf, known[column])
        case _:
            raise TypeError(f"{leaf!r} cannot be asked of a customer")


def _scored(leaf: Score, scores: Scores) -> ir.Table:
    """The table of this score, a row per customer, its `value` null where it is no number."""
    import ibis

    if leaf.score not in scores:
        raise ValueError(f"there is no score {leaf.score!r}; there are {list(scores)}")
    table = scores[leaf.score].select(["customer", "score"]).cast(SCORED)
    if pc.count_distinct(table["customer"]).as_py() != table.num_rows:
        raise ValueError(f"the score {leaf.score!r} names a customer twice or none; each customer once")
    table = ibis.memtable(table)
    return table.select("customer", value=table.score.isnan().ifelse(None, table.score))
