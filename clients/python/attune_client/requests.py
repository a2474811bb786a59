"""What may be asked: a field that is not given, or None, is not sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

Condition = Mapping[str, Any]  # over attributes of items: docs/conditions.md
Bought = Literal["never", "only", "mixed"]
Explain = Literal["none", "short", "full"]
Word = Literal["order", "refund", "view", "add", "remove", "delivered", "open", "click", "unsubscribe", "seen"]


class HistoryEntry(TypedDict, total=False):
    """What a customer did with an item: bought it, unless `event` says what else. `time` is ISO 8601."""

    item: Required[str]
    event: str
    time: str | None


class Keyed(TypedDict, total=False):
    """The same `idempotency_key` and fields get the same decision; only with one a dropped connection is retried."""

    idempotency_key: str | None


class Boost(TypedDict):
    """Items that are moved: above 1 `by` lifts them, below 1 it lowers them."""

    where: Condition
    by: float


class Pinned(TypedDict, total=False):
    """A promotion: `items`, or the best of those `where` a condition holds, at `positions`, for a `share` of all."""

    key: Required[str]
    items: Sequence[str]
    where: Condition | None
    positions: Sequence[int]
    share: float


class Page(TypedDict, total=False):
    """What the page shows; `device`: of which kind, `source`: where the visit comes from."""

    items: Sequence[str]
    cart: Sequence[str]
    device: str | None
    source: str | None


class Explained(Keyed, total=False):
    """How much of the reasons is answered: with "none" no item's, with "full" also the decision's row."""

    explain: Explain | None


class Placed(Explained, total=False):
    """What every request for items may say; what it does not say, the `placement` does."""

    placement: str | None
    k: int | None
    filter: Condition | None
    exclude: Sequence[str] | None
    boost: Sequence[Boost] | None
    pinned: Sequence[Pinned] | None
    context: Page | None


class Recommend(Placed, total=False):
    """A `history` is answered in place of what is known of the customer; `anonymous` is a device."""

    customer: str | None
    anonymous: str | None
    history: Sequence[str | HistoryEntry] | None
    include_bought: Bought | None
    variety: float | None


class RecommendBatch(Placed, total=False):
    """The same is asked for each of up to 1,000 customers."""

    customers: Required[Sequence[str]]
    include_bought: Bought | None
    variety: float | None


class Basket(Recommend, total=False):
    cart: Required[Sequence[str]]


class Similar(Placed, total=False):
    item: Required[str]


class SelectOffer(Explained, total=False):
    """`features` are answered in place of what is known of the customer."""

    customer: str | None
    offers: Sequence[str] | None
    channel: str | None
    features: Mapping[str, float | str | None] | None


class Decide(Explained, total=False):
    """`item` and `cart` are what is on the page."""

    slot: Required[str]
    customer: str | None
    anonymous: str | None
    item: str | None
    cart: Sequence[str] | None


class Assign(Keyed, total=False):
    customer: str | None
    anonymous: str | None


class Sent(TypedDict, total=False):
    """An event of a customer or of a device. It has a `message_id` of its own where none is given: it is kept once."""

    customer: str | None
    anonymous: str | None
    message_id: str | None
    timestamp: str | None
    context: Mapping[str, Any] | None


class Track(Sent, total=False):
    event: Required[str]
    properties: Mapping[str, Any] | None


class Identify(Sent, total=False):
    traits: Mapping[str, Any] | None


class Line(TypedDict, total=False):
    """A line of an order: so many units of an item, each at `price`."""

    item: Required[str]
    quantity: float
    price: float | None


class Outcome(TypedDict, total=False):
    """What came of a decision: an `outcome`, or an `event` of any other name. `value` is of all its units."""

    outcome: Word | None
    event: str | None
    decision_id: str | None
    customer: str | None
    anonymous: str | None
    id: str | None
    time: str | None
    value: float | None
    currency: str | None
    item: str | None
    quantity: float | None
    lines: Sequence[Line] | None
    order_id: str | None
    channel: str | None
    campaign: str | None
    properties: Mapping[str, Any]


class Outcomes(TypedDict, total=False):
    """Up to 1,000, each kept once under its `id`; it has one of its own where none is given."""

    outcomes: Required[Sequence[Outcome]]
