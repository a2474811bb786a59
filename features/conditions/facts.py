"""Facts: what is known of one customer or item as of a moment; and whether a condition holds for it, in process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import compress
from operator import itemgetter
from typing import Any

import orjson

from features.catalog import Catalog, plain
from features.conditions.comparisons import Comparison, fits, inside, nearest
from features.conditions.grammar import (
    AllOf,
    AnyOf,
    Attribute,
    Condition,
    Happened,
    Last,
    Named,
    Not,
    Score,
    Trait,
    leaves,
)
from features.conditions.happenings import NEVER, PARTS, Happenings, Row, worth
from features.customers.touches import TOUCHES, touch
from features.events import IDENTIFIED, utc

# the fields of an event; any other name is an attribute of its item
FIELDS = ("item", "quantity", "price", "channel", "campaign", "order_id")
NEWEST = itemgetter("time", "received_at", "source", "message_id", "line")
NO_MOMENT = utc(datetime.fromtimestamp(0, UTC))  # of an item


@dataclass(frozen=True)
class Facts:
    """One customer before `as_of`, and an item at hand. `told`: the rows of traits, newest first."""

    as_of: datetime
    happened: Mapping[str, Happenings] = field(default_factory=dict)
    told: tuple[Row, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    catalog: Catalog | None = None
    item: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        as_of: datetime,
        *,
        scores: Mapping[str, float] | None = None,
        catalog: Catalog | None = None,
    ) -> Facts:
        """What one customer's rows tell, as far as they were known before `as_of` and no machine made them."""
        moment, named = utc(as_of), dict[str, list[Row]]()
        for row in rows:
            late = row["time"] >= moment or (row["live"] and row["received_at"] >= moment)
            if not late and not row["machine"]:
                named.setdefault(row["name"], []).append(row)
        told = [row for row in named.get(IDENTIFIED, ()) if row["properties"] is not None]
        happened = {name: Happenings.of(rows) for name, rows in named.items()}
        return cls(moment, happened, tuple(sorted(told, key=NEWEST, reverse=True)), scores or {}, catalog)

    def trait(self, name: str) -> object:
        """The trait's latest value; None when it was never told, or told as null."""
        if name in TOUCHES:
            return touch((row for one in self.happened.values() for row in one.rows), name)
        return next((plain(told[name]) for told in self._told if name in told), None)

    def count(self, part: Happened) -> int:
        """How many different events of the part there were, of those that share `same` the most; an order is one."""
        events, rows = self._found(part, self._span(part))
        if part.same is None:
            return len(set(events))
        column, value_of = self._valued(part.same)
        shared: dict[tuple[type, object], set[int]] = {}
        for event, value in zip(events, (value_of(row[column]) for row in rows), strict=True):
            if isinstance(value, str | float | bool):
                shared.setdefault((type(value), value), set()).add(event)
        return max(map(len, shared.values()), default=0)

    def money(self, part: Happened) -> float:
        """What the rows of the part come to."""
        _events, rows = self._found(part, self._span(part))
        return sum(map(worth, rows)) / PARTS

    def _span(self, part: Happened) -> tuple[int, int]:
        """The first row that lies in the part's time, and the first behind it."""
        found = self.happened.get(part.event, NEVER).times
        start = 0 if part.within is None else bisect_left(found, self.as_of - part.within)
        stop = len(found) if part.before is None else bisect_left(found, self.as_of - part.before)
        if isinstance(part.since, Last):
            _events, rows = self._found(part.since, (0, len(self.happened.get(part.since.event, NEVER).times)))
            start = max(start, bisect_right(found, rows[-1]["time"])) if rows else start
        elif part.since is not None:
            start = max(start, bisect_left(found, part.since))
        return start, stop

    def _found(self, part: Last, span: tuple[int, int]) -> tuple[list[int], list[Row]]:
        """The events and rows within these places that are as `where` says, oldest first."""
        wheres = [self._where(name, test) for name, test in part.where.items()]
        found = self.happened.get(part.event, NEVER)
        events, rows = found.events[slice(*span)], found.rows[slice(*span)]
        for column, fitting in wheres:
            values = [row[column] for row in rows]
            fit = set(filter(fitting, set(values)))
            kept = [value in fit for value in values]
            events, rows = list(compress(events, kept)), list(compress(rows, kept))
        return events, rows

    def _where(self, name: str, test: Comparison) -> tuple[str, Callable[[Any], bool]]:
        """The column of the rows that says it, and which of its values fit: many rows share a value."""
        column, value_of = self._valued(name)
        return column, lambda value: fits(test, value_of(value))

    def _valued(self, name: str) -> tuple[str, Callable[[Any], object]]:
        """The column of the rows that says it, and what its values say."""
        return (name, plain) if name in FIELDS else ("item", attributes(self.catalog, name).get)

    @cached_property
    def _told(self) -> list[Mapping[str, object]]:
        told = [orjson.loads(row["properties"]) for row in self.told]
        return [one for one in told if isinstance(one, dict)]


