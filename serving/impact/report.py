"""The report of impact: what came of everything Attune did, stored as JSON in `.attune/reports/impact.json`.

    {"kind": "impact", "computed_at", "from", "to" (days, both included), "timezone", "currency",
     "holdout": {"share", "treated", "held_out" (customers), "reached" (of the holdout, by a message all the same),
                 "sample_ratio": {"p_value", "as_planned", "why"}, "why" (no increments, or null)},
     "population": {"customers", "before", "came", "left_out" (a line)},
     "outside": {"orders", "revenue", "cost"}      of nobody known, or of who did not agree: in no other number
     "margin": {"column" (or null), "covers" (share of the revenue, or null)},
     "total": ROW, "by": {"month": [ROW], "channel": [ROW], "campaign": [ROW], "segment": [ROW]},
     "campaigns", "channels": [{"key" (null: none named), "recipients" (customers), "metrics": {key: MEAN}}],
     "segments": [{"group" (null: all), "key",
                   "metrics": {key: {"treated": MEAN, "held_out": MEAN, "difference", "lower", "upper", "p_value",
                                     "p_adjusted", "lift", "verdict"}}}],
     "metrics": {key: {"name", "hash", "kind"}},
     "notes": [lines]}

    ROW   {"key" (null: none), "orders": CELL, "revenue": CELL, "margin": CELL or null, "cost",
           "net": {"value", "lower", "upper", "verdict"} or null, "attributed": {"orders", "revenue"} or null}
          of a segment also "group" (its file), "customers": {"treated", "held_out"}, "why" ("": it may be believed)
    CELL  {"treated", "held_out" (sums), "per_treated", "per_held_out" (per customer), "incremental", "lower", "upper",
           "p_value", "p_adjusted" (of a breakdown), "lift", "lift_lower", "lift_upper", "verdict"}
    MEAN  {"customers" (whose window has closed), "mean", "lower", "upper"}; of a time also "tau_days", "median" (days)

The rows of month, channel and campaign add up to the total, and so do those of each group of segments. Numbers are null
where nothing can be said. Sums over customers only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.catalog import read_catalog
from features.engine import held
from features.events import ORDERED, utc
from features.history import read_events
from features.workspace import Workspace
from serving.experiments.ratio import chi_square
from serving.impact.breakdowns import Known, by_month, by_origin, by_segment, whole
from serving.impact.cost import costs
from serving.impact.engagement import by_origin as by_campaign
from serving.impact.engagement import by_segment as treated_and_held_out
from serving.impact.engagement import measured
from serving.impact.incremental import past
from serving.impact.orders import DIMENSIONS, EARLIER, FACTS, facts, lines, margin_column
from serving.impact.period import Period, period
from serving.impact.population import Population, held_out_and_reached, population, segments

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
NAME = "impact"


def build(workspace: Workspace, first: date | None, last: date | None, now: datetime) -> Said:
    """The report as plain values, as of now; of the days from the first to the last, in the workspace's zone.

    Without a first day it is the last 365 as far as there are events, without a last one it ends now. An error where
    there is no event at all.
    """
    import ibis

    events, catalog = read_events(workspace), read_catalog(workspace)
    when = period(workspace, events, first, last, now)
    found = population(workspace, events, when, now)
    rows = events.before(min(when.until, utc(now)))
    people, spent = ibis.memtable(found.table), costs(workspace, when)
    ordered = held(facts(rows, people, catalog, when).union(_spent(spent, people)))
    inside, scored = segments(workspace, events, when, found)
    column = margin_column(catalog)
    known = Known(ordered, people, found.counts, past(ordered, people), margin=column is not None)
    metrics, known_now = measured(workspace), events.before(now)
    holdout = _holdout(workspace, found, held_out_and_reached(rows, people, when))
    return {
        "kind": NAME,
        "computed_at": utc(now).isoformat(timespec="seconds") + "Z",
        "from": when.first.isoformat(),
        "to": when.last.isoformat(),
        "timezone": workspace.settings.timezone,
        "currency": workspace.settings.currency,
        "holdout": holdout,
        "population": {
            "customers": len(found.customers),
            "before": int(found.before.sum()),
            "came": int((~found.before).sum()),
            "left_out": found.left_out,
        },
        "outside": _outside(rows, people, when) | {"cost": sum(spent["cost"].to_pylist())},
        "margin": {"column": column, "covers": _covers(ordered) if column else None},
        "total": whole(known),
        "by": {
            "month": by_month(known, when),
            "channel": by_origin(known, "channel"),
            "campaign": by_origin(known, "campaign"),
            "segment": by_segment(known, ibis.memtable(inside), workspace.settings.holdout),
        },
        "campaigns": by_campaign(known_now, people, when, metrics, "campaign"),
        "channels": by_campaign(known_now, people, when, metrics, "channel"),
        "segments": treated_and_held_out(rows, people, ibis.memtable(inside), when, metrics),
        "metrics": {one.key: {"name": one.name, "hash": one.hash, "kind": one.kind} for one in metrics},
        "notes": list(_notes(column, scored)),
    }


def _spent(spent: pa.Table, people: ir.Table) -> ir.Table:
    """What decisions about these customers cost, as facts."""
    import ibis

    rows = ibis.memtable(spent).semi_join(people, "customer")
    nothing = {name: ibis.literal(0.0) for name in FACTS[len(DIMENSIONS) + 2 : -1]}
    nowhere = {name: ibis.null("string") for name in DIMENSIONS if name != "channel"}
    return rows.mutate(**nowhere, **nothing).select(*FACTS)


def _holdout(workspace: Workspace, found: Population, reached: int) -> Said:
    share, counts = workspace.settings.holdout, found.counts
    said: Said = {"share": share, "treated": counts[True], "held_out": counts[False], "reached": reached}
    if not share:
        why = (
            "there is no holdout, so nobody can say what would have been ordered anyway; `holdout: 0.05` in "
            "attune.yaml keeps 5 % of the customers out of everything personal from then on"
        )
        return said | {"sample_ratio": None, "why": why}
    split = chi_square({"treated": counts[True], "held_out": counts[False]}, {"treated": 1 - share, "held_out": share})
    ratio = {"p_value": split.p_value, "as_planned": not split.alarm, "why": split.why}
    few = f"the holdout has {counts[False]} customers and {counts[True]} are treated; at least 2 of each are needed"
    return said | {"sample_ratio": ratio, "why": few if min(counts.values()) < 2 else None}


def _covers(ordered: ir.Table) -> float | None:
    """The share of the money of orders and refunds of the period for which the margin is known."""
    inside = ordered.filter(ordered.month != EARLIER)
    (sums,) = inside.aggregate(covered=inside.covered.sum(), gross=inside.gross.sum()).to_pyarrow().to_pylist()
    return sums["covered"] / sums["gross"] if sums["gross"] else None


def _outside(rows: ir.Table, people: ir.Table, when: Period) -> Said:
    """What was ordered in the period by nobody known, or by who did not agree."""
    inside = lines(rows.filter(rows.time >= when.start), None).anti_join(people, "customer")
    bought = inside.name == ORDERED
    sums = inside.aggregate(
        orders=inside.order.nunique(where=bought), revenue=bought.ifelse(inside.money, -inside.money).sum()
    )
    (found,) = sums.to_pyarrow().to_pylist()
    return {"orders": float(found["orders"] or 0), "revenue": float(found["revenue"] or 0.0)}


def write(workspace: Workspace, report: Said) -> Path:
    """Stores the report; the file appears whole or not at all."""
    workspace.reports.mkdir(exist_ok=True)
    path = workspace.reports / f"{report['kind']}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    temporary.replace(path)
    return path


def stored(reports: Path, now: datetime, name: str = NAME) -> Said | None:
    """The stored report with its age in seconds, or None when none was made."""
    path = reports / f"{name}.json"
    if not path.is_file():
        return None
    report: Said = json.loads(path.read_text(encoding="utf-8"))
    made = datetime.fromisoformat(report["computed_at"])
    return report | {"age_seconds": max(0, int((utc(now) - utc(made)).total_seconds()))}


def _notes(column: str | None, scored: Sequence[str]) -> Iterator[str]:
    if column is None:
        yield "margin is not known: catalog.csv has no column `cost`, what a unit costs you, or `margin`, what it earns"
    for key in scored:
        yield f"the segment {key!r} asks for a score; what that was as the period began is not kept, so it is not told"
