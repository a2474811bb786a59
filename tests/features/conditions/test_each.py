"""Each as of a moment of their own: one query finds what a query per moment does, on odd logs.

Ten customers on three devices over five days around a change of the clock: rows at the very edges of days, some
received late, some a machine's, devices that several share, and aliases that merge customers on the way.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.catalog import Catalog
from features.conditions import members, members_each, parsed
from features.events import IDENTIFIED, ORDERED, SCHEMA, VIEWED, Events
from features.identity import Alias, Identity

SEEDS = 6
DAY, TICK, HOUR = timedelta(days=1), timedelta(microseconds=1), timedelta(hours=1)
START = datetime(2026, 3, 27)  # UTC without a zone; two days before the clock changes in Berlin, at 1 UTC
WITHIN = [0 * DAY, TICK, -TICK, HOUR, HOUR - TICK, DAY / 2, DAY - HOUR]
CUSTOMERS = [f"c{number}" for number in range(10)]
CATALOG = Catalog.of(pd.DataFrame({"item": ["tea", "coffee"], "category": ["teas", "coffees"]}))
DEVICES = ["phone", "tab", "c9"]  # of which one is called like a customer
ASKED = {
    name: parsed(raw)
    for name, raw in {
        "viewed": {"event": VIEWED},
        "never": {"not": {"event": VIEWED}},
        "lately": {"event": VIEWED, "within": "1d"},
        "before": {"event": VIEWED, "before": "1h", "within": "2d"},
        "twice": {"event": ORDERED, "count": {"at_least": 2}, "within": "3d"},
        "paid": {"event": ORDERED, "money": {"at_least": 20}},
        "since": {"event": VIEWED, "since": {"event": ORDERED}, "same": "item", "count": {"at_least": 2}},
        "fixed": {"event": VIEWED, "since": "2026-03-29", "count": {"at_most": 0}},
        "loves tea": {"event": VIEWED, "where": {"category": {"is": "teas"}}, "within": "2d"},
        "city": {"trait": "city", "is": "Lyon"},
        "source": {"trait": "last_campaign", "exists": True},
    }.items()
}


def odd(seed: int) -> tuple[Events, pa.Table]:
    rng = np.random.default_rng(seed)

    def one(*options: Any) -> Any:
        return options[rng.integers(len(options))]

    def row(number: int) -> dict[str, Any]:
        name, time = one(VIEWED, VIEWED, ORDERED, IDENTIFIED), START + int(rng.integers(6)) * DAY + one(*WITHIN)
        blank = dict.fromkeys(SCHEMA.names) | {"source": "a", "message_id": f"m{number}", "line": 0, "quantity": 1.0}
        known = {"customer": one(None, *CUSTOMERS), "anonymous": one(None, None, *DEVICES), "live": one(True, False)}
        late = {"received_at": time + one(0 * DAY, 0 * DAY, TICK, DAY, 3 * DAY), "machine": one(True, *[False] * 8)}
        told = {"properties": one('{"city": "Lyon"}', '{"city": "Bonn"}', None)} if name == IDENTIFIED else {}
        sold = {"item": one("tea", "coffee", None), "price": one(10.0, None), "order_id": one("o1", "o2", None)}
        return blank | known | {"name": name, "time": time, "campaign": one(None, "spring")} | late | told | sold

    aliases = [
        Alias(one(*CUSTOMERS[:6], "phone"), one(*CUSTOMERS[:6]), START + int(rng.integers(6)) * DAY + one(*WITHIN))
        for _ in range(int(rng.integers(5)))
    ]
    aliases = sorted((edge for edge in aliases if edge.previous != edge.customer), key=lambda edge: edge.time)
    rows = pa.Table.from_pylist([row(number) for number in range(150)], schema=SCHEMA)
    events = Events.of(rows, Identity(tuple(aliases), devices=bool(rng.integers(2))))
    who = [*CUSTOMERS, "nobody", "phone"]
    when = pa.array([START + int(rng.integers(7)) * DAY for _ in who], pa.timestamp("us"))
    return events, pa.table({"customer": who, "moment": when})


def as_of_each(moments: pa.Table) -> list[tuple[datetime, list[str]]]:
    found: dict[datetime, list[str]] = {}
    for who, moment in zip(*(column.to_pylist() for column in moments.columns), strict=True):
        found.setdefault(moment, []).append(who)
    return list(found.items())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_rows_of_each_are_those_that_were_theirs_before_their_own_moment(seed: int) -> None:
    events, moments = odd(seed)
    found = events.before_each(moments).select("customer", "message_id", "moment").to_pyarrow().to_pylist()
    expected = []
    for moment, who in as_of_each(moments):
        rows = events.before(moment)
        own = rows.filter(rows.customer.isin(who)).select("customer", "message_id").to_pyarrow().to_pylist()
        expected += [(one["customer"], one["message_id"], moment) for one in own]
    assert sorted((one["customer"], one["message_id"], one["moment"]) for one in found) == sorted(expected)
    assert expected


def test_each_is_in_what_a_query_of_their_own_moment_finds() -> None:
    events, moments = odd(0)
    found = members_each(ASKED, events, moments, catalog=CATALOG)
    told = dict(zip(found.customers.to_pylist(), found.inside.tolist(), strict=True))
    assert sorted(told) == sorted(moments["customer"].to_pylist())
    for moment, who in as_of_each(moments):
        one = members(ASKED, events, moment, among=pa.array(who), catalog=CATALOG)
        assert {name: told[name] for name in who} == dict(
            zip(one.customers.to_pylist(), one.inside.tolist(), strict=True)
        )
    assert found.inside.any(axis=0).sum() > 8
