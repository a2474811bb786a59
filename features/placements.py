"""Placement: a place of the shop that asks for items, from `placements.yaml`; docs/service.md shows it by examples.

A placement says what its requests need not say; what a request says goes before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from features.conditions.grammar import of_items, parsed
from features.workspace import Bought, Frozen, read_yaml

FILE = "placements.yaml"
BUDGET_MS = 250  # a page that waits for longer shows what it has
KEY = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
MAX_K, MAX_IDS = 1000, 10_000

Step = Literal["personal", "session", "similar", "popular-in-category", "popular"]
POPULAR: Step = "popular"
CHAIN: tuple[Step, ...] = ("personal", "session", "similar", "popular-in-category", POPULAR)


def _of_items(raw: dict[str, Any]) -> dict[str, Any]:
    of_items(parsed(raw))
    return raw


OF_ITEMS = "A condition over attributes of items: docs/conditions.md."
Items = Annotated[
    dict[str, Any],
    Field(description=OF_ITEMS),
    AfterValidator(_of_items),
]


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


Count = Annotated[  # to JSON and its schemas 3.0 is the number 3
    int, Field(ge=1, le=MAX_K, strict=True), BeforeValidator(_whole)
]
Key = Annotated[str, Field(pattern=KEY, max_length=64)]
Id = Annotated[str, Field(min_length=1, max_length=256)]
Variety = Annotated[float, Field(ge=0, le=1)]


EITHER: list[JsonValue] = [  # what `_either` checks, for editors and OpenAPI
    {"required": ["items"], "properties": {"items": {"minItems": 1}, "where": {"type": "null"}}},
    {"required": ["where"], "properties": {"items": {"maxItems": 0}, "where": {"type": "object"}}},
]


class Boost(Frozen):
    """Items that are moved: above 1 `by` lifts them, below 1 it lowers them (`serving/decisions/boosted.py`)."""

    where: Items
    by: float = Field(gt=0, le=100, strict=True)


class Pinned(Frozen):
    """A promotion: `items`, or the best of those `where` the condition holds, at `positions` of the answer, from 1.

    `share` of the customers see it, the same ones for ever; the key is the salt of the hash that says who.
    """

    model_config = ConfigDict(json_schema_extra={"allOf": [{"oneOf": EITHER}]})

    key: Key
    items: tuple[Id, ...] = Field(default=(), max_length=100)
    where: Items | None = None
    positions: tuple[Count, ...] = Field(default=(1,), min_length=1, max_length=100)
    share: float = Field(default=1.0, gt=0, le=1, strict=True)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.items) == (self.where is not None):
            raise ValueError(f"the promotion {self.key!r} needs either items or where")
        return self


Promotions = TypeVar("Promotions", bound=Sequence[Pinned])


def once(pinned: Promotions) -> Promotions:
    """The promotions, when no two have one key."""
    if repeated := [key for key, count in Counter(one.key for one in pinned).items() if count > 1]:
        raise ValueError(f"two promotions have the key {repeated[0]!r}")
    return pinned


def _ordered(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if len(set(steps)) < len(steps) or POPULAR in steps[:-1]:
        raise ValueError(f"{list(steps)} must name each step once, and {POPULAR!r} last")
    return steps if steps[-1:] == (POPULAR,) else (*steps, POPULAR)


Boosts = Annotated[tuple[Boost, ...], Field(max_length=20)]
Pins = Annotated[tuple[Pinned, ...], Field(max_length=5), AfterValidator(once)]  # each doubles what may be shown


class Placement(Frozen):
    """What is answered where a request says nothing else; of `attune.yaml` where nothing is said here either.

    `steps`: one answers what the one before left empty; `popular` always ends them. `budget_ms`: what all of them may
    take; a step that takes longer is cut.
    """

    description: str = ""
    k: int | None = Field(default=None, ge=1, le=MAX_K)
    filter: Items | None = None
    exclude: Annotated[tuple[Id, ...], Field(max_length=MAX_IDS)] | None = None
    include_bought: Bought | None = None
    variety: Variety | None = None
    boost: Boosts | None = None
    pinned: Pins | None = None
    steps: Annotated[tuple[Step, ...], AfterValidator(_ordered)] = CHAIN
    budget_ms: int = Field(default=BUDGET_MS, ge=1, le=4000)  # the service itself gives up after 5 seconds

    @property
    def said(self) -> dict[str, Any]:
        """What it says of what a request may say."""
        names = ("k", "filter", "exclude", "include_bought", "variety", "boost", "pinned")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


DEFAULT = Placement()


class PlacementFile(Frozen):
    """`placements.yaml`."""

    placements: Mapping[Key, Placement] = Field(default={}, json_schema_extra={"additionalProperties": False})


def read_placements(folder: Path) -> dict[str, Placement]:
    """The workspace's placements by key; none without `placements.yaml`."""
    path = folder / FILE
    return dict(read_yaml(path, PlacementFile).placements) if path.exists() else {}
