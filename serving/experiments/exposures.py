"""Who saw which arm of an experiment, and when first: from `assign` decisions and `Experiment Viewed` events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from features.decisions import decisions
from features.events import Events, utc
from features.identity import persons, read_aliases
from features.ledger import Ledger

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
    """The exposures that the service's `assign` route made, each of the person that the customer was by then."""
    query = select(decisions.c.customer, decisions.c.chosen, decisions.c.time, decisions.c.context).where(
        decisions.c.kind == "assign", decisions.c.time < utc(as_of), decisions.c.customer.is_not(None)
    )
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(as_of))
    with ledger.read() as connection:
        for customer, chosen, time, context in connection.execute(query):
            if json.loads(context).get("experiment") == key:
                yield merged.get(customer, customer), json.loads(chosen)[0], time


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
