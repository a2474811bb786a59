"""Preferences: what a shop's consent platform says beside live events, as `context.consent.categoryPreferences`.

Libraries repeat it with each event, so a word is added only where it differs from the last one of the same source: what
the customer withdrew elsewhere is not granted again by a banner that still remembers a yes. Nor by an event that comes
late: a word from before the last one of its source, and a yes from before a no of any source, is not news. What an
`Unsubscribed` says is no memory of a banner: it always counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from features.consent import EVERYTHING, PURPOSES, consents
from features.erased import erased_among
from features.events import UNSUBSCRIBED

MARK = '"consent"'  # most rows say nothing, and need no reading
WORD = tuple(consents.c[name] for name in ("customer", "source", "purpose", "granted", "time"))


def stated(consent: Any) -> dict[str, bool]:
    """The purposes that a library's `context.consent` grants or refuses; categories of other names are none of ours."""
    told = consent.get("categoryPreferences") if isinstance(consent, Mapping) else None
    named = {str(name).lower(): value for name, value in told.items()} if isinstance(told, Mapping) else {}
    return {purpose: named[purpose] for purpose in PURPOSES if isinstance(named.get(purpose), bool)}


@dataclass
class Said:
    """What was said so far: the last word of each source, and when somebody last refused."""

    last: dict[tuple[str, str, str], tuple[bool, datetime]] = field(default_factory=dict)  # customer, source, purpose
    refused: dict[tuple[str, str], datetime] = field(default_factory=dict)  # customer, purpose

    def hear(self, who: str, source: str, purpose: str, *, granted: bool, time: datetime) -> None:
        self.last[who, source, purpose] = granted, time
        if not granted:
            self.refused[who, purpose] = max(time, self.refused.get((who, purpose), time))

    def is_news(self, who: str, source: str, purpose: str, *, granted: bool, time: datetime) -> bool:
        """Whether it differs from the last word of this source, and is not older than what it would undo."""
        before, since = self.last.get((who, source, purpose), (not granted, time))
        return granted != before and time >= since and not (granted and time < self.refused.get((who, purpose), time))


def keep(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds what these rows of `events.SCHEMA` newly say, by the time of the events; the caller holds the write lock."""
    some = (row for row in rows if row["properties"] and MARK in row["properties"])
    telling = sorted(some, key=lambda row: row["time"])
    if not telling:
        return
    people = {_whose(row) for row in telling}
    gone, said = erased_among(connection, people), _said(connection, people)
    words = [word for row in telling if _whose(row) not in gone for word in _news(row, said)]
    if words:
        connection.execute(insert(consents), words)


def _news(row: Mapping[str, Any], said: Said) -> list[dict[str, Any]]:
    """The words of this row that are news, which `said` has heard from then on."""
    who, words = _whose(row), []
    for purpose, granted in _consent(row).items():
        if row["name"] == UNSUBSCRIBED or said.is_news(who, row["source"], purpose, granted=granted, time=row["time"]):
            said.hear(who, row["source"], purpose, granted=granted, time=row["time"])
            proof = f"context.consent of message {row['message_id']}"
            word = {"customer": who, "purpose": purpose, "granted": granted, "source": row["source"]}
            words.append(word | {"time": row["time"], "proof": proof})
    return words


def _whose(row: Mapping[str, Any]) -> str:
    """The customer, or the device on which nobody has identified."""
    return str(row["customer"] if row["customer"] is not None else row["anonymous"])


def _consent(row: Mapping[str, Any]) -> dict[str, bool]:
    context = orjson.loads(row["properties"]).get("context")
    told = context.get("consent") if isinstance(context, dict) else None
    return stated({"categoryPreferences": told})


def _said(connection: Connection, people: Iterable[str]) -> Said:
    """What was said of these people, about everything."""
    said, ids = Said(), sorted(people)
    for start in range(0, len(ids), 5_000):  # SQLite takes 32,766 parameters in a statement
        about = consents.c.customer.in_(ids[start : start + 5_000]), *EVERYTHING.spoken_for()
        for who, source, purpose, granted, time in connection.execute(
            select(*WORD).where(*about).order_by(consents.c.id)
        ):
            said.hear(who, source, purpose, granted=granted, time=time)
    return said
