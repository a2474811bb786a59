"""Who came again, by hand: the month is that of Berlin, where ann's order of 31 January, 23:30 UTC is of February.

        Jan   Feb   Mar
bob     buys  twice buys
cid     buys
dan           buys  buys
ann           buys
eve     did not agree
"""

from datetime import UTC, datetime

import ibis
import pyarrow as pa

from features.events import ORDERED, SCHEMA, Event, Events
from serving.impact.retention import MOST, cohorts

NOW = datetime(2026, 3, 20, tzinfo=UTC)
ORDERS = {
    "bob": ("01-05T12:00", "02-01T12:00", "02-20T12:00", "03-01T12:00"),
    "cid": ("01-31T22:30",),
    "dan": ("02-10T12:00", "03-10T12:00"),
    "ann": ("01-31T23:30",),
    "eve": ("01-01T12:00", "02-01T12:00"),
}


def log(orders: dict[str, tuple[str, ...]]) -> ibis.Table:
    rows = []
    for who, moments in orders.items():
        for moment in moments:
            time = datetime.fromisoformat(f"2026-{moment}" if len(moment) < 16 else moment)
            rows.append(Event("test", f"{who}-{moment}", ORDERED, time, time, customer=who, live=False).row())
    return Events.of(pa.Table.from_pylist(rows, schema=SCHEMA)).before(NOW)


def people(*names: str) -> ibis.Table:
    return ibis.memtable(pa.table({"customer": list(names)}))


def test_each_month_counts_the_customers_who_came_again() -> None:
    assert cohorts(log(ORDERS), people("ann", "bob", "cid", "dan"), "Europe/Berlin", NOW) == [
        {"cohort": "2026-01", "customers": 2, "again": [1, 1]},
        {"cohort": "2026-02", "customers": 2, "again": [1]},
    ]


def test_the_newest_cohorts_are_told_and_of_no_order_none() -> None:
    moments = {
        f"c{year}{month:02}": (f"{year}-{month:02}-10T12:00",) for year in (2024, 2025) for month in range(1, 13)
    }
    found = cohorts(log(moments), people(*moments), "UTC", NOW)
    assert [one["cohort"] for one in found] == [f"2025-{month:02}" for month in range(1, 13)]
    assert all(one["customers"] == 1 and sum(one["again"]) == 0 and len(one["again"]) <= MOST for one in found)
    assert cohorts(log(ORDERS), people("nobody"), "UTC", NOW) == []
