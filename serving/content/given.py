"""Given: what a text may know of a customer, of items and of an offer; looked up when it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.catalog import Catalog
from features.conditions import Condition, Facts, holds
from features.conditions.happenings import NEVER
from features.customers.lifecycle import stage_of
from features.events import ORDERED


def whole(value: object) -> object:
    """The value as a person writes it: 4, not 4.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Traits(Mapping[str, object]):
    """`traits.NAME`, as conditions know them: also `first_source` and what else a touch says."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __getitem__(self, name: str) -> object:
        value = self._facts.trait(name)
        if value is None:
            raise KeyError(name)
        return whole(value)

    def __iter__(self) -> Iterator[str]:
        return iter(())  # nobody lists them: each is asked for by its name

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True)
class Shown(Mapping[str, object]):
    """`item.NAME`: an attribute of the catalogue; `name` is the id where there is none, `reason` why it is shown."""

    item: str
    reason: str
    catalog: Catalog

    def __getitem__(self, name: str) -> object:
        own = {"item": self.item, "name": self.catalog.name(self.item), "reason": self.reason}
        if name in own:
            return own[name]
        value = self.catalog.attribute(name).get(self.item) if name in self.catalog.frame else None
        if value is None:
            raise KeyError(name)
        return whole(value)

    def __iter__(self) -> Iterator[str]:
        return iter(("item", "reason", *self.catalog.frame.columns))

    def __len__(self) -> int:
        return 2 + len(self.catalog.frame.columns)

    def __str__(self) -> str:
        return self.catalog.name(self.item)


def shown(items: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[Shown]:
    """The items of an answer."""
    return [Shown(one["item"], one["reason"]["text"], catalog) for one in items]


def stage(facts: Facts) -> str | None:
    """The customer's stage of the lifecycle."""
    placed, last = facts.happened.get(ORDERED, NEVER), dict[int, Any]()
    for event, time in zip(placed.events, placed.times, strict=True):
        last[event] = time  # they rise: an order is as late as its last line
    return stage_of(list(last.values()), facts.as_of)


def personal(facts: Facts, segments: Mapping[str, Condition], asked: frozenset[str]) -> dict[str, object]:
    """What texts that ask for these names may know of the customer."""
    found: dict[str, object] = {"traits": Traits(facts)}
    if "segments" in asked:
        found["segments"] = [key for key, who in segments.items() if holds(who, facts)]
    if "stage" in asked and (now := stage(facts)) is not None:
        found["stage"] = now
    return found
