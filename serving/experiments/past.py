"""Past: what customers did in the days before now, as an experiment of this kind would have found them.

                 days in which customers are seen      the metric's window, closed by now
    |------------------------------------------------|----------------------------------|
      first event of a customer: seen, and the window of that customer begins                now

Who is seen is in the experiment when the audience, the layer and the global holdout let them; and agreed to analytics,
because nobody else counts. What a customer did is measured as the report measures it: windows, caps, the own past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from features.catalog import read_catalog
from features.conditions import matching
from features.conditions.grammar import Score, leaves
from features.consent import consented_customers
from features.engine import held
from features.events import Events, utc
from features.history import read_events
from features.ledger import Ledger
from features.workspace import Workspace
from serving.experiments.assignment import HELD_OUT, outside
from serving.experiments.definitions import Experiment
from serving.experiments.deviations import ALL, Spread, spreads
from serving.experiments.metrics import Metric
from serving.experiments.moments import MIN_CUSTOMERS
from serving.experiments.values import PEOPLE, Columns, columns, values
from training.recommenders.own import Own
from training.release import current, load_release
from training.uplift.scores import score_tables

if TYPE_CHECKING:
    import ibis.expr.types as ir

SEEN_DAYS = 28  # in which customers are gathered where no days are planned: four whole weeks
TICK = timedelta(microseconds=1)  # what a customer was seen by is no outcome: a log of orders would convert everybody


@dataclass(frozen=True)
class Past:
    """`arrived`: per day, the first one first, how many customers were seen who had not been before in these days.

    `until`: when the days end of which customers count. `held_out`: how many more the global holdout keeps out.
    """

    until: datetime
    arrived: tuple[int, ...]
    held_out: int
    spreads: Mapping[str, Spread]
    untold: Mapping[str, str] = field(default_factory=dict)  # by metric why it cannot be planned

    @property
    def customers(self) -> int:
        return sum(self.arrived)

    def by(self, days: int) -> float:
        """How many customers so many days would bring; beyond those that were looked at, as many a day as lately."""
        known = len(self.arrived)
        return float(sum(self.arrived[:days]) + max(0, days - known) * self._lately)

    def days(self, customers: float) -> int | None:
        """How many days would bring so many customers; None where nobody new comes any more."""
        reached = np.cumsum(self.arrived)
        if reached[-1] >= customers:
            return int(np.searchsorted(reached, customers)) + 1
        if not self._lately:
            return None
        return len(self.arrived) + int(np.ceil((customers - reached[-1]) / self._lately))

    @property
    def _lately(self) -> float:
        """New customers a day, in the last week."""
        return float(np.mean(self.arrived[-7:]))


def read_past(
    workspace: Workspace, experiment: Experiment, metrics: Sequence[Metric], now: datetime, days: int = SEEN_DAYS
) -> Past:
    """What the workspace's history says; an error in one line where it says nothing of such a time."""
    measured = [one for one in metrics if one.kind != "return"]  # what offers will cost is not in the past
    told = columns(measured, experiment.window_days)
    window = max(one.window for one in told)
    ledger, rows = Ledger.at(workspace.ledger), (events := read_events(workspace)).before(now)
    rows = rows.filter(~rows.machine)
    first, last = _ends(rows)
    until = min(utc(now), last + TICK) - window if last is not None else utc(now)
    days = min(days, 0 if first is None else (until - first).days)
    if days < 1:
        reaches = "is empty" if first is None or last is None else f"reaches from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        raise ValueError(
            f"experiment {experiment.key!r} cannot be planned: the history {reaches}; {window.days} days in which "
            "values are measured, and a day before them in which customers are seen, are needed"
        )
    allowed = set(consented_customers(ledger, purpose="analytics", as_of=now))
    seen = _seen(rows, until - timedelta(days=days), until)
    asked = _asked(workspace, experiment, events, until)
    wanted = allowed if asked is None else allowed & asked
    seen = {who: time for who, time in seen.items() if who in wanted}
    share = workspace.settings.holdout
    away = {who: outside(experiment, who, share) for who in seen}
    inside = {who: time for who, time in seen.items() if away[who] is None}
    if len(inside) < MIN_CUSTOMERS:
        raise ValueError(
            f"experiment {experiment.key!r} cannot be planned: of {len(seen):,} customers who were seen in {days} days "
            f"until {until:%Y-%m-%d}, agreed to analytics and are of its audience, {len(inside):,} would be in it"
        )
    numbers = Counter((time - (until - timedelta(days=days))).days for time in inside.values())
    return Past(
        until,
        tuple(numbers[day] for day in range(days)),
        sum(one == HELD_OUT for one in away.values()),
        *spreads(_table(rows, inside, told), told, until + window + timedelta(days=1)),
    )


def _ends(rows: ir.Table) -> tuple[datetime | None, datetime | None]:
    (found,) = rows.aggregate(first=rows.time.min(), last=rows.time.max()).to_pyarrow().to_pylist()
    return found["first"], found["last"]


def _seen(rows: ir.Table, start: datetime, end: datetime) -> dict[str, datetime]:
    """The customers, and devices that nobody identified on, of these days, with the moment of their first event."""
    days = rows.filter(rows.time >= start, rows.time < end).mutate(who=rows.customer.coalesce(rows.anonymous))
    found = days.filter(days.who.notnull()).group_by("who").aggregate(first=days.time.min()).to_pyarrow()
    return dict(zip(found["who"].to_pylist(), found["first"].to_pylist(), strict=True))


def _asked(workspace: Workspace, experiment: Experiment, events: Events, as_of: datetime) -> set[str] | None:
    """The customers for whom the audience holds, with the scores of the released uplift model; None: everybody."""
    if experiment.audience is None:
        return None
    folder = current(workspace, "uplift")
    stored = None if folder is None else load_release(folder, Own.of(workspace)).effects
    scores = score_tables(stored, {leaf.score for leaf in leaves(experiment.audience) if isinstance(leaf, Score)})
    return set(matching(experiment.audience, events, as_of, scores=scores, catalog=read_catalog(workspace)))


def _table(rows: ir.Table, inside: Mapping[str, datetime], told: Sequence[Columns]) -> ir.Table:
    """What each of them did, all in one arm."""
    import ibis

    people = [{"customer": who, "arm": ALL, "first": time + TICK} for who, time in inside.items()]
    return held(values(rows, ibis.memtable(pa.Table.from_pylist(people, schema=PEOPLE)), told))
