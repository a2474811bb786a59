"""Outcomes: what came of decisions, as a shop without a library tells it, made into the track calls of one.

outcome        the event that it is, one of `NAMES`; or `event`, any other name
decision_id    whose outcome it is, where neither a customer nor a device is named
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from features.events import ADDED, CLICKED, DELIVERED, OPENED, ORDERED, REFUNDED, REMOVED, UNSUBSCRIBED, VIEWED
from features.sources.products import MOST
from serving.decisions.requests import Id, Moment, Request, given
from serving.experiments.exposures import EXPERIENCED

NAMES = {
    "order": ORDERED,
    "refund": REFUNDED,
    "view": VIEWED,
    "add": ADDED,
    "remove": REMOVED,
    "delivered": DELIVERED,
    "open": OPENED,
    "click": CLICKED,
    "unsubscribe": UNSUBSCRIBED,
    "seen": EXPERIENCED,
}
Word = Literal["order", "refund", "view", "add", "remove", "delivered", "open", "click", "unsubscribe", "seen"]
PRICED = ("order", "refund", "view", "add", "remove")  # in these a value is money for units of an item
LINED = ("order", "refund")
MAX_OUTCOMES = 1_000  # in a request
REFUSED = {"consent": {"categoryPreferences": {"marketing": False}}}
Money = Annotated[float, Field(ge=0, le=MOST)]
Units = Annotated[float, Field(gt=0, le=MOST)]
# no signal is older; in other zones the first and the last day are others
SIGNALLED = r"^(?!1970-01-01|9999-12-31)(19[7-9]\d|[2-9]\d{3})-"
Time = Annotated[Moment, WithJsonSchema({"type": "string", "format": "date-time", "pattern": SIGNALLED})]
NONE: JsonValue = {"type": "null"}
MEANT: list[JsonValue] = [  # what `_meant` checks, for OpenAPI
    {
        "oneOf": [
            {"required": ["outcome"], "properties": {"outcome": {"type": "string"}, "event": NONE}},
            {"required": ["event"], "properties": {"event": {"type": "string"}, "outcome": NONE}},
        ]
    },
    {
        "anyOf": [
            {"properties": {"lines": NONE}},
            {"required": ["outcome"], "properties": {"outcome": {"enum": [*LINED]}, "item": NONE}},
        ]
    },
    {"anyOf": given("customer", "anonymous", "decision_id")},
]
Who = tuple[str, Any]  # `userId` or `anonymousId`, and the id


class Line(Request):
    """A line of an order: `quantity` units of the item, each at `price`."""

    item: Id
    quantity: Units = 1.0
    price: Money | None = None


class Outcome(Request):
    """One outcome. `value` is of all its units; `id`: the same from the same source is stored once, for ever."""

    model_config = ConfigDict(json_schema_extra={"allOf": MEANT})

    outcome: Word | None = None
    event: Id | None = Field(default=None, description="Any other name of an event, in place of `outcome`.")
    decision_id: Id | None = None
    customer: Id | None = None
    anonymous: Id | None = None
    id: Id | None = None
    time: Time | None = None
    value: Money | None = None
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")] | None = None
    item: Id | None = None
    quantity: Units | None = None
    lines: list[Line] | None = Field(default=None, min_length=1, max_length=1000)
    order_id: Id | None = None
    channel: Annotated[Id, Field(max_length=64)] | None = None
    campaign: Id | None = None
    properties: Mapping[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if (self.outcome is None) == (self.event is None):
            raise ValueError(f"one of outcome and event is needed; outcome is one of {', '.join(NAMES)}")
        if self.lines is not None and (self.outcome not in LINED or self.item is not None):
            raise ValueError("lines are those of an order or a refund, which then names no item of its own")
        if self.customer is None and self.anonymous is None and self.decision_id is None:
            raise ValueError("customer, anonymous or decision_id is needed")
        return self

    @property
    def orphan(self) -> bool:
        """Whether only the decision says whose it is."""
        return self.customer is None and self.anonymous is None


def whose(row: Mapping[str, Any] | None, decision_id: str | None) -> Who:
    """The customer or the device that this decision was made for."""
    if row is None:
        raise ValueError(f"decision_id == {decision_id!r:.80} is not in the journal: name the customer")
    if row["customer"] is None:
        raise ValueError(f"decision_id == {decision_id!r:.80} was made for nobody who is known: name the customer")
    return ("anonymousId" if row["context"].get("anonymous") is True else "userId"), row["customer"]


def call_of(outcome: Outcome, who: Who | None) -> dict[str, Any]:
    """The outcome as a library would send it."""
    name = outcome.event if outcome.outcome is None else NAMES[outcome.outcome]
    context = {"campaign": {"name": outcome.campaign}} if outcome.campaign else {}
    return {
        "type": "track",
        "event": name,
        "userId": outcome.customer,
        "anonymousId": outcome.anonymous,
        "messageId": outcome.id,
        "timestamp": None if outcome.time is None else f"{outcome.time.isoformat()}Z",
        "channel": outcome.channel,
        "properties": {**outcome.properties, **_properties(outcome)},
        "context": context | (REFUSED if name == UNSUBSCRIBED else {}),
    } | dict([who] if who else [])


def _properties(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "decision_id": outcome.decision_id,
        "product_id": outcome.item,
        "quantity": outcome.quantity,
        "currency": outcome.currency,
        "order_id": outcome.order_id,
        **_worth(outcome),
    }
    if outcome.lines is not None:
        told["products"] = [
            {"product_id": one.item, "quantity": one.quantity, "price": one.price} for one in outcome.lines
        ]
    return {name: value for name, value in told.items() if value is not None}


def _worth(outcome: Outcome) -> dict[str, float | None]:
    """The value, per unit where there is an item, as the events with items have it."""
    if outcome.outcome not in PRICED or outcome.item is None or outcome.value is None:
        return {"value": outcome.value}
    return {"price": outcome.value / (outcome.quantity or 1.0)}
