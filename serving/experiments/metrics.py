"""Metric: what is measured of every customer of an experiment, from `metrics.yaml` and the standard ones beside it.

    mean    sum over customers of the numerator, over customers          revenue per recipient, conversion rate
    ratio   sum of the numerator over the sum of the denominator         open rate, click-through rate
    time    days until the numerator first happened, up to the window    time to conversion
    value   money in the window and what is to be expected after it      customer lifetime value
    alive   mean chance of customers to order ever again                 P(alive)
    return  more money over more cost of offers than the control         return per unit spent
    lapsed  share for whom that is below a half                          lapsed customers

Everything is summed per customer first, because customers are what was drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

import orjson
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from features.workspace import Frozen, read_yaml

FILE = "metrics.yaml"
STANDARD = Path(__file__).parent / "standard.yaml"
CUSTOMER = "customer"  # what an experiment draws
Kind = Literal["mean", "ratio", "time", "value", "alive", "lapsed", "return"]
MODELLED: tuple[Kind, ...] = ("value", "alive", "lapsed", "return")  # of money, by more than its mean
Part = Literal["count", "any", "money", "quantity"]


class Measure(Frozen):
    """What is summed per customer: the events of one name, or their money.

    `distinct`: of events that share this column only one counts (an e-mail that is opened twice). `at_least`: 1 where
    so many are reached, else 0. `less`: the event whose money is taken off. `where`: columns that must have this value.
    """

    event: str = Field(min_length=1)
    sum: Part = "count"
    distinct: Literal["order_id", "campaign", "item"] | None = None
    at_least: int | None = Field(default=None, ge=1)
    less: str | None = None
    where: Mapping[Literal["channel", "campaign", "item"], str] = {}
    machines: bool = False  # count what machines did as well

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.distinct is not None and self.sum != "count":
            raise ValueError(f"distinct == {self.distinct!r} counts, so sum must be 'count', not {self.sum!r}")
        if self.at_least is not None and self.sum != "count":
            raise ValueError(f"at_least == {self.at_least} asks for a count, so sum must be 'count', not {self.sum!r}")
        if self.less is not None and self.sum not in ("money", "quantity"):
            raise ValueError(f"less == {self.less!r} takes off money or quantity, not sum == {self.sum!r}")
        return self


class Metric(Frozen):
    """One metric. `cap`: values above this quantile of those that are not 0 count as it. `before_days`: how much of the
    customer's own past makes the comparison sharper (CUPED), the numerator's and what `before` names. `margin`: a
    guardrail that got worse by less is unharmed.
    """

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
    name: str = Field(min_length=1, max_length=100)
    kind: Kind = "mean"
    numerator: Measure
    denominator: Measure | None = None
    window_days: int | None = Field(default=None, gt=0, le=365)  # default: the experiment's
    cap: float | None = Field(default=None, gt=0.5, lt=1)
    before_days: int = Field(default=0, ge=0, le=365)
    before: tuple[Measure, ...] = Field(default=(), max_length=8)
    better: Literal["higher", "lower"] = "higher"
    margin: float | None = Field(default=None, gt=0)  # of the control's mean
    horizon_days: int | None = Field(default=None, gt=0, le=3650)  # forecast of a value; default: two windows
    by: Literal["channel"] | None = None  # told once for each that its events name; of secondary metrics
    per: str = CUSTOMER

    @field_validator("per")
    @classmethod
    def _of_customers(cls, per: str) -> str:
        if per != CUSTOMER:
            raise PydanticCustomError(
                "unit",
                "{per} is not what an experiment draws, which is the customer: intervals over it are false; "
                "make it a ratio of two sums per customer",
                {"per": per},
            )
        return per

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "ratio") != (self.denominator is not None):
            said = "needs a denominator" if self.kind == "ratio" else "has no denominator, only a ratio has"
            raise ValueError(f"metric {self.key!r} of kind {self.kind!r} {said}")
        if self.kind in MODELLED and self.numerator.sum != "money":
            raise ValueError(f"metric {self.key!r} of kind {self.kind!r} needs a numerator of money")
        measures = [one for one in (self.numerator, self.denominator) if one is not None]
        if self.by is not None and any(self.by in one.where for one in measures):
            raise ValueError(f"metric {self.key!r} is by {self.by}, so its measures cannot be where {self.by} is one")
        if self.horizon_days is not None and self.kind != "value":
            raise ValueError(f"metric {self.key!r} of kind {self.kind!r} has no horizon_days, only a value has")
        if self.kind in ("time", *MODELLED) and (self.cap or self.before_days):
            raise ValueError(f"metric {self.key!r} of kind {self.kind!r} has neither cap nor before_days")
        if self.before and not self.before_days:
            raise ValueError(f"metric {self.key!r} has before, so it needs before_days: of how many days it is")
        return self

    @property
    def past(self) -> tuple[Measure, ...]:
        """What is summed of the customer's own `before_days`; nothing without them."""
        return (self.numerator, *self.before) if self.before_days else ()

    @property
    def hash(self) -> str:
        """Of the definition: another one is another metric, whatever its key."""
        return hashlib.sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


class Metrics(Frozen):
    """The file."""

    metrics: tuple[Metric, ...] = ()

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
        keys = [one.key for one in metrics]
        if doubled := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"the keys {doubled} are there twice, each needs a key of its own")
        return metrics


@cache
def standard() -> Mapping[str, Metric]:
    """The seven of marketing and the default guardrails, by key."""
    return {one.key: one for one in read_yaml(STANDARD, Metrics).metrics}


def read_metrics(folder: Path) -> dict[str, Metric]:
    """The standard metrics by key; those of the workspace's `metrics.yaml` stand beside them or in their place."""
    path = folder / FILE
    own = read_yaml(path, Metrics).metrics if path.exists() else ()
    return {**standard(), **{one.key: one for one in own}}


def chosen(known: Mapping[str, Metric], keys: Iterable[str], where: str) -> list[Metric]:
    """The metrics of these keys; an error that names the known ones."""
    wanted = list(keys)
    unknown = [key for key in wanted if key not in known]
    if unknown:
        raise ValueError(f"{where}: there is no metric {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [known[key] for key in wanted]
