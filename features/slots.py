"""Slot: a place where content is shown, from `slots/KEY.yaml`; docs/content.md shows it by examples.

elements    what the place is made of, each with its default: together the default content
contents    in the order of priority; the first whose audience holds is shown, else the default content
variants    of an element, in a content; who is in none of their shares sees the element's default
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from features.conditions.bound import bound
from features.conditions.comparisons import nearest
from features.conditions.grammar import Condition, CustomerCondition
from features.holdout import SALT
from features.placements import Items
from features.segments import conditions, read_segments
from features.workspace import SECRET, Bought, Frozen, read_yaml

FOLDER = "slots"
TEMPLATES = "templates"
KEY = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
DEFAULT = "default"  # the content and the variant that every slot and element has
TAKEN = ("content", "item", "offer")  # in a decision's row these stand before what is no element

Kind = Literal["landing", "web", "in-app", "ad", "email"]
HTML = ("landing", "web", "email")  # what is put into a text of these kinds is escaped
Purpose = Literal["personalisation", "marketing", "analytics", "ads"]
Share = Annotated[float, Field(gt=0, le=1)]
Key = Annotated[str, Field(pattern=KEY, max_length=64)]


class Stored(Frozen):
    """A text in a file of `templates/`."""

    template: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.liquid$")


# the tags stand in brackets, so that an error names the key without them
Text = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[Stored, Tag("(file)")],
    Discriminator(lambda raw: "(file)" if isinstance(raw, Mapping | Stored) else "(text)"),
]


class Wanted(Frozen):
    """Items, as the route of this name under `/v1` gives them; of a placement what is not said here."""

    route: Literal["recommend", "similar", "basket"] = "recommend"
    placement: str | None = None
    k: int = Field(default=3, ge=1, le=100)
    filter: Items | None = None
    exclude: tuple[str, ...] = ()
    include_bought: Bought | None = None
    variety: float | None = Field(default=None, ge=0, le=1)

    @property
    def said(self) -> dict[str, Any]:
        """What it says of what a request may say; what it leaves open is its placement's."""
        names = {"placement", "k", "filter", "exclude", "include_bought", "variety"}
        return {name: getattr(self, name) for name in names & (self.model_fields_set if self.placement else names)}


class Variant(Frozen):
    """One text of an element, for whom `when` holds. Without a share it has an even part of what the others leave."""

    key: Key
    text: Text
    share: Share | None = None
    when: CustomerCondition | None = None


class Element(Frozen):
    """`default`: Liquid that says the same to everybody."""

    default: Text


class Content(Frozen):
    """What is shown to an audience: variants by element, items, and the offers that are considered."""

    key: Key
    description: str = ""
    audience: CustomerCondition | None = None
    items: Wanted | None = None
    offers: tuple[str, ...] = ()
    elements: Mapping[str, tuple[Variant, ...]] = {}

    @property
    def conditions(self) -> Iterator[Condition]:
        """What it asks of a customer."""
        asked = (self.audience, *(variant.when for variants in self.elements.values() for variant in variants))
        return (one for one in asked if one is not None)


class Slot(Frozen):
    """One file of `slots/`. `items`: those of the default content, which are popular and nobody's own.

    `purpose`: what a customer has to agree to, or else sees the default content. `holdout`: share of the customers who
    see the default content whatever they do, so that there is somebody to compare with.
    """

    kind: Kind
    description: str = ""
    purpose: Purpose = "personalisation"
    holdout: float = Field(default=0.0, ge=0, lt=1)
    items: Wanted | None = None
    elements: Mapping[str, Element] = Field(min_length=1)
    contents: tuple[Content, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            _sound(self)
        except ValueError as error:  # the line shows the fault, not the whole file
            raise PydanticCustomError(SECRET, "{fault}", {"fault": str(error)}) from None
        return self


def read_slots(folder: Path) -> dict[str, Slot]:
    """The workspace's slots by key, with what the segments they name mean; none without `slots/`."""
    segments = conditions(read_segments(folder))
    return {path.stem: _read(path, segments) for path in sorted((folder / FOLDER).glob("*.yaml"))}


def _read(path: Path, segments: Mapping[str, Condition]) -> Slot:
    if not re.fullmatch(KEY, path.stem) or len(path.stem) > 64:
        raise ValueError(f"{path}: the file's name is the slot's key: letters, digits, '_', '.' and '-', at most 64")
    slot = read_yaml(path, Slot)
    try:
        return slot.model_copy(update={"contents": tuple(_meant(one, segments) for one in slot.contents)})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _meant(content: Content, segments: Mapping[str, Condition]) -> Content:
    """The content, its conditions with those of the segments that they name."""

    def meaning(condition: Condition | None) -> Condition | None:
        try:
            return None if condition is None else bound(condition, segments)
        except ValueError as error:
            raise ValueError(f"content {content.key!r}: {error}") from None

    elements = {
        name: tuple(variant.model_copy(update={"when": meaning(variant.when)}) for variant in variants)
        for name, variants in content.elements.items()
    }
    return content.model_copy(update={"audience": meaning(content.audience), "elements": elements})


def _sound(slot: Slot) -> None:
    """Refuses what no single key shows to be wrong."""
    for name in slot.elements:
        if name in TAKEN or not re.fullmatch(KEY, name):
            raise ValueError(f"an element has the name {name!r}, which must be a word and none of {list(TAKEN)}")
    _once([content.key for content in slot.contents], "contents", "")
    for content in slot.contents:
        for name, variants in content.elements.items():
            if name not in slot.elements:
                raise ValueError(f"content {content.key!r}: there is no element {name!r}{nearest(name, slot.elements)}")
            _divided(variants, f" ({name} of content {content.key!r})")


def _divided(variants: tuple[Variant, ...], where: str) -> None:
    """Refuses variants of one key, and shares that cannot be."""
    _once([variant.key for variant in variants], "variants", where)
    shares = [variant.share for variant in variants if variant.share is not None]
    whole = math.fsum(shares)
    if whole > 1 + 1e-9:
        raise ValueError(f"shares == {shares}, must sum to at most 1{where}")
    if len(shares) < len(variants) and whole > 1 - 1e-9:
        raise ValueError(f"shares == {shares} leave nothing to the variants without a share{where}")


def _once(keys: list[str], what: str, where: str) -> None:
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise ValueError(f"two {what} have the key {repeated[0]!r}{where}")
    if DEFAULT in keys:
        raise ValueError(f"one of the {what} has the key {DEFAULT!r}, which every one has already{where}")
    if SALT in keys:
        raise ValueError(f"one of the {what} has the key {SALT!r}, which names the holdout of attune.yaml{where}")
