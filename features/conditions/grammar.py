"""The condition grammar: one mapping of YAML or JSON, told apart by its word.

    {all: [...]}  {any: [...]}  {not: ...}
    {trait: city, is: Lyon}                      what was told about the customer
    {event: Product Viewed, count: {at_least: 2}, within: 30d, where: {category: Shoes}}
    {score: churn, at_least: 0.7}                what a model says about the customer
    {item: price, at_most: 50}                   an attribute of the item at hand

docs/conditions.md says what each means; `query` and `facts` evaluate it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from features.workspace import SECRET, Frozen, validated

WORDS = ("all", "any", "not", "trait", "event", "score", "item")
MAX_PARTS, MAX_DEPTH = 500, 20  # far above what a person writes; bounds what a request or an alias in YAML can cost
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
ODD = re.compile("[\0\ud800-\udfff]")  # what no ledger and no query takes
ASKING = ("is_", "in_", "at_least", "at_most", "exists")
Scalar = str | float | bool


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number


def _text(value: str) -> str:
    if not value or ODD.search(value):
        raise ValueError("must be a text that is not empty, without NUL and halves of a sign")
    return value


def _scalar(value: Any) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value and _text(value)
    if isinstance(value, int | float):
        return _number(value)
    raise ValueError("must be a text, a number, true or false")


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("must not be empty")
    return values


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a name")
    return _text(value)


def _window(value: Any) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a time like 30d, 12h or 15m")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


Number = Annotated[float, PlainValidator(_number)]
Name = Annotated[str, PlainValidator(_name)]
Value = Annotated[Scalar, PlainValidator(_scalar)]
Window = Annotated[timedelta, PlainValidator(_window)]


class Rule(Frozen):
    """A mapping of the grammar; an unknown key is an error that names the nearest known one."""

    word: ClassVar[str] = ""  # of `WORDS`, where it is a condition

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, raw: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in raw if isinstance(raw, Mapping) else ():
            if key not in known:
                raise ValueError(f"unknown key {key!r}{_nearest(key, known)}")
        return raw


class Range(Rule):
    """What a number must be; with both ends it lies between them, ends included."""

    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _asks(self) -> Self:
        fields = {name: field for name, field in type(self).model_fields.items() if name in ASKING}
        if all(getattr(self, name) is None for name in fields):
            words = [field.alias or name for name, field in fields.items()]
            raise ValueError(f"asks nothing; it needs one of {', '.join(words)}")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least == {self.at_least:g} is above at_most == {self.at_most:g}: nothing could fit")
        return self


class Comparison(Range):
    """What a value must be; each word given must hold. A missing value fits `exists: false` and nothing else."""

    is_: Value | None = Field(default=None, alias="is")
    in_: Annotated[tuple[Value, ...], AfterValidator(_some)] | None = Field(default=None, alias="in")
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _absent(self) -> Self:
        others = (self.is_, self.in_, self.at_least, self.at_most)
        if self.exists is False and any(other is not None for other in others):
            raise ValueError("exists: false stands alone: there is no value to compare")
        return self


def _short(raw: Any) -> Any:
    """`category: Shoes` for `category: {is: Shoes}`, and a list for `in`."""
    if isinstance(raw, list | tuple):
        return {"in": raw}
    return raw if isinstance(raw, Mapping | Comparison) else {"is": raw}


Where = Annotated[Comparison, BeforeValidator(_short)]


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


class Happened(Rule):
    """How often something happened to the customer, at least once unless `count` says otherwise."""

    word: ClassVar[str] = "event"
    event: Name
    count: Range = Range(at_least=1)
    within: Window | None = None
    where: Mapping[Name, Where] = {}


class Score(Range):
    """A model's number for the customer."""

    word: ClassVar[str] = "score"
    score: Name


class Attribute(Comparison):
    """An attribute of the item at hand, by the catalogue."""

    word: ClassVar[str] = "item"
    item: Name


Leaf = Trait | Happened | Score | Attribute


def _tag(raw: Any) -> str | None:
    word = raw.word if isinstance(raw, Rule) else next((word for word in WORDS if word in raw), None)
    return f"({word})"


def _worded(raw: Any) -> Any:
    """The mapping, when one of `WORDS` says what it is and it is not too large."""
    if isinstance(raw, Rule):
        return raw
    words = [word for word in WORDS if word in raw] if isinstance(raw, Mapping) else []
    if len(words) != 1:
        near = _nearest(next(iter(raw), ""), WORDS) if isinstance(raw, Mapping) and not words else ""
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


Parts = Annotated[tuple["Condition", ...], AfterValidator(_some)]
# the tags stand in brackets, so that an error names the place without them
Condition = Annotated[
    Annotated[AllOf, Tag("(all)")]
    | Annotated[AnyOf, Tag("(any)")]
    | Annotated[Not, Tag("(not)")]
    | Annotated[Trait, Tag("(trait)")]
    | Annotated[Happened, Tag("(event)")]
    | Annotated[Score, Tag("(score)")]
    | Annotated[Attribute, Tag("(item)")],
    Discriminator(_tag),
    BeforeValidator(_worded),
]


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The parts that compare something, from left to right."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
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


def _nearest(key: Any, known: Any) -> str:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)  # half of a word of two letters is enough
    return f"; did you mean {near[0]!r}?" if near else f"; known are {list(known)}"
