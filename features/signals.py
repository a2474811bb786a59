"""Signals: is the tracking healthy? Live events per source, name and day, and what stopped, doubled or lost a property.

day 0 is the last 24 hours, day 1 the 24 before, ...            so that no day is half over
usual = the median of days 1 to 14
stopped     none in day 0, where 10 are usual; not where there was none a week and two weeks ago either
doubled     at least twice what is usual, and more than in any of these days
lost        a property that half of the events of days 1 to 7 had, and now less than a fifth of that share has
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from features.events import ITEM_CHANGED, utc
from features.history import read_events
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAYS = 28
USUAL = range(1, 15)
BEFORE = range(1, 8)
LEAST = 10  # events a day: below, chance alone stops and doubles
SEEN = 3  # days on which something came before anything is usual
SHOWN = 200  # names, the commonest; a source may send a million
COLUMNS = ("customer", "item", "price", "order_id")  # properties that have their own column


@dataclass(frozen=True)
class Signal:
    """The events of one name of one source: how many on each day, newest first, and what is wrong."""

    source: str
    name: str
    days: tuple[int, ...]
    last: datetime
    warnings: tuple[str, ...] = ()

    @property
    def usual(self) -> float:
        return float(median(self.days[day] for day in USUAL))


@dataclass(frozen=True)
class Health:
    """The signals by source and name, as of a moment; `more` names are not among them."""

    as_of: datetime
    signals: tuple[Signal, ...]
    more: int = 0

    @property
    def warnings(self) -> list[str]:
        return [f"{one.source}: {one.name}: {said}" for one in self.signals for said in one.warnings]


def health(workspace: Workspace, now: datetime) -> Health:
    """What came in the last 28 days, and what is wrong with it."""
    moment = utc(now)
    live = read_events(workspace).before(moment)
    live = live.filter(live.live, live.received_at >= moment - timedelta(days=DAYS))
    live = live.mutate(day=_age(live.received_at, moment))
    counted = live.group_by("source", "name", "day").aggregate(count=live.count(), last=live.received_at.max())
    days: dict[tuple[str, str], dict[int, int]] = {}
    last: dict[tuple[str, str], datetime] = {}
    for row in counted.to_pyarrow().to_pylist():
        key = (row["source"], row["name"])
        days.setdefault(key, {})[row["day"]] = row["count"]
        last[key] = max(last.get(key, row["last"]), row["last"])
    commonest = sorted(days, key=lambda key: -sum(days[key].values()))[:SHOWN]
    lost = _lost(live, days, set(commonest))
    found = (_signal(key, days[key], last[key], lost.get(key, [])) for key in sorted(commonest))
    return Health(moment, tuple(found), len(days) - len(commonest))


def _age(time: ir.TimestampValue, moment: datetime) -> ir.IntegerValue:
    """Whole days before the moment."""
    import ibis

    seconds = ibis.literal(moment).cast("timestamp").epoch_seconds() - time.epoch_seconds()
    return (seconds // 86_400).cast("int64").clip(0, DAYS - 1)


def _signal(key: tuple[str, str], counts: Mapping[int, int], last: datetime, lost: list[str]) -> Signal:
    signal = Signal(*key, tuple(counts.get(day, 0) for day in range(DAYS)), last)
    return Signal(*key, signal.days, last, (*_changed(signal), *lost))


def _changed(signal: Signal) -> Iterator[str]:
    today, before = signal.days[0], [signal.days[day] for day in USUAL]
    if signal.name == ITEM_CHANGED:  # a feed comes when it comes
        return
    if signal.usual < LEAST or sum(count > 0 for count in before) < SEEN:
        return
    if today == 0 and (signal.days[7] or signal.days[14]):
        yield f"stopped: none in the last 24 hours, {signal.usual:,.0f} a day are usual"
    if today >= 2 * signal.usual and today > max(before):
        yield f"doubled: {today:,} in the last 24 hours, {signal.usual:,.0f} a day are usual"


def _lost(
    live: ir.Table, days: Mapping[tuple[str, str], Mapping[int, int]], among: set[tuple[str, str]]
) -> dict[tuple[str, str], list[str]]:
    """Per source and name the properties that its events had until yesterday."""
    having: dict[tuple[str, str, str], list[int]] = {}
    for row in _properties(live):
        key = (row["source"], row["name"])
        if key in among and row["count"]:
            pair = having.setdefault((*key, row["property"]), [0, 0])
            pair[row["now"]] += row["count"]
    found: dict[tuple[str, str], list[str]] = {}
    for (source, name, known), (before, today) in sorted(having.items()):
        counts = days[source, name]
        earlier, now = sum(counts.get(day, 0) for day in BEFORE), counts.get(0, 0)
        if now >= LEAST and earlier >= LEAST and before >= earlier / 2 and today / now < 0.2 * before / earlier:
            said = f"lost {known!r:.60}: {today / now:.0%} of the last 24 hours have it, {before / earlier:.0%} before"
            found.setdefault((source, name), []).append(said)
    return found


def _properties(live: ir.Table) -> list[dict[str, Any]]:
    """How many events had a property: `now` 1 in the last 24 hours, 0 in the 7 days before."""
    import ibis

    lately = live.filter(live.day <= max(BEFORE))
    lately = lately.mutate(now=(lately.day == 0).cast("int64"))
    keys = ibis.udf.scalar.builtin(_json_keys, name="json_keys", signature=(("string",), "array<string>"))
    told = lately.filter(lately.properties.notnull())
    told = told.select("source", "name", "now", property=keys(told.properties).unnest())
    groups = ("source", "name", "now", "property")
    rows: list[dict[str, Any]] = told.group_by(*groups).aggregate(count=told.count()).to_pyarrow().to_pylist()
    counts = {name: lately[name].notnull().sum() for name in COLUMNS}
    for row in lately.group_by("source", "name", "now").aggregate(**counts).to_pyarrow().to_pylist():
        rows += [{**row, "property": name, "count": row[name]} for name in COLUMNS]
    return rows


def _json_keys(properties: ir.StringValue) -> ir.ArrayValue:
    """DuckDB's own."""
