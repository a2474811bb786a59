"""What may be asked: each request is one model, and an unknown field is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from features.events import MAX_CUSTOMER, ORDERED, utc
from features.placements import MAX_IDS, Boost, Count, Items, Pinned, Variety, once
from features.workspace import Bought

MAX_CUSTOMERS = 1_000  # of a batch
MAX_ANSWERED = 50_000  # items, of a batch: more would not be answered in time
MAX_CART = 100  # each item of it is compared with all of the catalogue
PLAIN = r"^[^\u0000-\u001f\u007f]*$"  # the same for OpenAPI
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # PostgreSQL stores no NUL, and one line of text holds no line break


def _plain(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


# bounded also inside a list: numpy gives every entry the space of the longest one
Text = Annotated[str, Field(max_length=MAX_CUSTOMER, json_schema_extra={"pattern": PLAIN}), AfterValidator(_plain)]
Id = Annotated[Text, Field(min_length=1)]

Number = Annotated[float, Field(ge=-1e15, le=1e15)]  # beyond, an expected profit may overflow
Features = Annotated[
    Mapping[Id, Number | Text | None],
    Field(max_length=1000, json_schema_extra={"additionalProperties": False}),  # beside the pattern of the names
]


class Request(BaseModel):
    """A body: unknown fields are refused, numbers are not made from texts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _moment(text: Any) -> datetime:
    try:
        return utc(datetime.fromisoformat(text))
    except (TypeError, ValueError, OverflowError):  # no text; no time; beyond the calendar in UTC
        raise ValueError("must be a time like 2026-01-31T12:00:00Z") from None


def given(*names: str) -> list[JsonValue]:
    """Schemas, of which one fits where one of these fields is given."""
    return [{"required": [name], "properties": {name: {"type": "string"}}} for name in names]


WRITTEN: dict[str, Any] = {"format": "date-time", "pattern": "^(?!0000|0001-01-01|9999-12-31)"}  # within the calendar
Moment = Annotated[  # UTC without a zone
    datetime,
    BeforeValidator(_moment, json_schema_input_type=Annotated[str, Field(json_schema_extra=WRITTEN)]),
]


class HistoryEntry(Request):
    """What a customer did with an item: bought it, unless `event` says what else; `time` is null where not known."""

    item: Id
    event: Id = ORDERED
    time: Moment | None = None


def _shape(entry: Any) -> str:
    return "(object)" if isinstance(entry, dict | HistoryEntry) else "(id)"


# the tags stand in brackets, so that an error names the field without them
Entry = Annotated[Annotated[Id, Tag("(id)")] | Annotated[HistoryEntry, Tag("(object)")], Discriminator(_shape)]
History = Annotated[list[Entry], Field(max_length=10_000)]


Kind = Annotated[Text, Field(min_length=1, max_length=64)]


class Page(Request):
    """What the page shows: its items and the cart's are not recommended, and say what goes with them.

    `device`: of which kind, such as phone, and `source`: where the visit comes from; neither is anybody's id.
    """

    items: list[Id] = Field(default=[], max_length=MAX_CART)
    cart: list[Id] = Field(default=[], max_length=MAX_CART)
    device: Kind | None = None
    source: Kind | None = None

    @property
    def shown(self) -> list[str]:
        """The items that the customer sees already."""
        return list(dict.fromkeys([*self.items, *self.cart]))


class Explained(Request):
    """`explain`: how much of the reasons is answered; the decision's row holds all of them in any case."""

    explain: Literal["none", "short", "full"] = "short"


class Placed(Explained):
    """What every request for items may say. What it does not say the `placement` of placements.yaml does."""

    placement: Id | None = None
    k: Count = 10
    filter: Items | None = None
    exclude: list[Id] = Field(default=[], max_length=MAX_IDS)
    boost: list[Boost] = Field(default=[], max_length=20)
    pinned: Annotated[list[Pinned], Field(max_length=5), AfterValidator(once)] = []
    context: Page | None = None


class RecommendRequest(Placed):
    """`POST /v1/recommend`. A `history` is answered in place of what is known about the customer.

    It lists item ids that were bought, or {item, event, time}. `include_bought` and `variety` are
    `attune.yaml`'s where not given. `anonymous`: a device on which nobody has identified, where no customer is given.
    """

    customer: Id | None = None
    anonymous: Id | None = None
    history: History | None = None
    include_bought: Bought | None = None
    variety: Variety | None = None


class BatchRequest(Placed):
    """`POST /v1/recommend/batch`. What is asked is the same for all customers, and as for `POST /v1/recommend`."""

    customers: list[Id] = Field(min_length=1, max_length=MAX_CUSTOMERS)
    include_bought: Bought | None = None
    variety: Variety | None = None

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        return self.answerable(self.k)

    def answerable(self, k: int) -> Self:
        """The request, when so many items for each customer are not too many."""
        if (items := len(self.customers) * k) > MAX_ANSWERED:
            raise ValueError(f"customers x k == {items}, at most {MAX_ANSWERED} items are answered at once")
        return self

    def of(self, customer: str) -> RecommendRequest:
        """What is asked for one of them; what is not said stays open."""
        said = {name: getattr(self, name) for name in self.model_fields_set - {"customers"}}
        return RecommendRequest(customer=customer).model_copy(update=said)


class BasketRequest(RecommendRequest):
    """`POST /v1/recommend/basket`. The cart is completed; what is known about the customer only leaves items out."""

    cart: list[Id] = Field(min_length=1, max_length=MAX_CART)


class SimilarRequest(Placed):
    """`POST /v1/recommend/similar`."""

    item: Id


class OfferRequest(Explained):
    """`POST /v1/offers/select`. `features` are answered in place of what is known about the customer."""

    customer: Id | None = None
    offers: list[Id] | None = Field(default=None, max_length=100)
    channel: Id | None = None
    features: Features | None = None


class DecideRequest(Explained):
    """`POST /v1/decide`. `item` and `cart`: what is on the page, for slots that show what goes with it.

    `anonymous`: a device on which nobody has identified, where no customer is given.
    """

    slot: Id
    customer: Id | None = None
    anonymous: Id | None = None
    item: Id | None = None
    cart: list[Id] = Field(default=[], max_length=MAX_CART)


class AssignRequest(Request):
    """`POST /v1/experiments/{key}/assign`. `anonymous`: a device, where no customer is given; one of them is needed."""

    model_config = ConfigDict(json_schema_extra={"allOf": [{"anyOf": given("customer", "anonymous")}]})

    customer: Id | None = None
    anonymous: Id | None = None


class Call(Request):
    """`POST /api/recommend` and `/api/offers/select`: BentoML names the arguments of its calls."""

    request: dict[str, Any]


class AssignCall(Call):
    """`POST /api/experiments/assign`."""

    experiment: str
