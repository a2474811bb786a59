"""Receipts: what an e-mail provider reports of a message: delivered, opened, clicked, bounced, complained, left.

{"type": "email.opened", "timestamp": "2026-03-01T12:00:00Z", "data": {"customer": "c1", "email_id": "m1", ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select

from features.consent import say_in
from features.events import BOUNCED, CLICKED, COMPLAINED, DELIVERED, MAX_CUSTOMER, OPENED, UNSUBSCRIBED, Event, utc
from features.history import live_events, record_in
from features.ledger import Ledger
from features.sources.clock import EARLIEST
from features.sources.machines import machine, proxy

NAMES = {
    "email.delivered": DELIVERED,
    "email.opened": OPENED,
    "email.clicked": CLICKED,
    "email.bounced": BOUNCED,
    "email.complained": COMPLAINED,
    "email.unsubscribed": UNSUBSCRIBED,
}  # any other type is stored under its own name
REFUSES = (COMPLAINED, UNSUBSCRIBED)
KEPT = ("email_id", "link", "reason", "bounce", "user_agent")  # of the data; an address of the network is not
LOOKED = 1_000  # earlier events of the customer


def _signalled(time: datetime) -> datetime:
    try:
        late_enough = utc(time) >= EARLIEST
    except OverflowError:
        late_enough = False
    if not late_enough:
        raise ValueError(f"must be a time from {EARLIEST:%Y} on")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_signalled)]
Text = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]
Id = Annotated[str, Field(min_length=1, max_length=MAX_CUSTOMER, pattern=r"^[^\x00]*$")]


class Data(BaseModel):
    """Whom the message was for, and what came of it. Other fields are taken and not kept."""

    model_config = ConfigDict(frozen=True)

    customer: Id | None = None  # as the message was sent with; else the address is who the customer is
    email: Id | None = None
    email_id: Id | None = None  # the same for all that comes of one message
    campaign: Id | None = None
    link: Text | None = None
    hidden: bool = False  # the link that was clicked cannot be seen by a person
    user_agent: Text | None = None
    ip: Text | None = None
    delivered_at: Time | None = None
    reason: Text | None = None
    bounce: Text | None = None  # hard, soft, ...

    @model_validator(mode="after")
    def _somebody(self) -> Data:
        if self.customer is None and self.email is None:
            raise ValueError("must have 'customer' or 'email'")
        return self


class Receipt(BaseModel):
    """One report, in the shape that Standard Webhooks recommends."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    timestamp: Time
    data: Data


def take(ledger: Ledger, source: str, message_id: str, receipt: Receipt, now: datetime) -> dict[str, Any]:
    """Stores the report as an event, once; a complaint or an unsubscribe ends the consent in the same transaction."""
    data, customer = receipt.data, receipt.data.customer or receipt.data.email
    assert customer is not None  # noqa: S101  # `Data` requires one; this tells the type checker
    name, time = NAMES.get(receipt.type, receipt.type), min(utc(receipt.timestamp), utc(now))
    told = data.model_dump() | {"delivered_at": data.delivered_at and utc(data.delivered_at)}
    why = machine(name, time, told, _same_message(ledger, customer, data.email_id))
    event = Event(
        source=source,
        message_id=message_id,
        name=name,
        time=time,
        received_at=now,
        original_time=receipt.timestamp.isoformat(),
        customer=customer,
        channel="email",
        campaign=data.campaign,
        machine=why is not None,
        properties=_properties(told, why),
    )
    with ledger.write() as connection:
        new = record_in(connection, [event])
        if new and name in REFUSES:
            proof = f"{name}, {message_id}"
            say_in(connection, customer, "marketing", granted=False, source=source, proof=proof, time=now)
    return {"accepted": new, "event": name, "machine": why}


def _properties(told: Mapping[str, Any], why: str | None) -> str:
    kept = {name: told[name] for name in KEPT if told[name] is not None}
    noted = {"machine": why, "proxy": proxy(told)}
    return orjson.dumps(kept | {name: value for name, value in noted.items() if value}).decode()


def _same_message(ledger: Ledger, customer: str, email_id: str | None) -> list[dict[str, Any]]:
    """What came of the same message before, as far as it waits in the ledger."""
    if email_id is None:
        return []
    query = select(live_events.c.body).where(live_events.c.customer == customer)
    with ledger.read() as connection:
        bodies = connection.execute(query.order_by(live_events.c.sequence.desc()).limit(LOOKED)).scalars().all()
    found = []
    for row in map(orjson.loads, bodies):
        properties = orjson.loads(row["properties"] or "null")
        if isinstance(properties, dict) and properties.get("email_id") == email_id:
            time = datetime.fromisoformat(row["time"])
            found.append({"name": row["name"], "time": time, "properties": properties})
    return found
