"""Preferences: what a shop's consent platform says beside live events, as `context.consent.categoryPreferences`.

Libraries repeat it with each event, so a word is added only where it differs from the last one of the same source: what
the customer withdrew elsewhere is not granted again by a banner that still remembers a yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from features.consent import PURPOSES, consents
from features.erased import erased_among

MARK = '"consent"'  # most rows say nothing, and need no reading
Said = dict[tuple[str, str, str], bool]  # customer, source and purpose


def stated(consent: Any) -> dict[str, bool]:
    """The purposes that a library's `context.consent` grants or refuses; categories of other names are none of ours."""
    told = consent.get("categoryPreferences") if isinstance(consent, Mapping) else None
    named = {str(name).lower(): value for name, value in told.items()} if isinstance(told, Mapping) else {}
    return {purpose: named[purpose] for purpose in PURPOSES if isinstance(named.get(purpose), bool)}


def keep(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds what these rows of `events.SCHEMA` newly say, by the time of the events; the caller holds the write lock."""
    some = (row for row in rows if row["properties"] and MARK in row["properties"])
    telling = sorted(some, key=lambda row: row["time"])
    if not telling:
        return
    people = {_whose(row) for row in telling}
    gone, last = erased_among(connection, people), _last(connection, people)
    words = []
    for row in telling:
        who = _whose(row)
        for purpose, granted in _consent(row).items() if who not in gone else ():
            if last.get((who, row["source"], purpose)) != granted:
                last[who, row["source"], purpose] = granted
                proof = f"context.consent of message {row['message_id']}"
                word = {"customer": who, "purpose": purpose, "granted": granted, "source": row["source"]}
                words.append(word | {"time": row["time"], "proof": proof})
    if words:
        connection.execute(insert(consents), words)


def _whose(row: Mapping[str, Any]) -> str:
    """The customer, or the device on which nobody has identified."""
    return str(row["customer"] if row["customer"] is not None else row["anonymous"])


def _consent(row: Mapping[str, Any]) -> dict[str, bool]:
    context = orjson.loads(row["properties"]).get("context")
    told = context.get("consent") if isinstance(context, dict) else None
    return stated({"categoryPreferences": told})


def _last(connection: Connection, people: Iterable[str]) -> Said:
    """What each source said last of these people and each purpose."""
    columns = (consents.c.customer, consents.c.source, consents.c.purpose, consents.c.granted)
    said: Said = {}
    ids = sorted(people)
    for start in range(0, len(ids), 5_000):  # SQLite takes 32,766 parameters in a statement
        query = select(*columns).where(consents.c.customer.in_(ids[start : start + 5_000])).order_by(consents.c.id)
        said |= {(who, source, purpose): granted for who, source, purpose, granted in connection.execute(query)}
    return said
