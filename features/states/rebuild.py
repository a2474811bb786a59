"""States from the log: of all customers at first, later of those of whom a file brought events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from features.engine import held
from features.events import IDENTIFIED, SUBMITTED, utc
from features.history import Known, read_known
from features.ledger import Ledger
from features.past import people
from features.states.state import CustomerState, Signal, micros
from features.states.store import Mark, Stored, begin, form, write
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

ALL = datetime(9999, 12, 31)  # noqa: DTZ001  # also what is not known yet: a state keeps it until it is
TOGETHER = 2_000  # states in one transaction: whoever records events waits for it
COLUMNS = (
    "customer", "name", "time", "received_at", "live", "item", "quantity", "price", "order_id", "properties",
    "campaign", "source", "message_id", "line",
)  # fmt: skip


def rebuild_all(workspace: Workspace, ledger: Ledger, now: datetime) -> int:
    """Makes the states of all customers anew; how many there are."""
    mark = begin(ledger)
    known = read_known(workspace)
    written, made = _written(ledger, mark, _states(workspace, known, None, now))
    if written is None:
        return 0
    kept = form(workspace.settings.traits)
    done = replace(written, kept=kept, version=known.version, sequence=known.sequence)
    return made if write(ledger, done, {}, nobody=_of_nobody(known)) else 0


def _of_nobody(known: Known) -> list[str]:
    """The devices on which an event awaits who will identify there."""
    rows = known.events.before(ALL)
    waiting = rows.filter(rows.customer.isnull(), rows.anonymous.notnull()).select("anonymous").distinct()
    return [str(device) for device in waiting.to_pyarrow()["anonymous"].to_pylist()]


def rebuild_some(
    workspace: Workspace, ledger: Ledger, mark: Mark, customers: Sequence[str], now: datetime
) -> Mark | None:
    """Makes the states of these customers anew; the mark then, or None where somebody else wrote meanwhile.

    One without events, as an id that another has taken over, has none.
    """
    known = read_known(workspace)
    made = dict(_states(workspace, known, customers, now))
    without: dict[str, Stored | None] = {one: None for one in customers if one not in made}
    after = write(ledger, mark, without)
    return _written(ledger, after, made.items())[0]


def _written(ledger: Ledger, mark: Mark | None, states: Iterable[tuple[str, Stored]]) -> tuple[Mark | None, int]:
    some: dict[str, Stored] = {}
    made = 0
    for customer, state in states:
        some[customer] = state
        if len(some) == TOGETHER:
            mark = mark and write(ledger, mark, some)
            if mark is None:
                return None, made
            made, some = made + len(some), {}
    return mark and write(ledger, mark, some), made + len(some)


def _states(
    workspace: Workspace, known: Known, customers: Sequence[str] | None, now: datetime
) -> Iterator[tuple[str, Stored]]:
    traits, moment = workspace.settings.traits, micros(utc(now))
    signals = _signals(known.events.before(ALL), customers)
    for customer, theirs in groupby(signals, key=itemgetter(0)):
        yield customer, Stored(CustomerState().folded((one for _, one in theirs), moment, traits), known.sequence)


def _signals(log: ir.Table, customers: Sequence[str] | None) -> Iterator[tuple[str, Signal]]:
    """The rows that features learn from, customer by customer."""
    import ibis

    rows = people(log).select(*COLUMNS)
    if customers is not None:
        asked = ibis.memtable(pa.table({"customer": pa.array(customers, pa.string())}))
        rows = rows.semi_join(asked, "customer")
    ordered = held(rows.order_by("customer"))
    backend = ibis.get_backend(ordered)
    for batch in backend.con.table(ordered.get_name()).to_arrow_reader(50_000):
        columns = [column.to_pylist() for column in _parts(batch)]
        yield from zip(batch["customer"].to_pylist(), map(Signal._make, zip(*columns, strict=True)), strict=True)


def _parts(batch: pa.RecordBatch) -> list[pa.Array]:
    """The columns of a signal, as `signal_of` makes one of a row."""
    time, received = (batch[name].cast(pa.int64()) for name in ("time", "received_at"))
    known = pc.if_else(batch["live"], pc.max_element_wise(time, received), time)
    touch = pc.or_(pc.equal(batch["name"], SUBMITTED), pc.match_substring(batch["properties"], '"context"'))
    told = pc.if_else(pc.or_kleene(pc.equal(batch["name"], IDENTIFIED), touch), batch["properties"], None)
    what = [batch[name] for name in ("name", "item", "quantity", "price", "order_id")]
    rest = [batch[name] for name in ("source", "message_id", "line")]
    return [time, known, *what, told, batch["campaign"], received, *rest]
