"""SDK: the calls of a Segment or RudderStack library as rows of `events.SCHEMA`.

track      its own name; item, price, quantity and order from its properties, one row per product of an order
identify   Identify, properties: the traits
alias      Alias, properties: `previous_id`; the customer is the new id
page       Page Viewed       screen   Screen Viewed       group   Group, properties: traits and `group_id`

Traits in the context of any other call are an Identify row of the same message. Of the context a row keeps, in
`properties` under `context`: campaign, referrer, page (url and referrer), consent (by purpose) and sent_at. Address and
device are not kept, nor is the query of a page's address, but for the campaign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from features.depth import writable
from features.events import IDENTIFIED, MAX_CUSTOMER, PAGE
from features.preferences import stated
from features.rejects import MAX_BODY, Reject
from features.sources import clock
from features.sources.landing import ADDRESSES, bared, campaign_of
from features.sources.products import columns
from features.sources.split import Broken, split
from features.sources.values import record, text
from features.workspace import Settings

SCREEN, GROUP, ALIAS = "Screen Viewed", "Group", "Alias"
MAX_EVENT = 32 << 10  # bytes, as Segment's
MAX_EVENTS = 5_000  # in a batch; libraries send at most a few hundred
QUERY = "search"  # of a page's address, as the browser libraries tell it beside that
IDS = ("userId", "anonymousId", "previousId")
ID = re.compile(rf'"(?:{"|".join(IDS)})"\s*:\s*"([^"\\\0]{{1,{MAX_CUSTOMER}}})"')  # in a text that is no JSON
CHANNELS = {"browser": "web", "mobile": "app"}  # Segment's words -> ours; others stay
EMPTY = {"item": None, "quantity": None, "price": None, "order_id": None}
Row = dict[str, Any]
Made = tuple[str, Mapping[str, Any]]  # an event's name and properties


@dataclass(frozen=True, slots=True)
class Call:
    """What all events of a request share."""

    source: str
    received: datetime  # UTC without a zone
    settings: Settings
    context: Mapping[str, Any]
    sent: Any = None  # as written
    sent_at: datetime | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any], source: str, received: datetime, settings: Settings) -> Call:
        context, sent = body.get("context"), body.get("sentAt")
        context = context if isinstance(context, dict) else {}
        return cls(source, received, settings, context, sent, clock.lenient(sent))


def parsed(content: bytes) -> dict[str, Any]:
    """The body; ValueError where it is no JSON object. A broken event of a batch is `Broken`, its neighbours whole."""
    try:
        body = writable(orjson.loads(content), content)
    except ValueError:
        return split(content)
    if not isinstance(body, dict):
        raise ValueError(f"the body is a {type(body).__name__}, an object is needed")
    return body


def taken(events: list[Any], call: Call) -> tuple[list[list[Row]], list[tuple[int, Reject]]]:
    """Per event its rows; and those that cannot be taken, with their place."""
    found: list[list[Row]] = []
    lost: list[tuple[int, Reject]] = []
    for place, event in enumerate(events):
        try:
            found.append(rows(event, call))
        except (ValueError, orjson.JSONEncodeError) as error:
            lost.append((place, _reject(event, call, _reason(error))))
    return found, lost


def rows(event: Any, call: Call) -> list[Row]:
    """The event's rows; ValueError says what is wrong with it."""
    if not isinstance(event, dict):
        raise ValueError(event.fault if isinstance(event, Broken) else f"the event == {event!r:.80}, must be an object")
    size = len(orjson.dumps(event))
    if size > MAX_EVENT:
        raise ValueError(f"the event has {size} bytes, at most {MAX_EVENT} are taken")
    kind = event.get("type")
    make = MADE.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise ValueError(f"type == {kind!r:.80}, must be one of {', '.join(MADE)}")
    context = record("context", event.get("context"))
    context = _with_campaign({**call.context, **context})
    common, kept = _common(event, context, call), _kept(context, event.get("sentAt") or call.sent)
    parts = _parts(kind, *make(event), record("context.traits", context.get("traits")), call.settings)
    return [_row(common, part, kept, line) for line, part in enumerate(parts)]


