"""Who saw which arm of an experiment, and when first: from `assign` decisions and `Experiment Viewed` events; of a slot
from `decide` decisions, each from the moment at which an `Experience Viewed` event said that it was seen.

Who saw it is the customer; of a device on which nobody ever identified the device, by its own id. Somebody who
identifies later is one customer, from the first moment on; what is done on the device after that, without saying by
whom, is nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from features.decisions import HELD, SHADOW, decisions
from features.events import Events, utc
from features.holdout import SALT
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.slots import DEFAULT
from serving.experiments.definitions import Shows

if TYPE_CHECKING:
    import ibis.expr.types as ir

INSIDE = "in_experiment"  # in the context of an `assign` decision: false where it is no exposure
PLAN = "plan"  # in the same: the hash of the experiment's plan
ARMS = "arms"  # in the context of a decision: by key of a challenger's test the arm that it belongs to
VIEWED = "Experiment Viewed"
EXPERIENCED = "Experience Viewed"  # its properties name the `decision_id` of what was seen
EXPERIENCE_CLICKED = "Experience Clicked"  # so do those of this: a link or a button in it was clicked
HELD_OUT, SHOWN = "held_out", "shown"  # the arms of a slot as a whole
LOOKUP = 500  # decision ids per query
Seen = tuple[str, str, datetime]  # customer, arm, time
Told = tuple[str | None, list[str], dict[str, Any], list[dict[str, Any]]]  # customer, chosen, context, options


@dataclass(frozen=True)
class Exposed:
    """Per customer the arm and the first moment; `crossed` customers saw two arms and `strays` an unknown one.

    `again`: the customers, of those in `first`, who were exposed more than once.
    """

    first: dict[str, tuple[str, datetime]]
    crossed: int
    strays: int
    again: int


def exposed(seen: Iterable[Seen], arms: Iterable[str]) -> Exposed:
    """The first exposure per customer; who saw two arms, or one that the experiment does not name, is left out."""
    known = set(arms)
    shown: dict[str, set[str]] = {}
    first: dict[str, tuple[str, datetime]] = {}
    again: set[str] = set()
    for customer, arm, time in seen:
        shown.setdefault(customer, set()).add(arm)
        if customer in first and time != first[customer][1]:  # one that two sources tell of is one
            again.add(customer)
        if customer not in first or time < first[customer][1]:
            first[customer] = (arm, time)
    crossed = {customer for customer, names in shown.items() if len(names) > 1}
    strays = {customer for customer, names in shown.items() if not names <= known} - crossed
    kept = {customer: one for customer, one in first.items() if customer not in crossed | strays}
    return Exposed(kept, len(crossed), len(strays), len(again & kept.keys()))


def assigned(ledger: Ledger, key: str, as_of: datetime) -> Iterator[Seen]:
    """The exposures that the journal holds, each of the person that the customer was by then.

    They are decisions of the `assign` route that found the customer in the experiment, and for a challenger's test
    those of the customers of either arm.
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
            if context.get("experiment") == key and context.get(INSIDE, True):
                arm = json.loads(chosen)[0]
            if arm is not None:
                yield merged.get(customer, customer), arm, time


def viewed(events: Events, key: str, as_of: datetime) -> Iterator[Seen]:
    """The exposures that the event log holds."""
    rows = events.before(as_of)
    for row in _told(rows, rows.name == VIEWED, rows.properties.contains(key)):
        properties = _properties(row["properties"])
        if properties.get("experiment_id") == key and properties.get("variation"):
            yield row["customer"], str(properties["variation"]), row["time"]


def experienced(ledger: Ledger, events: Events, shows: Shows, as_of: datetime) -> Iterator[Seen]:
    """The exposures to a slot: its journalled decisions that somebody was then said to have seen, or clicked."""
    return _of_slot(ledger, events, shows, as_of, (EXPERIENCED, EXPERIENCE_CLICKED))


def clicked(ledger: Ledger, events: Events, shows: Shows, as_of: datetime) -> Iterator[Seen]:
    """The clicks on what a slot showed."""
    return _of_slot(ledger, events, shows, as_of, (EXPERIENCE_CLICKED,))


