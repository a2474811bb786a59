"""Comparisons: what a value must be, and whether it is."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StrictBool, model_validator

from features.events import utc
from features.workspace import Frozen

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
WINDOW = "^([1-9][0-9]{0,4})([mhd])$"
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


def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, when there is one."""
    if not values:
        raise ValueError("must not be empty")
    return values


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a name")
    return _text(value)


def _window(value: Any) -> timedelta:
    found = re.fullmatch(WINDOW, value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a time like 30d, 12h or 15m")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _moment(value: Any) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    try:
        return utc(datetime.fromisoformat(value) if isinstance(value, str) else value)
    except (AttributeError, ValueError, OverflowError):
        raise ValueError("must be a day like 2024-02-01, or {event: NAME}") from None


# the last word of each is what an editor is told
Number = Annotated[float, PlainValidator(_number, json_schema_input_type=float)]
Name = Annotated[str, PlainValidator(_name, json_schema_input_type=Annotated[str, Field(min_length=1)])]
Value = Annotated[Scalar, PlainValidator(_scalar, json_schema_input_type=Scalar)]
Span = Annotated[str, Field(pattern=WINDOW)]
Window = Annotated[timedelta, PlainValidator(_window, json_schema_input_type=Span)]
Moment = Annotated[datetime, PlainValidator(_moment, json_schema_input_type=str)]


class Rule(Frozen):
    """A mapping of the grammar; an unknown key is an error that names the nearest known one."""

    word: ClassVar[str] = ""  # of `WORDS`, where it is a condition

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, raw: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in raw if isinstance(raw, Mapping) else ():
            if key not in known:
                raise ValueError(f"unknown key {key!r}{nearest(key, known)}")
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
    in_: Annotated[tuple[Value, ...], AfterValidator(some)] | None = Field(default=None, alias="in")
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


Short = Comparison | Scalar | list[Scalar]
Where = Annotated[Comparison, BeforeValidator(_short, json_schema_input_type=Short)]


def fits(test: Comparison, value: object) -> bool:
    """Whether the value is what it must be; text is compared with text, a number with numbers."""
    if value is None or test.exists is False:
        return value is None and test.exists is False
    if test.is_ is not None and not _same(value, test.is_):
        return False
    if test.in_ is not None and not any(_same(value, one) for one in test.in_):
        return False
    return inside(test, value)


def inside(test: Range, value: object) -> bool:
    """Whether the value is a number within the range; anything is where there is none."""
    if test.at_least is None and test.at_most is None:
        return True
    if not isinstance(value, float):
        return False
    return (test.at_least is None or value >= test.at_least) and (test.at_most is None or value <= test.at_most)


def _same(value: object, wanted: object) -> bool:
    return isinstance(value, type(wanted)) and value == wanted


def nearest(key: Any, known: Any) -> str:
    """What an unknown word may have been meant as, or which are known."""
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)  # half of a word of two letters is enough
    return f"; did you mean {near[0]!r}?" if near else f"; known are {list(known)}"
