"""Experiment: the arms of a test and their shares, from `experiments/*.yaml`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from features.conditions.bound import bound
from features.conditions.comparisons import nearest
from features.conditions.grammar import Condition, CustomerCondition
from features.segments import conditions, read_segments
from features.workspace import Frozen, read_yaml

FOLDER = "experiments"
MAX_KEY = 64  # characters
MAX_LOOKS = 100
UNIT = "customer"  # what is drawn


class Shows(Frozen):
    """What of a slot is compared: an element's variants; without one, who is shown the content with who is held out."""

    slot: str
    content: str | None = None  # default: any
    element: str | None = None

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        if self.element is not None and self.content is None:
            raise ValueError(f"element == {self.element!r} needs the content in which it is drawn")
        return self


class Layer(Frozen):
    """Where in a layer an experiment takes its customers from; those of one layer never share a customer.

    `start` and `end`: between which points of the layer's hash, in [0, 1].
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=MAX_KEY)
    start: float = Field(default=0.0, ge=0, lt=1)
    end: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.start < self.end:
            raise ValueError(f"start == {self.start}, end == {self.end}, the start must be before the end")
        return self


class Planned(Frozen):
    """How large the test is to be, and how often it is looked at until then.

    `customers` in all its arms, or `days` of assignment. `looks`: so many, evenly spread until the planned size, or
    `any`: whenever somebody likes, at the price of wider intervals.
    """

    customers: int | None = Field(default=None, gt=0)
    days: int | None = Field(default=None, gt=0, le=730)
    looks: int | Literal["any"] = Field(default=1)

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.customers is not None and self.days is not None:
            raise ValueError(f"customers == {self.customers} and days == {self.days}, one of them sizes a test")
        if self.looks == "any":
            return self
        if not 1 <= self.looks <= MAX_LOOKS:
            raise ValueError(f"looks == {self.looks}, must be 1 to {MAX_LOOKS}, or any")
        if self.customers is None and self.days is None:
            raise ValueError(f"looks == {self.looks} needs customers or days: until when they are spread")
        return self


class Experiment(Frozen):
    """One file of `experiments/`: every customer is in one arm, by the route `assign` or, with `shows`, by a slot."""

    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=MAX_KEY)
    arms: Mapping[str, float]  # the first one is what the others are compared with
    hypothesis: str = Field(default="", max_length=1_000)  # what is believed, before it is seen
    description: str = ""
    salt: str | None = None  # default: the key
    audience: CustomerCondition | None = None  # who can be in it; default: everybody
    layer: Layer | None = None
    start: date | None = None  # the first day of assignment, in the workspace's zone
    end: date | None = None  # the last day
    planned: Planned | None = None
    segments: tuple[str, ...] = ()  # of segments/: the effect is told for each of them too
    shows: Shows | None = None
    window_days: int = Field(default=14, gt=0, le=365)
    primary: tuple[str, ...] = Field(default=("conversion-rate", "revenue"), min_length=1)  # keys of metrics
    secondary: tuple[str, ...] = ("repeat-purchase-rate", "time-to-conversion")
    guardrails: tuple[str, ...] = ("unsubscribe-rate", "complaint-rate")  # what it must not harm

    @field_validator("arms", mode="before")
    @classmethod
    def _named(cls, arms: Any) -> Any:
        """Names are text: YAML reads on, off, yes and no as true and false, and 1 as a number."""
        odd = [name for name in arms if not _name(name)] if isinstance(arms, Mapping) else []
        if odd:
            said = "{odd} is no name of an arm; one is a text in one line of 1 to 64 characters, in quotes where needed"
            raise PydanticCustomError("arm", said, {"odd": repr(odd[0])})
        return arms

    @model_validator(mode="after")
    def _timely(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"start == {self.start}, end == {self.end}, it must not end before it starts")
        if self.shows is not None and (self.layer is not None or self.audience is not None):
            told = "layer" if self.audience is None else "audience"
            raise ValueError(f"{told} is of no use with shows: the slot {self.shows.slot!r} says who sees what")
        return self

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if len(self.arms) < 2:
            raise ValueError(f"arms == {dict(self.arms)}, needs at least two")
        if any(not share >= 0 for share in self.arms.values()) or abs(math.fsum(self.arms.values()) - 1) > 1e-9:
            raise ValueError(f"arms == {dict(self.arms)}, shares must be >= 0 and sum to 1")
        if sum(share > 0 for share in self.arms.values()) < 2 or not self.arms[self.control]:
            raise ValueError(f"arms == {dict(self.arms)}, the first and another one need a share > 0")
        return self

    @property
    def control(self) -> str:
        return next(iter(self.arms))

    @property
    def measured(self) -> tuple[str, ...]:
        """The keys of its metrics, each once, the primary ones first."""
        return tuple(dict.fromkeys((*self.primary, *self.secondary, *self.guardrails)))

    @property
    def salted(self) -> str:
        return self.salt or self.key


def read_experiments(folder: Path) -> dict[str, Experiment]:
    """The workspace's experiments by key, with what the segments they name mean; none without `experiments/`.

    Refused are two of one key, and two that would share customers of a layer.
    """
    found: dict[str, tuple[Path, Experiment]] = {}
    segments = conditions(read_segments(folder))
    for path in sorted((folder / FOLDER).glob("*.yaml")):
        experiment = _meant(path, read_yaml(path, Experiment), segments)
        if experiment.key in found:
            raise ValueError(f"{path}: the key {experiment.key!r} is that of {found[experiment.key][0]} already")
        found[experiment.key] = path, experiment
    _apart(list(found.values()))
    return {key: experiment for key, (_, experiment) in found.items()}


def _name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_KEY and name.isprintable() and name == name.strip()


def _meant(path: Path, experiment: Experiment, segments: Mapping[str, Condition]) -> Experiment:
    """The experiment, its audience with what the segments in it ask; refused where there is none of a name."""
    for name in experiment.segments:
        if name not in segments:
            raise ValueError(f"{path}: segments: there is no segment {name!r}{nearest(name, segments)}")
    if experiment.audience is None:
        return experiment
    try:
        return experiment.model_copy(update={"audience": bound(experiment.audience, segments)})
    except ValueError as error:
        raise ValueError(f"{path}: audience: {error}") from None


def _apart(found: list[tuple[Path, Experiment]]) -> None:
    """Refuses two experiments that take the same customers of a layer on the same day."""
    for (one, first), (other, second) in combinations(found, 2):
        mine, theirs = first.layer, second.layer
        if mine is None or theirs is None or mine.name != theirs.name:
            continue
        start, end = max(mine.start, theirs.start), min(mine.end, theirs.end)
        if start < end and _days(first)[0] <= _days(second)[1] and _days(second)[0] <= _days(first)[1]:
            raise ValueError(
                f"{other}: shares {start:g} to {end:g} of the layer {mine.name!r} with {one}; those of one layer need "
                "parts or days of their own"
            )


def _days(experiment: Experiment) -> tuple[date, date]:
    return experiment.start or date.min, experiment.end or date.max


def named(found: Mapping[str, Experiment], key: str, folder: Path) -> Experiment:
    """The experiment of this key among these of the workspace's folder; an error that names the nearest known one."""
    if key in found:
        return found[key]
    near = difflib.get_close_matches(key, found, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(found)}"
    raise ValueError(f"experiment {key!r} is not in {folder / FOLDER}; {hint}")
