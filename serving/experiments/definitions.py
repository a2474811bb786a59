"""Experiment: the arms of a test and their shares, from `experiments/*.yaml`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from features.conditions.grammar import CustomerCondition
from features.workspace import Frozen, read_yaml

FOLDER = "experiments"
MAX_KEY = 64  # characters
MAX_LOOKS = 100


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
    """The workspace's experiments by key; none when it has no `experiments/`."""
    found: dict[str, Experiment] = {}
    for path in sorted((folder / FOLDER).glob("*.yaml")):
        experiment = read_yaml(path, Experiment)
        if experiment.key in found:
            raise ValueError(f"{path}: the key {experiment.key!r} is taken by another file of {folder / FOLDER}")
        found[experiment.key] = experiment
    return found


def named(found: Mapping[str, Experiment], key: str, folder: Path) -> Experiment:
    """The experiment of this key among these of the workspace's folder; an error that names the nearest known one."""
    if key in found:
        return found[key]
    near = difflib.get_close_matches(key, found, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(found)}"
    raise ValueError(f"experiment {key!r} is not in {folder / FOLDER}; {hint}")
