"""Event: one signal, validated. Events: a table of them, where `before(as_of)` is the only way to the past.

One row is one line: an `Order Completed` with three products is three rows that share `order_id` and differ in `line`.
Times are UTC without a zone (`timestamp[us]`), the same in DuckDB, Arrow, Delta and SQLite.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.past import Past

# The Segment e-commerce vocabulary, as far as Attune gives it a meaning. Any other name is stored too.
VIEWED = "Product Viewed"
ADDED = "Product Added"
REMOVED = "Product Removed"
ORDERED = "Order Completed"
REFUNDED = "Order Refunded"
DELIVERED = "Email Delivered"
OPENED = "Email Opened"
CLICKED = "Email Link Clicked"
UNSUBSCRIBED = "Unsubscribed"
ENGAGED = "Page Engaged"
IDENTIFIED = "Identify"  # its `properties` are the customer's traits (CRM attributes, demographics) from that moment on

VOCABULARY = (VIEWED, ADDED, REMOVED, ORDERED, REFUNDED, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, ENGAGED, IDENTIFIED)
CODE = {name: code for code, name in enumerate(VOCABULARY)}  # how a `Past` writes these names

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),  # where it came from; `message_id` is unique within it
        pa.field("message_id", pa.string(), nullable=False),
        pa.field("line", pa.int32(), nullable=False),  # 0, 1, ... within one message
        pa.field("name", pa.string(), nullable=False),
        pa.field("customer", pa.string()),  # null: nobody known (still useful for item similarity)
        pa.field("anonymous", pa.string()),  # the device's id before anybody identified
        pa.field("time", pa.timestamp("us"), nullable=False),  # when it happened, UTC
        pa.field("original_time", pa.string()),  # as the source wrote it
        pa.field("received_at", pa.timestamp("us"), nullable=False),
        pa.field("live", pa.bool_(), nullable=False),  # received as it happened; false: imported from a file
        pa.field("item", pa.string()),
        pa.field("quantity", pa.float64()),  # units, > 0, also for refunds
        pa.field("price", pa.float64()),  # per unit, in the workspace's currency
        pa.field("order_id", pa.string()),
        pa.field("channel", pa.string()),  # email, web, app, store, ...
        pa.field("campaign", pa.string()),
        pa.field("machine", pa.bool_(), nullable=False),  # a machine's open or click: counted, never learned from
        pa.field("properties", pa.string()),  # the rest, one JSON object
    ]
)
COLUMNS = tuple(SCHEMA.names)
KEY = ("source", "message_id", "line")
MAX_CUSTOMER = 256  # characters of a customer's id, none of them NUL: what every ledger takes


def utc(moment: datetime) -> datetime:
    """The moment in UTC without a zone, as the tables keep it. A moment without a zone is taken as UTC."""
    if moment.tzinfo is None:
        return moment
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Event:
    """One signal, as one row of the table. Fields are those of `SCHEMA`."""

    source: str
    message_id: str
    name: str
    time: datetime
    received_at: datetime
    line: int = 0
    customer: str | None = None
    anonymous: str | None = None
    original_time: str | None = None
    live: bool = True
    item: str | None = None
    quantity: float | None = None
    price: float | None = None
    order_id: str | None = None
    channel: str | None = None
    campaign: str | None = None
    machine: bool = False
    properties: str | None = None

    def __post_init__(self) -> None:
        for name in ("source", "message_id", "name"):
            if not getattr(self, name):
                raise ValueError(f"{name} == {getattr(self, name)!r}, must not be empty (event {self.message_id!r})")
        if self.customer is not None and (len(self.customer) > MAX_CUSTOMER or "\0" in self.customer):
            said = f"{self.customer[:20]!r}... of {len(self.customer)} characters"
            raise ValueError(
                f"customer == {said}, must be at most {MAX_CUSTOMER} and without NUL (event {self.message_id!r})"
            )
        if self.quantity is not None and not self.quantity > 0:
            raise ValueError(f"quantity == {self.quantity}, must be > 0 (event {self.message_id!r})")

    def row(self) -> dict[str, Any]:
        """The event as a row of `SCHEMA`, times in UTC."""
        row = {name: getattr(self, name) for name in COLUMNS}
        return row | {"time": utc(self.time), "received_at": utc(self.received_at)}


@dataclass(frozen=True)
class Events:
    """A table of events. Only `before` gives rows, so that nothing built on it can see the future."""

    _table: ir.Table
    _pasts: dict[datetime, Past] = field(default_factory=dict, repr=False, compare=False)  # one, of the last moment

    @classmethod
    def of(cls, table: ir.Table | pa.Table) -> Events:
        """Events from an Ibis table or an Arrow table that has the columns of `SCHEMA`."""
        import ibis

        if isinstance(table, pa.Table):
            _require(table.column_names)
            table = ibis.memtable(table.select(COLUMNS).cast(SCHEMA))
        _require(table.columns)
        return cls(table.select(*COLUMNS))

    def before(self, as_of: datetime) -> ir.Table:
        """The rows that happened strictly before `as_of`; live events also only if received before it."""
        table, moment = self._table, utc(as_of)
        return table.filter((table.time < moment) & (~table.live | (table.received_at < moment)))

    def past(self, as_of: datetime) -> Past:
        """What `before` gives, coded and held by the engine: made once for all that is built as of one moment."""
        from features.past import Past

        moment = utc(as_of)
        if moment not in self._pasts:
            self._pasts.clear()
            self._pasts[moment] = Past.of(self._table, self.before(moment))
        return self._pasts[moment]

    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last event time, or None when the log is empty."""
        ends = self._table.aggregate(first=self._table.time.min(), last=self._table.time.max())
        row = ends.to_pyarrow().to_pylist()[0]
        return None if row["first"] is None else (row["first"], row["last"])


def _require(columns: Any) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"events lack the columns {missing}; they need {list(COLUMNS)}")
