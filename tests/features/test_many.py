"""Many rows in one statement: in their order, each once, however many."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import func, select

from features.history import LIVE, live_events, message_keys
from features.ledger import Ledger
from features.many import MOST, add, add_new

NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.at(ledger_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [0, 1, MOST + 1])
def test_rows_are_numbered_in_their_order(ledger: Ledger, count: int) -> None:
    with ledger.write() as connection:
        add(connection, LIVE, [(NOON, None, None, f"{number}") for number in range(count)])
    with ledger.read() as connection:
        found = connection.execute(select(live_events).order_by(live_events.c.sequence)).mappings().all()
    assert [row["body"] for row in found] == [f"{number}" for number in range(count)]
    assert {(row["received_at"], row["customer"]) for row in found} <= {(NOON, None)}


def test_of_the_keys_those_are_told_that_were_not_there(ledger: Ledger) -> None:
    keys = [bytes([number]) * 16 for number in range(4)]
    with ledger.write() as connection:
        assert add_new(connection, message_keys.c.key, []) == set()
        assert add_new(connection, message_keys.c.key, keys[:3]) == set(keys[:3])
        assert add_new(connection, message_keys.c.key, [keys[3], *keys, keys[3]]) == {keys[3]}
        assert connection.execute(select(func.count()).select_from(message_keys)).scalar() == 4
