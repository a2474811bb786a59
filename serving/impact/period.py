"""Period: the days that a report is about, and their months, in the workspace's zone.

>>> from zoneinfo import ZoneInfo
>>> whole = Period.of(date(2026, 3, 15), date(2026, 4, 10), ZoneInfo("Europe/Berlin"))
>>> whole.start, whole.until  # summer time begins on 29 March
(datetime.datetime(2026, 3, 14, 23, 0), datetime.datetime(2026, 4, 10, 22, 0))
>>> whole.months
('2026-03', '2026-04')
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.events import Events, utc
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAYS = 365  # of a report that names no first day


@dataclass(frozen=True)
class Period:
    """From the beginning of the first day to the end of the last one; moments are UTC without a zone.

    `edges`: the beginnings of the months after the first, so that `months` has one more.
    """

    first: date
    last: date
    start: datetime
    until: datetime
    edges: tuple[datetime, ...]
    months: tuple[str, ...]

    @classmethod
    def of(cls, first: date, last: date, zone: ZoneInfo) -> Period:
        """The days from the first to the last, both included."""
        if last < first:
            raise ValueError(f"--to {last} is before --from {first}; the period has to end after it begins")
        starts = list(_months(first, last))
        edges = tuple(_moment(one, zone) for one in starts[1:])
        return cls(
            first,
            last,
            _moment(first, zone),
            _moment(last + timedelta(days=1), zone),
            edges,
            tuple(f"{one:%Y-%m}" for one in starts),
        )

    def month(self, time: ir.TimestampValue) -> ir.IntegerValue:
        """The place of the month that a moment of the period lies in."""
        import ibis

        place = ibis.literal(0, "int64")
        for edge in self.edges:
            place += (time >= edge).cast("int64")
        return place

    def place(self, time: datetime) -> int:
        """The same of one moment."""
        return sum(time >= edge for edge in self.edges)


def period(workspace: Workspace, events: Events, first: date | None, last: date | None, now: datetime) -> Period:
    """The days asked for; without a first day the last 365 of them, as far as there are events."""
    zone, span = ZoneInfo(workspace.settings.timezone), events.span()
    if span is None:
        raise ValueError(f"{workspace.folder}: there are no events yet; import some (attune import), or send signals")
    today = utc(now).replace(tzinfo=UTC).astimezone(zone).date()
    last = last or today
    began = span[0].replace(tzinfo=UTC).astimezone(zone).date()
    found = Period.of(first or min(last, max(began, last - timedelta(days=DAYS - 1))), last, zone)
    if found.start > utc(now):
        raise ValueError(f"--from {found.first} is to come; there is nothing to report before it")
    return found


def _months(first: date, last: date) -> Iterator[date]:
    at = first.replace(day=1)
    while at <= last:
        yield at
        at = (at + timedelta(days=31)).replace(day=1)


def _moment(day: date, zone: ZoneInfo) -> datetime:
    return utc(datetime.combine(day, clock(), zone))