def attributes(catalog: Catalog | None, name: str) -> Mapping[str, object]:
    """Item to its attribute of this name."""
    if catalog is None:
        raise ValueError(f"{name!r} is no field of an event ({', '.join(FIELDS)}), and there is no catalogue")
    return catalog.attribute(name)


def require_attributes(condition: Condition, catalog: Catalog) -> None:
    """Refuses a condition whose `where` names an attribute that the catalogue lacks."""
    asked = [leaf.looked_at for leaf in leaves(condition) if isinstance(leaf, Happened)]
    for name in set().union(*asked) - set(FIELDS):
        attributes(catalog, name)


def require_scores(condition: Condition, names: Sequence[str]) -> None:
    """Refuses a condition that asks for a score of another name."""
    for leaf in leaves(condition):
        if isinstance(leaf, Score) and leaf.score not in names:
            raise ValueError(f"there is no score {leaf.score!r}{nearest(leaf.score, names)}")


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether the condition holds for this customer, or for the item at hand."""
    return HOLDS[type(condition)](condition, facts)


def happened(part: Happened, facts: Facts) -> bool:
    """Whether it happened as often, and came to as much, as the part asks."""
    often = inside(part.count, float(facts.count(part)))
    return often and (part.money is None or inside(part.money, facts.money(part)))


def meant(part: Named) -> Condition:
    """The segment's own condition."""
    if part.who is None:
        raise ValueError(f"the segment {part.segment!r} is unknown here")
    return part.who


# by type, because `isinstance` of a pydantic model costs more than most comparisons
HOLDS: Mapping[type, Callable[[Any, Facts], bool]] = {
    AllOf: lambda condition, facts: all(holds(part, facts) for part in condition.parts),
    AnyOf: lambda condition, facts: any(holds(part, facts) for part in condition.parts),
    Not: lambda condition, facts: not holds(condition.part, facts),
    Happened: happened,
    Named: lambda part, facts: holds(meant(part), facts),
    Score: lambda part, facts: inside(part, plain(facts.scores.get(part.score))),
    Trait: lambda part, facts: fits(part, facts.trait(part.trait)),
    Attribute: lambda part, facts: fits(part, at_hand(facts.item, part.item)),
}


def item_holds(condition: Condition, item: Mapping[str, object]) -> bool:
    """Whether the condition holds for this row of the catalogue, with its `item`."""
    return holds(condition, of_item(item))


def of_item(item: Mapping[str, object]) -> Facts:
    """The facts of an item."""
    return Facts(NO_MOMENT, item=item)


def at_hand(item: Mapping[str, object], name: str) -> object:
    """The attribute of the item."""
    if name not in item:
        raise ValueError(f"the item at hand has no {name!r}; it has {list(item)}")
    return plain(item[name])
