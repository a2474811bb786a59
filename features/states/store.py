"""The states in the ledger, and the mark: up to where history and ledger are in them.

The mark and the states are written in one transaction, by one writer at a time: who read the mark before another wrote
has been overtaken, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Column, Connection, LargeBinary, String, Table, Text, delete, insert, select, update

from features.ledger import NUMBER, Ledger, metadata
from features.states.state import KEPT, CustomerState

FORM = 1  # of a packed state
ASKED = 5_000  # customers in one statement: SQLite takes 32,766 parameters
UNFINISHED = ""  # what the mark says while all states are made

customer_states = Table(
    "customer_states",
    metadata,
    Column("customer", String(256), primary_key=True),
    Column("sequence", NUMBER, nullable=False),  # the customer's events up to here are in the state
    Column("body", LargeBinary, nullable=False),
)
state_marks = Table(
    "state_marks",  # no row, or one
    metadata,
    Column("turn", NUMBER, primary_key=True, autoincrement=False),
    Column("kept", Text, nullable=False),
    Column("version", NUMBER, nullable=False),
    Column("sequence", NUMBER, nullable=False),
)
devices_of_nobody = Table(
    "devices_of_nobody",  # where an event awaits who will identify there
    metadata,
    Column("customer", Text, primary_key=True),  # the device's id; erasure knows a person's rows by this name
)


@dataclass(frozen=True)
class Mark:
    """`turn` counts the writes; `kept`: what the states hold; `version` of the history, `sequence` of the ledger."""

    turn: int
    kept: str
    version: int
    sequence: int


@dataclass(frozen=True)
class Stored:
    """A state, and the last sequence of the ledger that is in it."""

    state: CustomerState
    sequence: int = 0


def form(traits: Sequence[str]) -> str:
    """What the states hold: other traits, windows or code need other states."""
    return f"{FORM} {sorted(KEPT.items())} {sorted(traits)}"


def readable(kept: str) -> bool:
    """Whether this code can read the states, whatever traits they hold; those that are being made it can."""
    return kept == UNFINISHED or kept.startswith(f"{FORM} ")


def read_mark(connection: Connection) -> Mark | None:
    """The mark, or None where nobody keeps states."""
    row = connection.execute(select(state_marks)).mappings().first()
    return None if row is None else Mark(**row)


def taken_over(connection: Connection) -> int | None:
    """The last event of the ledger that is in the states; None where nobody keeps states.

    What comes later must not leave the ledger: the states would never see it.
    """
    return connection.execute(select(state_marks.c.sequence)).scalar()


def read_states(connection: Connection, customers: Sequence[str]) -> dict[str, Stored]:
    """The states of these customers; none for one without events."""
    found: dict[str, Stored] = {}
    for some in batched(customers):
        query = select(customer_states).where(customer_states.c.customer.in_(some))
        for customer, sequence, body in connection.execute(query):
            found[customer] = Stored(CustomerState.unpacked(body), sequence)
    return found


def begin(ledger: Ledger) -> Mark:
    """The mark from which all states are made anew; the ledger lets no event go before they are."""
    with ledger.write() as connection:
        before = read_mark(connection)
        mark = Mark(before.turn + 1 if before else 0, UNFINISHED, -1, 0)
        connection.execute(delete(state_marks))
        connection.execute(delete(customer_states))
        connection.execute(delete(devices_of_nobody))
        connection.execute(insert(state_marks).values(vars(mark)))
    return mark


def write(
    ledger: Ledger,
    mark: Mark,
    states: Mapping[str, Stored | None],
    *,
    nobody: Collection[str] = (),
    named: Collection[str] = (),
) -> Mark | None:
    """Writes states and mark together; the mark as it is then, or None where somebody else wrote meanwhile.

    None in place of a state takes it away. `nobody`: devices of nobody; `named`: those that are no longer.
    """
    after = replace(mark, turn=mark.turn + 1)
    with ledger.write() as connection:
        mine = update(state_marks).where(state_marks.c.turn == mark.turn).values(vars(after))
        if not connection.execute(mine).rowcount:
            return None
        _put(connection, customer_states, list(states), [_packed(*one) for one in states.items() if one[1]])
        _put(connection, devices_of_nobody, [*nobody, *named], [{"customer": device} for device in nobody])
    return after


def _put(connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    """These rows in place of those under these keys."""
    for some in batched(keys):
        connection.execute(delete(table).where(table.c.customer.in_(some)))
    if rows:
        connection.execute(insert(table), rows)


def forget(connection: Connection, customer: str) -> None:
    """Takes the customer's state away, in the transaction that takes the customer's events."""
    connection.execute(delete(customer_states).where(customer_states.c.customer == customer))
    overtake(connection)


def overtake(connection: Connection) -> None:
    """Whoever read states before this writes none."""
    connection.execute(update(state_marks).values(turn=state_marks.c.turn + 1))


def batched(customers: Sequence[str]) -> Iterator[Sequence[str]]:
    """The customers in parts that fit into one statement."""
    return (customers[start : start + ASKED] for start in range(0, len(customers), ASKED))


def _packed(customer: str, stored: Stored | None) -> dict[str, object]:
    assert stored is not None  # noqa: S101  # `write` asks; this tells the type checker
    return {"customer": customer, "sequence": stored.sequence, "body": stored.state.packed()}
