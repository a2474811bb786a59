"""Gathered: all that a report is computed from, read once.

assign decisions + Experiment Viewed --> first exposure per customer --+--> who is within the plan
decide decisions joined with Experience Viewed (`shows`) ------^       +--> one row of values per customer
what the metrics ask of the events in the window after it -------------+
of a slot also Experience Clicked, once per customer ------------------+
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.consent import consented_customers, left_out
from features.engine import held
from features.events import Events, utc
from features.history import read_events
from features.ledger import Ledger
from features.words import many
from features.workspace import Workspace
from serving.experiments.by_channel import split_by_channel
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import (
    EXPERIENCE_CLICKED,
    Exposed,
    Seen,
    assigned,
    clicked,
    experienced,
    exposed,
    shown,
    viewed,
)
from serving.experiments.looks import Looks, Span, in_plan
from serving.experiments.metrics import Measure, Metric, chosen, read_metrics
from serving.experiments.moments import MIN_CUSTOMERS
from serving.experiments.returns import with_costs
from serving.experiments.segments import KINDS, kinds
from serving.experiments.values import PEOPLE, Columns, capped, columns, values
from serving.experiments.variants import DRAWN, drawn, ranked

if TYPE_CHECKING:
    import ibis.expr.types as ir

CLICKS = Metric(key="click", name="Clicked what it showed", numerator=Measure(event=EXPERIENCE_CLICKED, sum="any"))
CLICKED = "clicked"  # its column: of a slot, who clicked is known by the decisions that were clicked


class NotBegunError(ValueError):
    """The first day of a test is to come."""


@dataclass(frozen=True)
class Gathered:
    """The exposed customers of a test, what they did, and how far the test has come.

    `people`: those whom the plan counts; `beyond` came after it had its size. `rows`: the table of values. `allowed`:
    who agreed to analytics.
    """

    experiment: Experiment
    now: datetime
    found: Exposed
    people: pa.Table
    beyond: int
    events: ir.Table
    rows: ir.Table
    told: Sequence[Columns]
    looks: Looks
    allowed: Set[str]
    left_out: str

    @property
    def primary(self) -> list[str]:
        """The keys of the primary metrics, of a slot also its clicks."""
        return [*self.experiment.primary, *([CLICKS.key] if self.experiment.shows is not None else [])]

    @property
    def known(self) -> dict[str, Metric]:
        return {one.metric.key: one.metric for one in self.told}

    @cached_property
    def counts(self) -> dict[str, int]:
        """Customers by arm."""
        return {arm: len(firsts) for arm, firsts in self.firsts.items()}

    @cached_property
    def firsts(self) -> dict[str, NDArray[np.datetime64]]:
        """By arm the first exposures in their order."""
        arms, firsts = self.people["arm"].to_numpy(zero_copy_only=False), self.people["first"].to_numpy()
        return {arm: firsts[arms == arm] for arm in self.experiment.arms}

    def closed(self, arm: str) -> int:
        """The customers of the arm whose windows have closed, of every metric but those of time."""
        window = max((one.window for one in self.told if one.metric.kind != "time"), default=timedelta())
        return int((self.firsts[arm] <= np.datetime64(utc(self.now) - window)).sum())

    @cached_property
    def capped(self) -> ir.Table:
        """The values, the metrics' caps applied over all arms, days and segments alike."""
        return capped(self.rows, self.told)

    def columns(self, keys: Iterable[str], kinds: Sequence[str]) -> list[Columns]:
        """Where the metrics of these keys stand that are of one of these kinds."""
        wanted = set(keys)
        return [one for one in self.told if one.metric.key in wanted and one.metric.kind in kinds]


def gather(workspace: Workspace, experiment: Experiment, now: datetime) -> Gathered:
    """As of now; an error where the test has not begun, or an arm has nobody."""
    import ibis

    begun, closes = span_of(workspace, experiment, now)
    metrics = chosen(read_metrics(workspace.folder), experiment.measured, f"experiment {experiment.key!r}")
    ledger, events = Ledger.at(workspace.ledger), read_events(workspace)
    experiment, metrics = split_by_channel(experiment, metrics, events.before(now))
    seen = list(_within(_seen(ledger, events, experiment, now), begun, closes))
    allowed = set(consented_customers(ledger, purpose="analytics", as_of=now))
    everybody = {customer for customer, _, _ in seen}
    found = exposed((one for one in seen if one[0] in allowed), experiment.arms)
    refused = left_out(len(everybody), len(everybody - allowed), "analytics")
    enough(experiment, [arm for arm, _ in found.first.values()], beside=f"; {refused}" if everybody - allowed else "")
    plan, zone = experiment.planned, ZoneInfo(workspace.settings.timezone)
    span = Span(begun or min(first for _, first in found.first.values()), closes, zone)
    people = _divided(workspace, experiment, events, in_plan(people_of(found), plan, span), now)
    enough(experiment, people["arm"].to_pylist(), " within the plan")
    told, people = _measured(experiment, metrics, people, clicked_by(ledger, events, experiment, found, now))
    people = with_costs(workspace, events.before(now), people, told, now)
    asked = [one for one in told if one.metric is not CLICKS]
    return Gathered(
        experiment=experiment,
        now=now,
        found=found,
        people=people,
        beyond=len(found.first) - people.num_rows,
        events=events.before(now),
        rows=held(values(events.before(now), ibis.memtable(people), asked)),
        told=told,
        looks=Looks.of(plan, people, span, timedelta(days=experiment.window_days), now),
        allowed=allowed,
        left_out=refused,
    )


