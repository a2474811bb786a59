"""Event: one signal, validated. Events: a table of them, where `before(as_of)` is the only way to the past.

One row is one line: an `Order Completed` with three products is three rows that share `order_id` and differ in `line`.
Times are UTC without a zone (`timestamp[us]`), the same in DuckDB, Arrow, Delta and SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.identity import NO_EDGES, Identity

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
ENGAGED = "Page Engaged"  # its quantity: seconds
IDENTIFIED = "Identify"  # its `properties` are the customer's traits (CRM attributes, demographics) from that moment on

BOUNCED = "Email Bounced"
COMPLAINED = "Email Complained"
SUBMITTED = "Form Submitted"
ITEM_CHANGED = "Item Changed"  # the catalogue's, of nobody: `properties` say from what to what

PAGE = "Page Viewed"

VOCABULARY = (
    VIEWED, ADDED, REMOVED, ORDERED, REFUNDED, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, ENGAGED, IDENTIFIED, PAGE,
)  # fmt: skip
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
    _identity: Identity = NO_EDGES
    _pasts: dict[datetime, Past] = field(default_factory=dict, repr=False, compare=False)  # one, of the last moment

    @classmethod
    def of(cls, table: ir.Table | pa.Table, identity: Identity = NO_EDGES) -> Events:
        """Events from a table that has the columns of `SCHEMA`; `identity` says whose they are."""
        import ibis

        if isinstance(table, pa.Table):
            _require(table.column_names)
            table = ibis.memtable(table.select(COLUMNS).cast(SCHEMA))
        _require(table.columns)
        return cls(table.select(*COLUMNS), identity)

    def before(self, as_of: datetime) -> ir.Table:
        """The rows that happened strictly before `as_of`; live events also only if received before it.

        `customer` is who the row was known to belong to by then.
        """
        return self._identity.resolved(self._unresolved(as_of), utc(as_of))

    def before_each(self, moments: pa.Table) -> ir.Table:
        """The rows of these customers, of each what `before` its own moment was its own.

        `moments`: `customer`, each once, and `moment`, UTC without a zone, which then stands beside each row.
        """
        import ibis

        ids = self._identity.ids(moments)
        each = ibis.memtable(ids.select(["member", "moment"]))
        mine = _known(self._table.inner_join(each, [("customer", "member")]).drop("member"))
        if not self._identity:
            return mine
        named = each.rename(anonymous="member").union(mine.select("anonymous", "moment"))
        on_devices = _known(self._table.inner_join(named.filter(named.anonymous.notnull()).distinct(), "anonymous"))
        near = mine.filter(mine.anonymous.isnull()).union(on_devices.select(mine.columns))
        return self._identity.resolved_each(near, ids)

    def kept(self, as_of: datetime, keep: Callable[[ir.Table], ir.BooleanValue]) -> Events:
        """The events before `as_of` for which `keep` holds, which sees whose they are by then."""
        rows = self._unresolved(as_of)
        if not self._identity:
            return Events(rows.filter(keep(rows)))
        whose = self._identity.resolved(rows.mutate(stored=rows.customer), utc(as_of))
        found = whose.filter(keep(whose))
        return Events(found.mutate(customer=found.stored).select(*COLUMNS), self._identity)

    def of_person(self, ids: Sequence[str], as_of: datetime) -> ir.Table:
        """The rows of one person, who bears all these ids, before `as_of`; only their devices' rows are resolved."""
        rows = self._unresolved(as_of)
        mine = rows.customer.isin(list(ids))
        devices = rows.filter(mine, rows.anonymous.notnull()).select("anonymous").distinct()
        near = rows.filter(mine | rows.anonymous.isin(devices.anonymous) | rows.anonymous.isin(list(ids)))
        found = self._identity.resolved(near, utc(as_of))
        return found.filter(found.customer.isin(list(ids)))

    def stored(self) -> ir.Table:
        """Every row as it came, whosever it is: for who looks after the log itself, never for what is learned."""
        return self._table

    def _unresolved(self, as_of: datetime) -> ir.Table:
        return self._table.filter(_before(self._table, utc(as_of)))

    def past(self, as_of: datetime) -> Past:
        """What `before` gives, coded and held by the engine: made once for all that is built as of one moment."""
        from features.past import Past

        moment = utc(as_of)
        if moment not in self._pasts:
            self._pasts.clear()
            self._pasts[moment] = Past.of(self._table, self.before(moment))
        return self._pasts[moment]

    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last time that somebody did something, or None when nobody did."""
        done = self._table.filter(self._table.name != ITEM_CHANGED)
        ends = done.aggregate(first=done.time.min(), last=done.time.max())
        row = ends.to_pyarrow().to_pylist()[0]
        return None if row["first"] is None else (row["first"], row["last"])


def _before(rows: ir.Table, moment: Any) -> ir.BooleanValue:
    """What happened before the moment and, of live events, was received before it."""
    known: ir.BooleanValue = (rows.time < moment) & (~rows.live | (rows.received_at < moment))
    return known


def _known(rows: ir.Table) -> ir.Table:
    """What was known at the moment beside each row."""
    return rows.filter(_before(rows, rows.moment))


def _require(columns: Any) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"events lack the columns {missing}; they need {list(COLUMNS)}")
