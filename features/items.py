"""Items, live: what a shop or its feed said of an item last, over what the files say; each change is an event.

A field that was not given stays as it was; one given as null is unknown from then on. Nothing is removed: an item that
is gone is one with a stock of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator
from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, Text, delete, func, insert, inspect, select

from features.events import ITEM_CHANGED, MAX_CUSTOMER, Event
from features.history import record_in
from features.ledger import Ledger, metadata
from features.workspace import validated

TOGETHER = 5_000  # items in a transaction
MAX_TEXT = 5_000  # characters, what Google takes of a description
MAX_FIELDS = 100
MAX_NAME = 64  # characters
SOURCE = "live catalogue"  # with a space, which the source of no key and no webhook has
Fields = Mapping[str, Any]

items = Table(
    "items",
    metadata,
    Column("item", String(256), primary_key=True),
    Column("version", BigInteger, nullable=False),  # counts the changes of the whole catalogue
    Column("body", Text, nullable=False),  # the fields that were given, one JSON object
    Index("items_version", "version"),
)


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("must not hold NUL or halves of a sign")
    return text


def _address(text: str) -> str:
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with http:// or https://")
    return text


STORABLE: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}  # the same for OpenAPI; halves of a sign are no JSON
ADDRESS: dict[str, Any] = {"pattern": r"^[hH][tT][tT][pP][sS]?://[^\u0000]*$"}
Plain = Annotated[str, Field(max_length=MAX_TEXT, json_schema_extra=STORABLE), AfterValidator(_storable)]
Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False, strict=True)]
Link = Annotated[Plain, Field(json_schema_extra=ADDRESS), AfterValidator(_address)]
FIELDS: dict[str, Any] = {
    "maxProperties": MAX_FIELDS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_NAME, **STORABLE},
}


class Item(BaseModel):
    """One item as the shop gives it; further fields are attributes of the shop's own."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=FIELDS)
    __pydantic_extra__: dict[str, StrictBool | Number | Plain | None]

    item: Annotated[
        str, Field(min_length=1, max_length=MAX_CUSTOMER, json_schema_extra=STORABLE), AfterValidator(_storable)
    ]
    name: Plain | None = None
    category: Plain | None = None
    price: Annotated[Number, Field(ge=0)] | None = None  # in the workspace's currency
    stock: Number | None = None  # null: not tracked
    image: Link | None = None
    link: Link | None = None

    @model_validator(mode="after")
    def _few_fields(self) -> Item:
        names = self.model_fields_set
        if len(names) > MAX_FIELDS or any(len(_storable(name)) > MAX_NAME or not name for name in names):
            most = f"at most {MAX_FIELDS}, named in 1 to {MAX_NAME} characters, are taken"
            raise ValueError(f"has {len(names)} fields; {most}")
        return self

    def fields(self) -> dict[str, Any]:
        """What was given, without the id."""
        return self.model_dump(include=self.model_fields_set - {"item"})


def item_of(raw: Mapping[str, Any], where: str) -> Item:
    """The item, or an error in one line that begins with `where`."""
    return validated(dict(raw), Item, where)


def upsert(ledger: Ledger, given: Sequence[Item], *, time: datetime) -> int:
    """Merges what was given into the items, with an event for each that changed; how many did.

    A transaction takes `TOGETHER` items, so that others who write need not wait for a large feed.
    """
    wanted: dict[str, dict[str, Any]] = {}
    for one in given:
        wanted[one.item] = wanted.get(one.item, {}) | one.fields()
    names = list(wanted)
    parts = (names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER))
    return sum(_merge(ledger, {item: wanted[item] for item in part}, time) for part in parts)


def _merge(ledger: Ledger, wanted: Mapping[str, Fields], time: datetime) -> int:
    with ledger.write() as connection:
        before = _bodies(connection, list(wanted))
        after = {item: before.get(item, {}) | dict(fields) for item, fields in wanted.items()}
        changed = {item: body for item, body in after.items() if body != before.get(item)}
        if not changed:
            return 0
        version = (connection.execute(select(func.max(items.c.version))).scalar() or 0) + 1
        connection.execute(delete(items).where(items.c.item.in_(list(changed))))
        rows = [{"item": item, "version": version, "body": _dumped(body)} for item, body in changed.items()]
        connection.execute(insert(items), rows)
        told = [_event(item, before.get(item, {}), body, version) for item, body in changed.items()]
        record_in(connection, [Event(source=SOURCE, time=time, received_at=time, **one) for one in told])
    return len(changed)


def newest(ledger: Ledger) -> int:
    """The number of the last change of the catalogue; 0 before the first. One look at an index."""
    return int(ledger.glance("SELECT max(version) FROM items") or 0)


def live_items(ledger: Ledger, above: int = 0) -> dict[str, Fields]:
    """The fields of each item that changed after this number; none where there is no ledger yet."""
    if not ledger.revision() or not inspect(ledger.engine).has_table(items.name):
        return {}
    query = select(items.c.item, items.c.body).where(items.c.version > above).order_by(items.c.item)
    with ledger.read() as connection:
        return {item: orjson.loads(body) for item, body in connection.execute(query)}


def _bodies(connection: Connection, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = connection.execute(select(items.c.item, items.c.body).where(items.c.item.in_(wanted)))
    return {item: orjson.loads(body) for item, body in rows}


def _dumped(body: Fields) -> str:
    return orjson.dumps(body).decode()


def _event(item: str, before: Fields, after: Fields, version: int) -> dict[str, Any]:
    """What changed, from what to what."""
    names = [name for name in after if name not in before or before[name] != after[name]]
    told = {"before": {name: before.get(name) for name in names}, "after": {name: after[name] for name in names}}
    return {
        "message_id": f"{version}:{item}",
        "name": ITEM_CHANGED,
        "item": item,
        "price": after.get("price"),
        "properties": _dumped(told),
    }
