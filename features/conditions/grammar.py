"""The condition grammar: one mapping of YAML or JSON, told apart by its word.

    {all: [...]}  {any: [...]}  {not: ...}
    {trait: city, is: Lyon}                      what was told about the customer
    {event: Product Viewed, count: {at_least: 2}, within: 30d, where: {category: Shoes}}
    {event: Product Added, since: {event: Order Completed}, same: item}
    {segment: loyal}                             another segment, by its key
    {score: churn, at_least: 0.7}                what a model says about the customer
    {item: price, at_most: 50}                   an attribute of the item at hand

docs/conditions.md says what each means; `query` and `facts` evaluate it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PrivateAttr, Tag, model_validator
from pydantic_core import PydanticCustomError

from features.conditions.comparisons import Comparison, Moment, Name, Range, Rule, Where, Window, nearest, some
from features.workspace import SECRET, Frozen, validated

WORDS = ("all", "any", "not", "trait", "event", "score", "segment", "item")
MAX_PARTS, MAX_DEPTH = 500, 20  # far above what a person writes; bounds what a request or an alias in YAML can cost


class AllOf(Rule):
    """Every part holds."""

    word: ClassVar[str] = "all"
    parts: Parts = Field(alias="all")


class AnyOf(Rule):
    """At least one part holds."""

    word: ClassVar[str] = "any"
    parts: Parts = Field(alias="any")


class Not(Rule):
    """The part does not hold."""

    word: ClassVar[str] = "not"
    part: Condition = Field(alias="not")


class Trait(Comparison):
    """A trait of the customer, as last told."""

    word: ClassVar[str] = "trait"
    trait: Name


class Last(Rule):
    """The last time that something happened to the customer."""

    event: Name
    where: Mapping[Name, Where] = {}


Since = Annotated[
    Annotated[Moment, Tag("(day)")] | Annotated[Last, Tag("(event)")],
    Discriminator(lambda raw: "(event)" if isinstance(raw, Mapping | Last) else "(day)"),
]


class Happened(Last):
    """How often something happened to the customer, at least once unless `count` says otherwise.

    `same`: of the events that share this, the most; `money`: what all of them come to.
    """

    word: ClassVar[str] = "event"
    count: Range = Range(at_least=1)
    money: Range | None = None
    within: Window | None = None
    before: Window | None = None
    since: Since | None = None
    same: Name | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.within is not None and self.before is not None and self.before >= self.within:
            raise ValueError("before is not shorter than within: nothing could fit")
        return self

    @property
    def looked_at(self) -> set[str]:
        """The fields of events and attributes of items that it looks at."""
        after = self.since.where if isinstance(self.since, Last) else ()
        return {*self.where, *after, *([self.same] if self.same is not None else [])}


class Score(Range):
    """A model's number for the customer."""

    word: ClassVar[str] = "score"
    score: Name


class Named(Rule):
    """Who is in the segment; what that means is unknown until `bound` says it."""

    word: ClassVar[str] = "segment"
    segment: Name
    _who: Condition | None = PrivateAttr(default=None)

    @property
    def who(self) -> Condition | None:
        """The segment's own condition."""
        return self._who

    def meaning(self, who: Condition) -> Named:
        """The same, with the segment's own condition."""
        known = Named(segment=self.segment)
        known._who = who
        return known


class Attribute(Comparison):
    """An attribute of the item at hand, by the catalogue."""

    word: ClassVar[str] = "item"
    item: Name


Leaf = Trait | Happened | Score | Attribute | Named


def _tag(raw: Any) -> str | None:
    word = raw.word if isinstance(raw, Rule) else next((word for word in WORDS if word in raw), None)
    return f"({word})"


def _worded(raw: Any) -> Any:
    """The mapping, when one of `WORDS` says what it is and it is not too large."""
    if isinstance(raw, Rule):
        return raw
    words = [word for word in WORDS if word in raw] if isinstance(raw, Mapping) else []
    if len(words) != 1:
        near = nearest(next(iter(raw), ""), WORDS) if isinstance(raw, Mapping) and not words else ""
        raise ValueError(f"must have exactly one of {', '.join(WORDS)}{near}")
    level, count = [raw], 1
    for _depth in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        count += len(level)
        if not level:
            return raw
        if count > MAX_PARTS:
            raise PydanticCustomError(SECRET, f"has more than {MAX_PARTS} parts")
    raise PydanticCustomError(SECRET, f"is nested more than {MAX_DEPTH} deep")


def _inside(raw: Any) -> list[Any]:
    found = [raw[word] for word in ("all", "any", "not") if word in raw] if isinstance(raw, Mapping) else []
    return [inner for part in found for inner in (part if isinstance(part, list | tuple) else [part])]


Parts = Annotated[tuple["Condition", ...], AfterValidator(some)]
# the tags stand in brackets, so that an error names the place without them
Condition = Annotated[
    Annotated[AllOf, Tag("(all)")]
    | Annotated[AnyOf, Tag("(any)")]
    | Annotated[Not, Tag("(not)")]
    | Annotated[Trait, Tag("(trait)")]
    | Annotated[Happened, Tag("(event)")]
    | Annotated[Score, Tag("(score)")]
    | Annotated[Named, Tag("(segment)")]
    | Annotated[Attribute, Tag("(item)")],
    Discriminator(_tag),
    BeforeValidator(_worded),
]


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The parts that compare something, from left to right, also within segments whose meaning is known."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    elif isinstance(condition, Named) and condition.who is not None:
        yield from leaves(condition.who)
    else:
        yield condition


def of_customers(condition: Condition) -> Condition:
    """The condition, when it can be asked of a customer."""
    for leaf in leaves(condition):
        if isinstance(leaf, Attribute):
            raise ValueError(f"asks for the {leaf.item!r} of an item, where there are customers only")
    return condition


def of_items(condition: Condition) -> Condition:
    """The condition, when it can be asked of an item."""
    for leaf in leaves(condition):
        if not isinstance(leaf, Attribute):
            raise ValueError(f"asks for {leaf.word}s of a customer, where there are items only")
    return condition


CustomerCondition = Annotated[Condition, AfterValidator(of_customers)]
ItemCondition = Annotated[Condition, AfterValidator(of_items)]


class _Alone(Frozen):
    condition: Condition


for _model in (AllOf, AnyOf, Not, _Alone):
    _model.model_rebuild()


def parsed(raw: Any, where: str = "given") -> Condition:
    """The condition that this mapping means, or an error in one line that begins with `where`."""
    return validated({"condition": raw}, _Alone, where).condition
