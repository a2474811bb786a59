"""Population: whom an impact is told of, which of them are of the global holdout, and in which segments they were.

Everybody who agreed to analytics and was known before the period ended, by something they did or by consent.
What was only sent to somebody makes nobody known, because nothing is sent to the holdout. Who is of the holdout is a
hash, so it holds for the whole period, and for whoever comes in it from their first day on: as drawn, whatever reached
whom (intention to treat).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import String, select, type_coerce

from features.catalog import read_catalog
from features.conditions import members
from features.conditions.grammar import Score, leaves
from features.consent import consented_customers, consents, left_out
from features.events import BOUNCED, CLICKED, COMPLAINED, DELIVERED, OPENED, UNSUBSCRIBED, Events, utc
from features.holdout import held_out
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.segments import FOLDER, SegmentFile, read_segments
from features.workspace import Workspace, read_yaml
from serving.impact.period import Period

if TYPE_CHECKING:
    import ibis.expr.types as ir

SENT = (DELIVERED, OPENED, CLICKED, BOUNCED, COMPLAINED, UNSUBSCRIBED, "Experience Viewed", "Experience Clicked")
PART = 50_000  # words of consent that are read at once
NONE, AGAIN, CAME = "none of them", "counted more than once", "came in the period"
MEMBERS = pa.schema({"place": pa.int32(), "cell": pa.int16(), "times": pa.float64()}.items())
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Population:
    """The customers, sorted: who is treated (the others are of the holdout), and who was known before the period."""

    customers: pa.Array
    treated: NDArray[np.bool_]
    before: NDArray[np.bool_]
    left_out: str

    @property
    def table(self) -> pa.Table:
        """Per customer whether treated, and the place among them."""
        place = pa.array(np.arange(len(self.customers), dtype=np.int32))
        return pa.table({"customer": self.customers, "treated": pa.array(self.treated), "place": place})

    @property
    def counts(self) -> dict[bool, int]:
        """Customers by whether they are treated."""
        return {True: int(self.treated.sum()), False: int((~self.treated).sum())}


@dataclass(frozen=True)
class Inside:
    """Who was in which segment as the period began: `rows` of `MEMBERS`, of each customer by its place.

    `names`: file and segment of each cell; `scored`: the segments that cannot be told, because they ask for a score.
    """

    rows: pa.Table
    names: Sequence[tuple[str, str]]
    scored: Sequence[str]

    @property
    def own(self) -> list[int]:
        """The cells that are segments, or none of them: not who is counted more than once."""
        return [cell for cell, (_, key) in enumerate(self.names) if key != AGAIN]


def population(workspace: Workspace, events: Events, when: Period, now: datetime) -> Population:
    """Who is told of."""
    ledger, rows = Ledger.at(workspace.ledger), events.before(min(when.until, utc(now)))
    agreed = pa.table({"customer": pa.array(consented_customers(ledger, purpose="analytics", as_of=now), pa.string())})
    first = _known_since(rows, _agreed_since(ledger, now), agreed, when)
    who, share = first["customer"].combine_chunks(), workspace.settings.holdout
    return Population(
        who,
        np.array([not held_out(customer, share) for customer in who.to_pylist()], np.bool_),
        first["since"].to_numpy() < np.datetime64(when.start),
        _left_out(rows, agreed),
    )


def _known_since(rows: ir.Table, words: pa.Table, agreed: pa.Table, when: Period) -> pa.Table:
    """Since when each of those who agreed is known, sorted; without who was not before the period ended."""
    import ibis

    did = rows.filter(rows.customer.notnull(), ~rows.name.isin(SENT)).select("customer", since=rows.time)
    both = did.union(ibis.memtable(words))
    first = both.group_by("customer").aggregate(since=both.since.min()).semi_join(ibis.memtable(agreed), "customer")
    return first.filter(first.since < when.until).order_by("customer").to_pyarrow()


def _left_out(rows: ir.Table, agreed: pa.Table) -> str:
    import ibis

    here = rows.filter(rows.customer.notnull()).select("customer").distinct()
    told = here.left_join(ibis.memtable(agreed).rename(yes="customer"), [("customer", "yes")])
    (sums,) = told.aggregate(total=told.count(), told=told.yes.count()).to_pyarrow().to_pylist()
    return left_out(sums["total"], sums["total"] - sums["told"], "analytics")


def _agreed_since(ledger: Ledger, now: datetime) -> pa.Table:
    """When people agreed to analytics: a row each time."""
    said = type_coerce(consents.c.time, String)  # of a million words, read as times by Arrow
    query = select(consents.c.customer, said).where(
        consents.c.purpose == "analytics", consents.c.granted, consents.c.time <= utc(now)
    )
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(now))
    schema = pa.schema([("customer", pa.string()), ("since", pa.timestamp("us"))])
    parts = [schema.empty_table()]
    with ledger.read() as connection:
        for part in connection.execute(query).partitions(PART):
            names, times = zip(*part, strict=True)
            whose = [merged.get(name, name) for name in names]
            parts.append(pa.table([pa.array(whose, pa.string()), pa.array(times).cast(schema[1].type)], schema=schema))
    return pa.concat_tables(parts)


def segments(workspace: Workspace, events: Events, when: Period, found: Population) -> Inside:
    """Who was in which segment as the period began; and the segments that cannot be told.

    Per file of `segments/` the rows of a customer add up to 1: who is in several of its segments is in `AGAIN` with a
    number below 0, who is in none in `NONE`, and who came in the period in `CAME`.
    """
    known = read_segments(workspace.folder)
    scored = [key for key, one in known.items() if any(isinstance(leaf, Score) for leaf in leaves(one.who))]
    asked = {key: one.who for key, one in known.items() if key not in scored}
    if not asked or not len(found.customers):
        return Inside(MEMBERS.empty_table(), [], scored)
    here, came = np.flatnonzero(found.before), np.flatnonzero(~found.before)
    among = found.customers.take(pa.array(here))
    inside = members(asked, events, when.start, among=among, catalog=read_catalog(workspace)).inside
    cells = [
        ((group, key), places, times)
        for group, keys in _files(workspace, asked).items()
        for key, places, times in _cells(inside[:, [list(asked).index(key) for key in keys]], keys, here, came)
        if len(places)
    ]
    parts = [
        pa.table([places.astype(np.int32), np.full(len(places), cell, np.int16), times], schema=MEMBERS)
        for cell, (_, places, times) in enumerate(cells)
    ]
    return Inside(pa.concat_tables(parts), [name for name, _, _ in cells], scored)


def _cells(
    flags: NDArray[np.bool_], keys: Sequence[str], here: Places, came: Places
) -> Iterator[tuple[str, Places, NDArray[np.float64]]]:
    """Of one file each segment's customers, by their places, and how many times each counts in it."""
    many = flags.sum(axis=1)
    found = [(key, here[flags[:, at]]) for at, key in enumerate(keys)]
    for key, places in (*found, (NONE, here[many == 0]), (CAME, came)):
        yield key, places, np.ones(len(places))
    yield AGAIN, here[many > 1], 1.0 - many[many > 1]


def _files(workspace: Workspace, asked: Mapping[str, object]) -> dict[str, list[str]]:
    """Per file of segments, those of its segments that can be told."""
    paths = sorted((workspace.folder / FOLDER).glob("*.yaml"))
    found = {
        path.stem: [one.key for one in read_yaml(path, SegmentFile).segments if one.key in asked] for path in paths
    }
    return {group: keys for group, keys in found.items() if keys}


def held_out_and_reached(rows: ir.Table, people: ir.Table, when: Period) -> int:
    """How many customers of the holdout a message was delivered to in the period all the same."""
    sent = rows.filter(rows.name == DELIVERED, rows.time >= when.start, rows.time < when.until)
    held = people.filter(~people.treated)
    return int(sent.semi_join(held, "customer").customer.nunique().to_pyarrow().as_py())
