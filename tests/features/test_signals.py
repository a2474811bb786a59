"""Signals: what came per source, name and day; a warning when one stops, doubles or loses a property, not otherwise."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from features.doctor import FINE, STALE, checked
from features.events import ITEM_CHANGED, Event
from features.history import close_days, record
from features.ledger import Ledger
from features.signals import DAYS, health
from features.workspace import Workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def send(ledger: Ledger, name: str, counts: dict[int, int], source: str = "web", **properties: object) -> None:
    """So many events of this name on each day before now, newest day 0."""
    record(
        ledger,
        [
            Event(
                source,
                f"{name}-{day}-{number}",
                name,
                (time := NOW - timedelta(days=day, hours=1, seconds=number)),
                time,
                customer="ann",
                properties=orjson.dumps(properties).decode() if properties else None,
            )
            for day, count in counts.items()
            for number in range(count)
        ],
    )


def always(count: int, **today: int) -> dict[int, int]:
    return dict.fromkeys(range(DAYS), count) | {int(day[1:]): number for day, number in today.items()}


def test_events_are_counted_by_source_name_and_day(shop: Workspace, ledger: Ledger) -> None:
    send(ledger, "Page Viewed", {0: 3, 1: 2, 27: 1, 30: 9})
    send(ledger, "Page Viewed", {0: 1}, source="app")
    found = {(one.source, one.name): one for one in health(shop, NOW).signals}
    assert found["web", "Page Viewed"].days == (3, 2, *[0] * 25, 1)
    assert found["app", "Page Viewed"].days == (1, *[0] * 27)
    assert found["web", "Page Viewed"].last == datetime(2026, 3, 1, 11)


def test_closed_days_count_too(shop: Workspace, ledger: Ledger) -> None:
    send(ledger, "Page Viewed", {0: 3, 1: 2})
    close_days(shop, NOW - timedelta(hours=20))
    (one,) = health(shop, NOW).signals
    assert one.days[:2] == (3, 2)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (always(20, d0=0), ["stopped: none in the last 24 hours, 20 a day are usual"]),
        (always(20, d0=60), ["doubled: 60 in the last 24 hours, 20 a day are usual"]),
        (always(20), []),
        (always(20, d0=35), []),
        (always(20, d0=60, d7=70), []),  # as on the same day of last week
        (always(20, d0=0, d7=0, d14=0), []),  # closed on this day of the week
        (always(2, d0=0), []),  # too few to tell
        ({0: 100}, []),  # new
    ],
)
def test_a_warning_says_what_stopped_or_doubled(
    shop: Workspace, ledger: Ledger, counts: dict[int, int], said: list[str]
) -> None:
    send(ledger, "Page Viewed", counts)
    (one,) = health(shop, NOW).signals
    assert list(one.warnings) == said


def test_the_catalogue_changes_when_it_changes(shop: Workspace, ledger: Ledger) -> None:
    send(ledger, ITEM_CHANGED, always(20, d0=0))
    assert not health(shop, NOW).warnings


def test_a_warning_says_which_property_was_lost(shop: Workspace, ledger: Ledger) -> None:
    before, today = dict.fromkeys(range(1, 15), 20), {0: 20}
    send(ledger, "Product Viewed", before, colour="green", size=3)
    send(ledger, "Product Viewed", today, colour="green")
    assert health(shop, NOW).warnings == [
        "web: Product Viewed: lost 'size': 0% of the last 24 hours have it, 100% before"
    ]


def test_the_doctor_says_it(shop: Workspace, ledger: Ledger) -> None:
    send(ledger, "Page Viewed", always(20))
    assert [(one.state, one.found) for one in signals(shop)] == [(FINE, "1 signals of 1 sources in 28 days")]
    send(ledger, "Order Completed", always(20, d0=0))
    assert [one.state for one in signals(shop)] == [STALE]
    assert "Order Completed: stopped" in signals(shop)[0].found


def signals(shop: Workspace) -> list[object]:
    return [one for one in checked(shop.folder, port=1, now=NOW) if one.what == "signals"]
