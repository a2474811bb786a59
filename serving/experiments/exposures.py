"""Who saw which arm of an experiment, and when first: from `assign` decisions and `Experiment Viewed` events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from features.decisions import SHADOW, decisions
from features.events import Events, utc
from features.identity import persons, read_aliases
from features.ledger import Ledger

ARMS = "arms"  # in the context of a decision: by key of a challenger's test the arm that it belongs to
VIEWED = "Experiment Viewed"
Seen = tuple[str, str, datetime]  # customer, arm, time


@dataclass(frozen=True)
class Exposed:
    """Per customer the arm and the first moment; `crossed` customers saw two arms and `strays` an unknown one."""

    first: dict[str, tuple[str, datetime]]
    crossed: int
    strays: int


def exposed(seen: Iterable[Seen], arms: Iterable[str]) -> Exposed:
    """The first exposure per customer; who saw two arms, or one that the experiment does not name, is left out."""
    known = set(arms)
    shown: dict[str, set[str]] = {}
    first: dict[str, tuple[str, datetime]] = {}
    for customer, arm, time in seen:
        shown.setdefault(customer, set()).add(arm)
        if customer not in first or time < first[customer][1]:
            first[customer] = (arm, time)
    crossed = {customer for customer, names in shown.items() if len(names) > 1}
    strays = {customer for customer, names in shown.items() if not names <= known} - crossed
    kept = {customer: one for customer, one in first.items() if customer not in crossed | strays}
    return Exposed(kept, len(crossed), len(strays))


def assigned(ledger: Ledger, key: str, as_of: datetime) -> Iterator[Seen]:
    """The exposures that the journal holds, each of the person that the customer was by then.

    They are decisions of the `assign` route, and for a challenger's test those of the customers of either arm.
    """
    named = decisions.c.context.contains(f'"{key}"', autoescape=True)
    query = select(decisions.c.customer, decisions.c.chosen, decisions.c.time, decisions.c.context).where(
        named, decisions.c.kind != SHADOW, decisions.c.time < utc(as_of), decisions.c.customer.is_not(None)
    )
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(as_of))
    with ledger.read() as connection:
        for customer, chosen, time, told in connection.execute(query):
            context = json.loads(told)
            arm = context.get(ARMS, {}).get(key)
            if context.get("experiment") == key:
                arm = json.loads(chosen)[0]
            if arm is not None:
                yield merged.get(customer, customer), arm, time


def viewed(events: Events, key: str, as_of: datetime) -> Iterator[Seen]:
    """The exposures that the event log holds."""
    rows = events.before(as_of)
    mine = rows.filter(rows.name == VIEWED, rows.customer.notnull(), rows.properties.contains(key), ~rows.machine)
    table = mine.select("customer", "time", "properties").to_pyarrow()
    for row in table.to_pylist():
        properties = _properties(row["properties"])
        if properties.get("experiment_id") == key and properties.get("variation"):
            yield row["customer"], str(properties["variation"]), row["time"]


def _properties(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
