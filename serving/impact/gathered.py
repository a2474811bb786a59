"""Gathered: what both reports, of impact and of the journey, are made from, read once; and what both say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from features.events import Events, utc
from features.history import read_events
from features.workspace import Workspace
from serving.experiments.moments import MIN_CUSTOMERS
from serving.experiments.ratio import chi_square
from serving.impact.kept import not_yet_kept
from serving.impact.period import Period, period
from serving.impact.population import Inside, Population, held_out_and_reached, population, segments

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]


@dataclass(frozen=True)
class Gathered:
    """`rows`: the events before the period ends, and before now; `members`: who was in which segment as it began."""

    workspace: Workspace
    now: datetime
    when: Period
    events: Events
    found: Population
    members: Inside

    @property
    def rows(self) -> ir.Table:
        return self.events.before(min(self.when.until, utc(self.now)))

    @property
    def people(self) -> ir.Table:
        """`customer`, whether `treated`, and the `place` by which `members` names them."""
        import ibis

        return ibis.memtable(self.found.table)

    def head(self, kind: str) -> Said:
        """What the report is about, when it was made, and the holdout."""
        settings = self.workspace.settings
        return {
            "kind": kind,
            "computed_at": utc(self.now).isoformat(timespec="seconds") + "Z",
            "from": self.when.first.isoformat(),
            "to": self.when.last.isoformat(),
            "timezone": settings.timezone,
            "currency": settings.currency,
            "holdout": self._holdout(settings.holdout),
            "population": {
                "customers": len(self.found.customers),
                "before": int(self.found.before.sum()),
                "came": int((~self.found.before).sum()),
                "left_out": self.found.left_out,
            },
        }

    def notes(self) -> list[str]:
        """What could not be told, and what makes the rest say too little."""
        late = not_yet_kept(self.workspace, self.when)
        lost = "what that was as the period began is not kept, so it is not told"
        return [
            *([late] if late else []),
            *(f"the segment {key!r} asks for a score; {lost}" for key in self.members.scored),
        ]

    def _holdout(self, share: float) -> Said:
        counts = self.found.counts
        reached = held_out_and_reached(self.rows, self.people, self.when)
        said: Said = {"share": share, "treated": counts[True], "held_out": counts[False], "reached": reached}
        if not share:
            why = (
                "there is no holdout, so nobody can say what would have been ordered anyway; `holdout: 0.05` in "
                "attune.yaml keeps 5 % of the customers out of everything personal from then on"
            )
            return said | {"sample_ratio": None, "why": why}
        split = chi_square(
            {"treated": counts[True], "held_out": counts[False]}, {"treated": 1 - share, "held_out": share}
        )
        ratio = {"p_value": split.p_value, "as_planned": not split.alarm, "why": split.why}
        few = f"the holdout has {counts[False]} customers and {counts[True]} are treated; each needs {MIN_CUSTOMERS}"
        return said | {"sample_ratio": ratio, "why": few if min(counts.values()) < MIN_CUSTOMERS else None}


def gather(workspace: Workspace, first: date | None, last: date | None, now: datetime) -> Gathered:
    """As of now, of the days from the first to the last in the workspace's zone.

    Without a first day it is the last 365 as far as there are events, without a last one it ends today. An error where
    there is no event at all, or the period is to come.
    """
    now = now.replace(microsecond=0)  # as it is stored: `attune verify` computes as of the same moment
    events = read_events(workspace)
    when = period(workspace, events, first, last, now)
    found = population(workspace, events, when, now)
    return Gathered(workspace, now, when, events, found, segments(workspace, events, when, found))
