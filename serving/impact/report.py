"""The report of impact: what came of everything Attune did, stored as JSON in `.attune/reports/impact.json`.

    {"kind": "impact", "computed_at", "from", "to" (days, both included), "timezone", "currency",
     "holdout": {"share", "treated", "held_out" (customers), "reached" (of the holdout, by a message all the same),
                 "sample_ratio": {"p_value", "as_planned", "why"}, "why" (no increments, or null)},
     "population": {"customers", "before", "came", "left_out" (a line)},
     "outside": {"orders", "revenue", "cost"}      of nobody known, or of who did not agree: in no other number
     "margin": {"column" (or null), "covers" (share of the revenue, or null)},
     "total": ROW, "by": {"month": [ROW], "channel": [ROW], "campaign": [ROW], "segment": [ROW]},
     "campaigns", "channels": [{"key" (null: none named), "recipients" (customers), "metrics": {key: MEAN}}],
                   of a campaign also "experiment": null, or what the report of its test says (`tested`)
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
    MEAN  {"customers" (whose window has closed), "mean", "lower", "upper"}; of a time also "tau_days", "median" (days);
          of lifetime value also "realised" and "forecast" (money), "window_days", "horizon_days"; "untold": why it is
          null

The rows of month, channel and campaign add up to the total, and so do those of each group of segments. Numbers are null
where nothing can be said. Sums over customers only.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.catalog import read_catalog
from features.engine import held
from features.events import ORDERED
from features.workspace import Workspace
from serving.impact.beside import by_segment as treated_and_held_out
from serving.impact.breakdowns import Known, by_month, by_origin, by_segment, whole
from serving.impact.cost import costs
from serving.impact.engagement import by_origin as recipients
from serving.impact.engagement import measured
from serving.impact.gathered import Gathered, gather
from serving.impact.incremental import past
from serving.impact.orders import DIMENSIONS, EARLIER, FACTS, facts, lines, margin_column
from serving.impact.period import Period
from serving.impact.tested import with_tests

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
NAME = "impact"
UNPRICED = "margin is not known: catalog.csv has no column `cost`, what a unit costs you, or `margin`, what it earns"


def build(workspace: Workspace, first: date | None, last: date | None, now: datetime) -> Said:
    """The report as plain values, of the days from the first to the last (`gather`)."""
    gathered, metrics = gather(workspace, first, last, now), measured(workspace)
    increments = _increments(gathered, now)
    return (
        gathered.head(NAME)
        | increments
        | {
            "campaigns": with_tests(recipients(gathered, metrics, "campaign"), workspace, now),
            "channels": recipients(gathered, metrics, "channel"),
            "segments": treated_and_held_out(gathered, metrics),
            "metrics": {one.key: {"name": one.name, "hash": one.hash, "kind": one.kind} for one in metrics},
            "notes": [*gathered.notes(), *([] if increments["margin"]["column"] else [UNPRICED])],
        }
    )


def _increments(gathered: Gathered, now: datetime) -> Said:
    """What was ordered, and what of it would not have been; the orders are held no longer than that."""
    workspace, when, rows, people = gathered.workspace, gathered.when, gathered.rows, gathered.people
    catalog, spent = read_catalog(workspace), costs(workspace, rows, when, now)
    ordered, column = held(facts(rows, people, catalog, when).union(_spent(spent, people))), margin_column(catalog)
    known = Known(ordered, people, gathered.found.counts, past(ordered, people), margin=column is not None)
    return {
        "outside": _outside(rows, spent, people, when),
        "margin": {"column": column, "covers": _covers(ordered) if column else None},
        "total": whole(known),
        "by": {
            "month": by_month(known, when),
            "channel": by_origin(known, "channel"),
            "campaign": by_origin(known, "campaign"),
            "segment": by_segment(known, gathered.members, workspace.settings.holdout),
        },
    }


def _spent(spent: pa.Table, people: ir.Table) -> ir.Table:
    """What decisions about these customers cost, as facts."""
    import ibis

    rows = ibis.memtable(spent).semi_join(people, "customer")
    nothing = {name: ibis.literal(0.0) for name in FACTS[len(DIMENSIONS) + 2 : -1]}
    nowhere = {name: ibis.null("string") for name in DIMENSIONS if name != "channel"}
    return rows.mutate(**nowhere, **nothing).select(*FACTS)


def _covers(ordered: ir.Table) -> float | None:
    """The share of the money of orders and refunds of the period for which the margin is known."""
    inside = ordered.filter(ordered.month != EARLIER)
    (sums,) = inside.aggregate(covered=inside.covered.sum(), gross=inside.gross.sum()).to_pyarrow().to_pylist()
    return sums["covered"] / sums["gross"] if sums["gross"] else None


def _outside(rows: ir.Table, spent: pa.Table, people: ir.Table, when: Period) -> Said:
    """What was ordered in the period by nobody known, or by who did not agree; and what offers to them cost."""
    import ibis

    inside = lines(rows.filter(rows.time >= when.start), None).anti_join(people, "customer")
    bought = inside.name == ORDERED
    sums = inside.aggregate(
        orders=inside.order.nunique(where=bought), revenue=bought.ifelse(inside.money, -inside.money).sum()
    )
    (found,) = sums.to_pyarrow().to_pylist()
    cost = ibis.memtable(spent).anti_join(people, "customer").cost.sum().to_pyarrow().as_py()
    return {name: float(value or 0.0) for name, value in (found | {"cost": cost}).items()}
