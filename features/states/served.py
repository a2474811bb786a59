"""Served: the feature table of some customers at a moment, from their states and the events that came since.

What families aggregate is laid out from the states instead of the log; from there on it is the code that training runs,
so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from features.customers.combine import chosen, pages
from features.engine import connect
from features.events import CODE, utc
from features.history import live_events
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.states.state import CustomerState, Signal, micros, signal_of
from features.states.store import Stored, batched, form, read_mark, read_states, readable
from features.table import FeatureTable, add_traits, derived
from features.workspace import Settings

STORED = "SELECT kept, states.sequence, body FROM customer_states AS states, state_marks WHERE customer = ?"
STORED_EACH = (
    "SELECT customer, kept, states.sequence, body FROM customer_states AS states, state_marks WHERE customer IN ({})"
)
OTHER = -1  # the code of a name without a meaning
ROWS = pa.schema(
    {
        "customer": pa.int32(),
        "time": pa.timestamp("us"),
        "name": pa.int32(),
        "item": pa.string(),
        "quantity": pa.float64(),
    }
)
ORDERS = pa.schema(
    {
        "customer": pa.int32(),
        "refund": pa.bool_(),
        "units": pa.float64(),
        "value": pa.float64(),
        "time": pa.timestamp("us"),
    }
)
PAIRS = pa.schema({"customer": pa.int32(), "item": pa.string(), "bought": pa.float64()})


def served(
    ledger: Ledger,
    settings: Settings,
    customers: Sequence[str],
    moment: datetime,
    *,
    families: Sequence[str] | None = None,
) -> FeatureTable | None:
    """The rows that `FeatureTable.build` would give for these customers now; None while nobody keeps their states.

    `moment` is not before the last `refresh`: windows that end earlier have lost rows. Whether the customers agreed is
    for the caller to ask.
    """
    once = list(dict.fromkeys(customers))
    states = states_of(ledger, once, moment, settings.traits)
    if states is None:
        return None
    wanted, traits = chosen(families), settings.traits if families is None or "profile" in families else ()
    places = pc.index_in(pa.array(customers, pa.string()), pa.array(once, pa.string()))
    at = utc(moment)
    frame, described, _ = derived(_grains(list(states.values())), places, at, wanted, settings.currency)
    described += add_traits(frame, {trait: _texts(states, customers, trait) for trait in traits})
    return FeatureTable(frame, described, np.array(customers, dtype=object), at)


def states_of(
    ledger: Ledger, customers: Sequence[str], moment: datetime, traits: Sequence[str]
) -> dict[str, CustomerState] | None:
    """The customers' states with all that the ledger holds; None while nobody keeps them."""
    named = persons(read_aliases(ledger))
    with ledger.read() as connection:
        mark = read_mark(connection)
        if mark is None or mark.kept != form(traits):
            return None
        stored = read_states(connection, customers)
        after = {customer: stored[customer].sequence if customer in stored else 0 for customer in customers}
        signals = _signals(connection, after, named)
    at = micros(utc(moment))
    states = {customer: stored[customer].state if customer in stored else CustomerState() for customer in customers}
    return {customer: state.folded(signals[customer], at, traits) for customer, state in states.items()}


def state_of(ledger: Ledger, customer: str) -> Stored:
    """The customer's state as it was last written; an empty one where there is none that this code can read."""
    kept = ledger.look(STORED, (customer,))
    if not kept or not readable(kept[0][0]):
        return Stored(CustomerState())
    _, sequence, body = kept[0]
    return Stored(CustomerState.unpacked(body), sequence)


def states_each(ledger: Ledger, customers: Sequence[str]) -> dict[str, Stored]:
    """`state_of` each of these customers."""
    found = dict.fromkeys(customers, Stored(CustomerState()))
    for some in batched(customers):
        for customer, kept, sequence, body in ledger.look(STORED_EACH.format(", ".join("?" * len(some))), some):
            if readable(kept):
                found[customer] = Stored(CustomerState.unpacked(body), sequence)
    return found


def _signals(connection: Connection, after: Mapping[str, int], named: Mapping[str, str]) -> dict[str, list[Signal]]:
    """Per customer the live events above the customer's sequence, under whichever of its ids; no machine's."""
    signals: dict[str, list[Signal]] = {customer: [] for customer in after}
    ids = [*after, *(one for one, person in named.items() if person in after and one not in after)]
    columns = (live_events.c.customer, live_events.c.sequence, live_events.c.body)
    for some in batched(ids):
        query = select(*columns).where(live_events.c.customer.in_(some)).order_by(live_events.c.sequence)
        for one, sequence, body in connection.execute(query):
            person = named.get(one, one)
            if sequence > after.get(person, sequence) and not (row := orjson.loads(body))["machine"]:
                signals[person].append(signal_of(row))
    return signals


def _grains(states: Sequence[CustomerState]) -> dict[str, object]:
    """The states as the tables that families aggregate."""
    backend = connect(threads=1)
    rows = [
        (place, row.time, CODE.get(row.name, OTHER), row.item, row.quantity)
        for place, state in enumerate(states)
        for row in state.rows
    ]
    orders = [(place, key.refund, *sums) for place, state in enumerate(states) for key, sums in state.orders.items()]
    pairs = [(place, *pair) for place, state in enumerate(states) for pair in state.pairs.items()]
    tables = {"rows": _table(rows, ROWS), "orders": _table(orders, ORDERS), "pairs": _table(pairs, PAIRS)}
    for name, table in tables.items():
        backend.con.register(name, table)
    found = {name: backend.table(name) for name in tables}
    return found | {"pages": pages(found["rows"])}


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[]] * len(schema)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema)


def _texts(states: Mapping[str, CustomerState], customers: Sequence[str], trait: str) -> pa.Array:
    told = [states[customer].told.get(trait) for customer in customers]
    return pa.array([None if word is None else orjson.dumps(word[-1]).decode() for word in told], pa.string())
