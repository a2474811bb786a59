"""Forms: what somebody sent by an HTML form, as an Identify, a `Form Submitted` and the consent that was ticked.

Fields with a meaning of their own are those of `Form`; all others are traits of who sent it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from features.consent import PURPOSES, say_in
from features.events import IDENTIFIED, MAX_CUSTOMER, SUBMITTED, Event
from features.history import record_in
from features.ledger import Ledger
from features.sources.landing import bare, campaign_of

MAX_FIELDS = 100
MAX_VALUE = 5_000  # characters
MAX_NAME = 64


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL")
    return text


Text = Annotated[str, Field(max_length=MAX_VALUE), AfterValidator(_storable)]
Id = Annotated[str, Field(max_length=MAX_CUSTOMER), AfterValidator(_storable), AfterValidator(str.strip)]


class Form(BaseModel):
    """What was sent. Empty texts are as good as none."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Text]

    customer: Id = ""  # else the e-mail address is who it is
    email: Id = ""
    anonymous: Id = ""  # the device's id
    form: Annotated[Text, Field(max_length=MAX_NAME)] = "form"
    page: Text = ""
    message_id: Id = ""  # the same twice is stored once
    redirect: Text = ""
    consent: Annotated[tuple[Text, ...], Field(max_length=len(PURPOSES))] = ()  # the purposes that were ticked
    consent_text: Text = ""  # what stood beside the box
    leave_empty: Text = ""  # a field that no person sees

    @property
    def who(self) -> str | None:
        return self.customer or self.email.lower() or None

    @property
    def traits(self) -> dict[str, str]:
        """What was told about who sent it."""
        told = {"email": self.email} | (self.__pydantic_extra__ or {})
        return {name: value for name, value in told.items() if value}


def form_of(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The fields as `Form` takes them; of a field that comes twice the last counts, of `consent` all do."""
    if len(fields) > MAX_FIELDS or any(len(name) > MAX_NAME for name, _ in fields):
        raise ValueError(
            f"the form has {len(fields)} fields; at most {MAX_FIELDS} with names up to {MAX_NAME} are taken"
        )
    agreed = tuple(value.strip() for name, value in fields if name == "consent" and value.strip())
    return {name: value for name, value in fields if name != "consent"} | {"consent": agreed}


def take(ledger: Ledger, source: str, form: Form, message_id: str, now: datetime) -> dict[str, Any]:
    """Stores what was sent and the consent in one transaction; what a robot filled in is counted and tells nothing."""
    if unknown := [purpose for purpose in form.consent if purpose not in PURPOSES]:
        raise ValueError(f"consent == {unknown[0][:80]!r}, must be one of {list(PURPOSES)}")
    if form.consent and not (form.who and form.consent_text.strip()):
        raise ValueError("consent was given without `consent_text` or without `email` or `customer`: there is no proof")
    robot = bool(form.leave_empty)
    events = [_robot(form)] if robot else list(_told(form))
    with ledger.write() as connection:
        common: dict[str, Any] = {"source": source, "time": now, "received_at": now, "channel": "web"}
        new = record_in(
            connection, [Event(message_id=f"{message_id}:{one['name']}", **common, **one) for one in events]
        )
        if new and form.consent and form.who and not robot:
            proof = orjson.dumps({"text": form.consent_text, "page": form.page, "time": now.isoformat()}).decode()
            for purpose in form.consent:
                say_in(connection, form.who, purpose, granted=True, source=source, proof=proof, time=now)
    return {"accepted": bool(new), "consent": [] if robot else list(form.consent)}


def _robot(form: Form) -> dict[str, Any]:
    told = {"form": form.form, "machine": "robot: it filled in a field that no person sees"}
    return {"name": SUBMITTED, "machine": True, "properties": orjson.dumps(told).decode()}


def _told(form: Form) -> Iterator[dict[str, Any]]:
    common = {"customer": form.who, "anonymous": form.anonymous or None}
    context = _context(form.page)
    if form.who:
        yield common | {"name": IDENTIFIED, "properties": orjson.dumps(form.traits).decode()}
    told = {"form": form.form, "fields": sorted(form.traits), "context": context}
    campaign = context.get("campaign", {}).get("name")
    yield common | {"name": SUBMITTED, "campaign": campaign, "properties": orjson.dumps(told).decode()}


def _context(page: str) -> dict[str, Any]:
    """Where it was sent from, as an SDK would tell it."""
    campaign = campaign_of(page)
    return ({"page": {"url": bare(page)}} if page else {}) | ({"campaign": campaign} if campaign else {})
