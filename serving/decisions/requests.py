"""What may be asked: each request is one model, and an unknown field is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from features.events import MAX_CUSTOMER

MAX_K = 1000
# a ledger on PostgreSQL takes no NUL in a text
Customer = Annotated[str, Field(min_length=1, max_length=MAX_CUSTOMER, pattern=r"^[^\x00]*$")]


class Request(BaseModel):
    """A body: unknown fields are refused, numbers are not made from texts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RecommendRequest(Request):
    """`POST /v1/recommend`. A `history` (item ids) is answered in place of what is known about the customer."""

    customer: Customer | None = None
    history: list[str] | None = Field(default=None, max_length=10_000)
    k: int = Field(default=10, ge=1, le=MAX_K)
    exclude: list[str] = Field(default=[], max_length=10_000)
    include_bought: bool = True


class SimilarRequest(Request):
    """`POST /v1/recommend/similar`."""

    item: str = Field(min_length=1, max_length=256)
    k: int = Field(default=10, ge=1, le=MAX_K)
    exclude: list[str] = Field(default=[], max_length=10_000)


class OfferRequest(Request):
    """`POST /v1/offers/select`. `features` are answered in place of what is known about the customer."""

    customer: Customer | None = None
    offers: list[str] | None = Field(default=None, max_length=100)
    channel: str | None = Field(default=None, max_length=64)
    features: Mapping[str, float | str | None] | None = None


class AssignRequest(Request):
    """`POST /v1/experiments/{key}/assign`."""

    customer: Customer
