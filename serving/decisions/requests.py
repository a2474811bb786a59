"""What may be asked: each request is one model, and an unknown field is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from features.events import MAX_CUSTOMER

MAX_K = 1000
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # PostgreSQL stores no NUL, and one line of text holds no line break


def _plain(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


# bounded also inside a list: numpy gives every entry the space of the longest one
Text = Annotated[str, Field(max_length=MAX_CUSTOMER), AfterValidator(_plain)]
Id = Annotated[Text, Field(min_length=1)]

Number = Annotated[float, Field(ge=-1e15, le=1e15)]  # beyond, an expected profit may overflow


class Request(BaseModel):
    """A body: unknown fields are refused, numbers are not made from texts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RecommendRequest(Request):
    """`POST /v1/recommend`. A `history` (item ids) is answered in place of what is known about the customer."""

    customer: Id | None = None
    history: list[Id] | None = Field(default=None, max_length=10_000)
    k: int = Field(default=10, ge=1, le=MAX_K)
    exclude: list[Id] = Field(default=[], max_length=10_000)
    include_bought: bool = True


class SimilarRequest(Request):
    """`POST /v1/recommend/similar`."""

    item: Id
    k: int = Field(default=10, ge=1, le=MAX_K)
    exclude: list[Id] = Field(default=[], max_length=10_000)


class OfferRequest(Request):
    """`POST /v1/offers/select`. `features` are answered in place of what is known about the customer."""

    customer: Id | None = None
    offers: list[Id] | None = Field(default=None, max_length=100)
    channel: Id | None = None
    features: Mapping[Id, Number | Text | None] | None = Field(default=None, max_length=1000)


class AssignRequest(Request):
    """`POST /v1/experiments/{key}/assign`."""

    customer: Id


class Call(Request):
    """`POST /api/recommend` and `/api/offers/select`: BentoML names the arguments of its calls."""

    request: dict[str, Any]


class AssignCall(Call):
    """`POST /api/experiments/assign`."""

    experiment: str