def span_of(workspace: Workspace, experiment: Experiment, now: datetime) -> tuple[datetime | None, datetime | None]:
    """From when to when customers are assigned, UTC without a zone; None where it is not said.

    A test whose first day is to come is an error.
    """
    zone = ZoneInfo(workspace.settings.timezone)
    after = None if experiment.end is None else experiment.end + timedelta(days=1)
    days = (experiment.start, after)
    start, closes = (None if day is None else utc(datetime.combine(day, clock(), zone)) for day in days)
    if start is not None and start > utc(now):
        raise NotBegunError(
            f"experiment {experiment.key!r} starts on {experiment.start}, which is to come: there is nothing to report "
            f"before {many(experiment.window_days, 'day')} after that"
        )
    return start, closes


def _within(seen: Iterable[Seen], start: datetime | None, closes: datetime | None) -> Iterator[Seen]:
    """Those of the experiment's days: what an app shows before the first or after the last is no exposure."""
    return (one for one in seen if (start is None or one[2] >= start) and (closes is None or one[2] < closes))


def people_of(found: Exposed) -> pa.Table:
    """The exposed customers, with arm and first exposure."""
    rows = [(who, arm, first) for who, (arm, first) in found.first.items()]
    return pa.Table.from_pylist([dict(zip(PEOPLE.names, row, strict=True)) for row in rows], schema=PEOPLE)


def clicked_by(ledger: Ledger, events: Events, experiment: Experiment, found: Exposed, now: datetime) -> list[str]:
    """The exposed customers who clicked what a slot showed, within the window after the exposure."""
    if experiment.shows is None:
        return []
    window = timedelta(days=experiment.window_days)
    clicks = clicked(ledger, events, experiment.shows, now)
    seen = ((who, time, found.first[who][1]) for who, _, time in clicks if who in found.first)
    return sorted({who for who, time, first in seen if first <= time < first + window})


def _divided(workspace: Workspace, experiment: Experiment, events: Events, people: pa.Table, now: datetime) -> pa.Table:
    """The people, with the segments that each was in and what of a content each was drawn, where that is asked."""
    if experiment.segments:
        people = people.append_column(KINDS, kinds(workspace, experiment, events, people))
    if experiment.shows is not None and ranked(experiment.shows):
        decisions = shown(Ledger.at(workspace.ledger), events, experiment.shows, now)
        people = people.append_column(DRAWN, drawn(decisions, people["customer"].to_pylist()))
    return people


def _measured(
    experiment: Experiment, metrics: Sequence[Metric], people: pa.Table, clickers: Sequence[str]
) -> tuple[list[Columns], pa.Table]:
    """Where each metric stands; of a slot also its clicks, with who clicked beside the people."""
    told = columns(metrics, experiment.window_days)
    if experiment.shows is None:
        return told, people
    did = pa.array(np.isin(people["customer"].to_numpy(), clickers).astype(float))
    window = timedelta(days=experiment.window_days)
    return [*told, Columns(CLICKS, CLICKED, window)], people.append_column(CLICKED, did)


def _seen(ledger: Ledger, events: Events, experiment: Experiment, now: datetime) -> list[Seen]:
    if experiment.shows is not None:
        return list(experienced(ledger, events, experiment.shows, now))
    return [*assigned(ledger, experiment.key, now), *viewed(events, experiment.key, now)]


def enough(experiment: Experiment, arms: Sequence[str], which: str = "", beside: str = "") -> None:
    """A test needs customers in each arm; where none are, it is said where they come from, and who is missing."""
    counts = {arm: arms.count(arm) for arm in experiment.arms}
    invited = [arm for arm, share in experiment.arms.items() if share > 0]
    if min(counts[arm] for arm in invited) < MIN_CUSTOMERS:
        raise ValueError(
            f"experiment {experiment.key!r} has {counts} exposed customers{which}; at least {MIN_CUSTOMERS} per arm "
            "are needed. They come from POST /v1/experiments/{key}/assign and from 'Experiment Viewed' events of the "
            f"log; with `shows` from 'Experience Viewed' events that name a decision of POST /v1/decide{beside}"
        )