def _with_campaign(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context, with the campaign that the page's address names where the library names none."""
    page = context.get("page")
    found = campaign_of(page.get("url")) if isinstance(page, dict) and not context.get("campaign") else {}
    return {**context, "campaign": found} if found else context


def _parts(
    kind: Any, name: str, properties: Mapping[str, Any], traits: Mapping[str, Any], settings: Settings
) -> list[Row]:
    """What differs between the rows of an event."""
    if kind == "identify":
        return [{"name": name, "properties": {**traits, **properties}}]
    found = columns(name, properties, settings) if kind == "track" else [{"properties": properties}]
    parts = [{"name": name, **columns} for columns in found]
    return [*parts, {"name": IDENTIFIED, "properties": traits}] if traits else parts


def _common(event: Mapping[str, Any], context: Mapping[str, Any], call: Call) -> Row:
    """What the rows of an event share."""
    customer, anonymous = text("userId", event.get("userId")), text("anonymousId", event.get("anonymousId"))
    if customer is None and anonymous is None:
        raise ValueError("userId and anonymousId are absent, one of them is needed")
    written = event.get("originalTimestamp") or event.get("timestamp")
    original = clock.read("timestamp", written)
    sent = clock.lenient(event["sentAt"]) if event.get("sentAt") else call.sent_at
    campaign, channel = context.get("campaign"), text("channel", event.get("channel"), 64)
    return {
        "source": call.source,
        "message_id": text("messageId", event.get("messageId")) or uuid4().hex,
        "customer": customer,
        "anonymous": anonymous,
        "time": clock.corrected(original, sent, call.received),
        "original_time": written if original else None,
        "received_at": call.received,
        "live": True,
        "channel": CHANNELS.get(channel, channel) if channel else None,
        "campaign": _campaign(campaign) if isinstance(campaign, dict) else None,
        "machine": False,
    }


def _campaign(campaign: Mapping[str, Any]) -> str | None:
    return text("context.campaign.name", campaign.get("name")) or text("context.campaign.id", campaign.get("id"))


def _kept(context: Mapping[str, Any], sent: Any) -> Row:
    """What stays of the context."""
    kept = {name: bared(context[name]) for name in ("campaign", "referrer") if context.get(name)}
    page = context.get("page")
    if isinstance(page, dict):
        kept["page"] = bared({name: page[name] for name in ADDRESSES if page.get(name)})
    if said := stated(context.get("consent")):
        kept["consent"] = said
    if isinstance(sent, str) and sent:
        kept["sent_at"] = sent[: clock.MAX_TIME]
    return kept


def _row(common: Row, part: Mapping[str, Any], kept: Row, line: int) -> Row:
    properties = part["properties"]
    if kept:
        properties = {**properties, "context": kept}
    written = orjson.dumps(properties).decode() if properties else None
    return {**common, **EMPTY, **part, "line": line, "properties": written}


def _track(event: Mapping[str, Any]) -> Made:
    name = event.get("event")
    name = text("event", name) if isinstance(name, str) else None
    if name is None:
        raise ValueError(f"event == {event.get('event')!r:.80}, the name of what happened is needed")
    return name, record("properties", event.get("properties"))


def _identify(event: Mapping[str, Any]) -> Made:
    return IDENTIFIED, record("traits", event.get("traits"))


def _alias(event: Mapping[str, Any]) -> Made:
    previous = text("previousId", event.get("previousId"))
    if previous is None or text("userId", event.get("userId")) is None:
        raise ValueError("userId or previousId is absent, an alias needs both")
    return ALIAS, {"previous_id": previous}


def _group(event: Mapping[str, Any]) -> Made:
    group = text("groupId", event.get("groupId"))
    if group is None:
        raise ValueError("groupId is absent, a group call needs it")
    return GROUP, {**record("traits", event.get("traits")), "group_id": group}


def _page(event: Mapping[str, Any]) -> Made:
    return PAGE, bared({name: value for name, value in _viewed(event).items() if name != QUERY})


def _screen(event: Mapping[str, Any]) -> Made:
    return SCREEN, _viewed(event)


def _viewed(event: Mapping[str, Any]) -> Row:
    told = {key: event[key] for key in ("name", "category") if event.get(key)}
    return {**told, **record("properties", event.get("properties"))}


MADE: dict[str, Callable[[Mapping[str, Any]], Made]] = {
    "track": _track,
    "identify": _identify,
    "page": _page,
    "screen": _screen,
    "group": _group,
    "alias": _alias,
}


def _reject(event: Any, call: Call, reason: str) -> Reject:
    """The event as it was given, cut; under the first id that can be read, so that erasure finds it."""
    return Reject(call.received, call.source, next(_ids(event), None), reason, _shown(event))


def _ids(event: Any) -> Iterator[str]:
    """The ids that the event names, as far as they can be read."""
    if isinstance(event, Broken):
        yield from ID.findall(event.text)
    for name in IDS if isinstance(event, dict) else ():
        with suppress(ValueError):
            if one := text(name, event.get(name)):
                yield one


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _shown(event: Any) -> str:
    if isinstance(event, Broken):
        return event.text.replace("\0", "\\0")[:MAX_BODY]
    try:
        return orjson.dumps(event).decode()[:MAX_BODY]
    except orjson.JSONEncodeError:
        return repr(event)[:MAX_BODY].encode("utf-8", "backslashreplace").decode()
