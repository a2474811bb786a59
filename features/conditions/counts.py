"""Counts: how often each of many things happened to every customer, on DuckDB; what `facts.Facts` counts for one.

rows, only those that any part looks at, and held
  -> (for a part that counts beyond one) events: rows of one order or message are one
  -> a number per customer, or per customer and value of `same`, of which the largest counts
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, reduce
from typing import TYPE_CHECKING

from features.catalog import Catalog
from features.conditions.facts import FIELDS
from features.conditions.grammar import Happened, Last
from features.conditions.happenings import LARGEST, ORDERS, PARTS
from features.conditions.typed import Typed, described
from features.engine import held

if TYPE_CHECKING:
    import ibis.expr.types as ir

EVENT = ("event_1", "event_2", "event_3")  # what rows of one event share: `happenings.one_event`


@dataclass(frozen=True)
class Asked:
    """The parts by their column, as of a moment, or (None) that of each row, its `moment`.

    `names` are the attributes of items that they look at.
    """

    parts: Mapping[str, Happened]
    moment: datetime | None
    catalog: Catalog | None

    @cached_property
    def names(self) -> list[str]:
        return sorted({name for part in self.parts.values() for name in part.looked_at} - set(FIELDS))

    def only(self, columns: Sequence[str]) -> Asked:
        """The same of these columns only."""
        return Asked({column: self.parts[column] for column in columns}, self.moment, self.catalog)

    def described(self, rows: ir.Table) -> ir.Table:
        """The rows with the attributes of their items."""
        return rows.left_join(described(self.catalog, self.names), [("item", "described")]) if self.names else rows

    def typed(self, rows: ir.Table, name: str) -> Typed:
        """A field of the rows, or an attribute of their items."""
        return Typed.of_field(rows, name) if name in FIELDS else Typed.of_attribute(rows, self.names.index(name))

    def fits(self, part: Last, rows: ir.Table) -> ir.BooleanValue:
        """The rows that are what the part speaks of, at any time."""
        tests = [self.typed(rows, name).fits(test) for name, test in part.where.items()]
        return reduce(operator.and_, [rows.name == part.event, *tests])

    def in_time(self, part: Happened, rows: ir.Table) -> ir.BooleanValue:
        """The rows under its name that lie in its time, as far as that is the same for all customers."""
        wanted, moment = rows.name == part.event, rows.moment if self.moment is None else self.moment
        if part.within is not None:
            wanted &= rows.time >= moment - part.within
        if part.before is not None:
            wanted &= rows.time < moment - part.before
        if isinstance(part.since, datetime):
            wanted &= rows.time >= part.since
        return wanted

    def wanted(self, column: str, rows: ir.Table) -> ir.BooleanValue:
        """The rows that the part counts."""
        part = self.parts[column]
        wanted = self.in_time(part, rows) & self.fits(part, rows)
        if isinstance(part.since, Last):
            last = rows[_last(column)]
            wanted &= last.isnull() | (rows.time > last)
        return wanted


def counted(
    rows: ir.Table,
    parts: Mapping[str, Happened],
    moment: datetime | None,
    among: ir.Table | None,
    catalog: Catalog | None,
) -> ir.Table:
    """One row per customer, or for each of `among`: a number per part, and a second where it asks for money."""
    looked = {column for column, part in parts.items() if not _plain(part)}
    whole = _whole([parts[column] for column in looked])
    others = [column for column, part in parts.items() if column in looked or part.event in whole]
    known = _seen(Asked(parts, moment, catalog).only([column for column in parts if column not in others]), rows)
    known = known if among is None else _beside(among, known)
    if others:
        asked = Asked(parts, moment, catalog).only(others)
        kept = asked.described(_needed(asked, rows))
        for columns in _alike(asked):
            known = _beside(known, _numbers(asked, _with_last(asked, kept, columns), columns))
        if paid := [column for column in others if parts[column].money is not None]:
            known = _beside(known, _money(asked, _with_last(asked, kept, paid), paid))
    return known


def _seen(asked: Asked, rows: ir.Table) -> ir.Table:
    """One row per customer of any row, with the number of rows of each part."""
    if not asked.parts:
        return rows.select("customer").distinct()
    rows = asked.described(rows)
    return rows.group_by("customer").aggregate(**{c: rows.count(where=asked.wanted(c, rows)) for c in asked.parts})


def _alike(asked: Asked) -> Iterator[list[str]]:
    """The columns of parts that are counted in one way."""
    ways: dict[tuple[str | None, bool, bool], list[str]] = {}
    for column, part in asked.parts.items():
        ways.setdefault((part.same, _exact(part), isinstance(part.since, Last)), []).append(column)
    yield from ways.values()


def _plain(part: Happened) -> bool:
    """Whether one look at each row will do: nothing but whether there is one is asked."""
    return not _exact(part) and part.same is None and part.money is None and not isinstance(part.since, Last)


def _whole(parts: Sequence[Happened]) -> set[str]:
    """The events of which these parts need all rows, whenever they were."""
    after = {part.since.event for part in parts if isinstance(part.since, Last)}
    bounds = [(part.event, (part.within, part.before, part.since)) for part in parts]
    return after | {event for event, bound in bounds if not any(isinstance(one, timedelta | datetime) for one in bound)}


def _exact(part: Happened) -> bool:
    """Whether the number of events matters; else it is enough to know that there is a row."""
    least, most = part.count.at_least, part.count.at_most
    return not ((least is None or least <= 1) and (most is None or most < 1))


def money_of(column: str) -> str:
    """The column that holds what the rows of this part come to."""
    return f"{column}_money"


def _needed(asked: Asked, rows: ir.Table) -> ir.Table:
    """The rows and columns that any part looks at, held."""
    parts = asked.parts.values()
    whole = _whole(list(parts))
    looked = [asked.in_time(part, rows) for part in parts if part.event not in whole]
    looked += [rows.name.isin(sorted(whole))] if whole else []
    fields = {name for part in parts for name in part.looked_at if name in FIELDS}
    fields |= {"quantity", "price"} if any(part.money is not None for part in parts) else set()
    fields |= {"item"} if asked.names else set()
    fields |= {"moment"} if asked.moment is None else set()
    keys = _keys(rows) if any(map(_exact, parts)) else {}
    return held(rows.filter(reduce(operator.or_, looked)).select("customer", "name", "time", *sorted(fields), **keys))


def _keys(rows: ir.Table) -> dict[str, ir.Value]:
    """What rows of one event share, in three columns."""
    order = rows.name.isin(ORDERS)
    known = (
        order.ifelse(rows.order_id, rows.source),
        order.ifelse(None, rows.message_id),
        (order & rows.order_id.isnull()).ifelse(rows.time, None),
    )
    return dict(zip(EVENT, known, strict=True))


def _with_last(asked: Asked, rows: ir.Table, columns: Sequence[str]) -> ir.Table:
    """The rows in the time of these parts, with the last time of what each counts from."""
    since = {column: asked.parts[column].since for column in columns}
    lasts = {
        _last(column): rows.time.max(where=asked.fits(s, rows)) for column, s in since.items() if isinstance(s, Last)
    }
    looked = rows.filter(reduce(operator.or_, [asked.in_time(asked.parts[column], rows) for column in columns]))
    if not lasts:
        return looked
    told = rows.group_by("customer").aggregate(**lasts).rename(who="customer")
    return looked.left_join(told, [("customer", "who")]).drop("who")


def _last(column: str) -> str:
    return f"{column}_last"


def _numbers(asked: Asked, rows: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Per customer the number of events, or of rows where it need not be exact; of those alike in `same` the most."""
    first = asked.parts[columns[0]]  # the others are counted in the same way
    shared = {} if first.same is None else asked.typed(rows, first.same).columns
    values = {f"value_{kind}": value for kind, value in shared.items()}
    keys, wanted = EVENT if _exact(first) else (), {column: asked.wanted(column, rows) for column in columns}
    looked = rows.select("customer", *keys, **values, **wanted)
    looked = looked.filter(reduce(operator.or_, [looked[column] for column in columns]))
    if values:  # rows without a value share none
        looked = looked.filter(reduce(operator.or_, [looked[name].notnull() for name in values]))
    if keys:
        looked = looked.group_by("customer", *values, *keys).aggregate(**{c: looked[c].any() for c in columns})
    found = looked.group_by("customer", *values).aggregate(**{c: looked.count(where=looked[c]) for c in columns})
    return found.group_by("customer").aggregate(**{c: found[c].max() for c in columns}) if values else found


def _money(asked: Asked, rows: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Per customer what the rows come to: `happenings.worth`, added as whole parts."""
    worth = rows.quantity.fill_null(1.0) * rows.price.fill_null(0.0)
    worth = worth.isnan().ifelse(0.0, worth).clip(-LARGEST, LARGEST)
    parts = (worth * float(PARTS) + 0.5).floor().cast("int64")
    sums = {money_of(column): parts.sum(where=asked.wanted(column, rows)).fill_null(0) for column in columns}
    found = rows.group_by("customer").aggregate(**sums)
    return found.mutate(**{name: found[name].cast("float64") / float(PARTS) for name in sums})


def _beside(known: ir.Table, numbers: ir.Table) -> ir.Table:
    """The customers with these numbers; who did nothing did it 0 times."""
    columns = [name for name in numbers.columns if name != "customer"]
    found = known.left_join(numbers.rename(who="customer"), [("customer", "who")]).drop("who")
    return found.mutate(**{name: found[name].fill_null(0) for name in columns})