@dataclass(frozen=True)
class Shown:
    """A decision of content that somebody was said to have seen: by whom and when, what it chose, and out of what."""

    customer: str
    time: datetime
    chosen: Sequence[str]
    context: Mapping[str, Any]
    options: Sequence[Mapping[str, Any]]

    @property
    def picked(self) -> dict[str, str]:
        """By part of the content what was chosen, but for items."""
        return dict(key.split(":", 1) for key in self.chosen if not key.startswith("item:"))


def shown(ledger: Ledger, events: Events, shows: Shows, as_of: datetime) -> Iterator[tuple[str, Shown]]:
    """The decisions of a slot that belong to an arm and that somebody was said to have seen, each with its arm."""
    return _decisions(ledger, events, shows, as_of, (EXPERIENCED, EXPERIENCE_CLICKED))


def _of_slot(ledger: Ledger, events: Events, shows: Shows, as_of: datetime, names: Collection[str]) -> Iterator[Seen]:
    return ((one.customer, arm, one.time) for arm, one in _decisions(ledger, events, shows, as_of, names))


def _decisions(
    ledger: Ledger, events: Events, shows: Shows, as_of: datetime, names: Collection[str]
) -> Iterator[tuple[str, Shown]]:
    """What events of these names say of decisions: of the customer or the device that was decided for, of no other."""
    rows = events.before(as_of)
    told = _told(rows, rows.name.isin(list(names)), rows.properties.notnull())
    named = [(row, str(_properties(row["properties"]).get("decision_id"))) for row in told]
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(as_of))
    found = _decided(ledger, sorted({decision_id for _, decision_id in named}))
    for row, decision_id in named:
        whose, chosen, context, options = found.get(decision_id, (None, [], {}, []))
        arm = arm_of(shows, chosen, context)
        if arm is not None and {row["customer"], row["anonymous"]} & {whose, merged.get(str(whose))} - {None}:
            yield arm, Shown(row["customer"], row["time"], chosen, context, options)


def arm_of(shows: Shows, chosen: Sequence[str], context: Mapping[str, Any]) -> str | None:
    """The arm that this decision of content drew; None where it drew none."""
    picked = dict(key.split(":", 1) for key in chosen if not key.startswith("item:"))
    held = context.get(HELD)
    content = held or picked.get("content", DEFAULT)
    if held == SALT or context.get("slot") != shows.slot or content == DEFAULT or shows.content not in (None, content):
        return None
    if shows.element is None:
        return HELD_OUT if held else SHOWN
    return None if held else picked.get(shows.element)


def _decided(ledger: Ledger, ids: Sequence[str]) -> dict[str, Told]:
    """Customer, choice, context and options of the decisions of content among these."""
    told = (decisions.c.customer, decisions.c.chosen, decisions.c.context, decisions.c.options)
    found: dict[str, Told] = {}
    with ledger.read() as connection:
        for start in range(0, len(ids), LOOKUP):
            some = decisions.c.decision_id.in_(ids[start : start + LOOKUP])
            rows = connection.execute(select(decisions.c.decision_id, *told).where(some, decisions.c.kind == "decide"))
            found |= {one: (who, *(json.loads(text) for text in texts)) for one, who, *texts in rows}
    return found


def _told(rows: ir.Table, *which: ir.BooleanValue) -> list[dict[str, Any]]:
    """The rows for which all of this holds and that a person caused, each of whom it counts for."""
    found = rows.filter(*which, ~rows.machine).select("customer", "anonymous", "time", "properties")
    told = found.to_pyarrow().to_pylist()
    named = {None} | _identified(rows, {row["anonymous"] for row in told if row["customer"] is None} - {None})
    return [
        row | {"customer": row["customer"] or row["anonymous"]}
        for row in told
        if row["customer"] is not None or row["anonymous"] not in named
    ]


def _identified(rows: ir.Table, devices: Collection[str]) -> set[str]:
    """Those of the devices on which somebody has identified."""
    import ibis
    import pyarrow as pa

    if not devices:
        return set()
    wanted = ibis.memtable(pa.table({"anonymous": sorted(devices)}))
    named = rows.filter(rows.customer.notnull()).semi_join(wanted, "anonymous").select("anonymous").distinct()
    return set(named.to_pyarrow()["anonymous"].to_pylist())


def _properties(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
