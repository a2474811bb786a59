"""Journey: how far customers come from the first touch to the second order, and what of it the global holdout says was
caused; stored as JSON in `.attune/reports/journey.json`.

    touch -> visit -> view -> cart -> order -> repeat

Whoever took a later step has taken those before it: an order without a recorded view is one of a customer who looked.
Shares are of the step before, with Wilson's interval. The increment is that of `incremental`, of 1 for who came so far.
Times are medians over those of whom both steps were seen, in this order, with the interval of the order statistics.

    {... the same head as the report of impact ("kind": "journey"), "notes",
     "steps": [{"key", "name"}],
     "rows": [{"by": "all", "source" or "segment", "group" (of segments: their file), "key",
               "customers": {"treated", "held_out"}, "why" ("": the increments may be believed), "steps": [STEP]}],
     "cohorts": [{"cohort" (month of the first order), "customers", "again": [customers, per month after it]}]}

    STEP  {"step", "customers", "share" (of the step before; of the first: of all), "lower", "upper",
           "lost" (customers since the step before), "days", "days_lower", "days_upper" (median since the step before),
           "timed" (customers), "treated", "held_out" (shares of all of them), "incremental" (customers),
           "incremental_lower", "incremental_upper", "p_value", "p_adjusted", "verdict"}

The source is the channel, and the campaign where one is named, of the first thing that a customer ever did. It and the
segment were so before the period, or before anything was sent, so that treated and holdout compare in each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from features.events import ADDED, ENGAGED, ORDERED, PAGE, REMOVED, VIEWED, utc
from features.workspace import Workspace
from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.experiments.ratio import chi_square
from serving.impact.gathered import Gathered, gather
from serving.impact.incremental import NOTHING_TO_SAY, compared
from serving.impact.population import SENT
from serving.impact.retention import cohorts

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
Flags = NDArray[np.bool_]
NAME = "journey"
STEPS = {
    "touch": "First touch",
    "visit": "Visit",
    "view": "Product view",
    "cart": "Cart",
    "order": "Order",
    "repeat": "Repeat order",
}
VISITS = (PAGE, ENGAGED, VIEWED, ADDED, REMOVED)
MOST = 30  # sources; what is smaller is one
OTHERS, UNKNOWN = "all others", "unknown"
DAY = 86_400e6  # microseconds
EVERYBODY = ("all", None, "all")


@dataclass(frozen=True)
class Walked:
    """Per customer of the population when they first took each step (NaT: not seen), and their source."""

    customers: pa.Array
    treated: Flags
    times: NDArray[np.datetime64]  # customers x steps
    source: NDArray[np.object_]

    @property
    def reached(self) -> Flags:
        """Customers x steps: whether they came so far."""
        seen = ~np.isnat(self.times)
        return np.logical_or.accumulate(seen[:, ::-1], axis=1)[:, ::-1]


def build(workspace: Workspace, first: date | None, last: date | None, now: datetime) -> Said:
    """The report as plain values, of the days from the first to the last (`gather`)."""
    gathered = gather(workspace, first, last, now)
    walked = _walked(gathered)
    rows = [
        {"by": by, "group": group, "key": key} | _row(walked, inside, workspace.settings.holdout)
        for (by, group, key), inside in _cells(gathered, walked)
    ]
    _discovered(rows)
    steps = [{"key": key, "name": name} for key, name in STEPS.items()]
    until = min(gathered.when.until, utc(gathered.now))
    again = cohorts(gathered.rows, gathered.people, workspace.settings.timezone, until)
    return gathered.head(NAME) | {"steps": steps, "rows": rows, "cohorts": again, "notes": gathered.notes()}


def _walked(gathered: Gathered) -> Walked:
    rows, people = gathered.rows, gathered.people
    own = rows.semi_join(people, "customer").filter(~rows.machine)
    did = own.filter(~own.name.isin(SENT))
    began = did.group_by("customer").aggregate(
        channel=did.channel.fill_null(UNKNOWN).argmin(did.time), campaign=did.campaign.fill_null("").argmin(did.time)
    )
    inside = own.filter(own.time >= gathered.when.start)
    first = inside.group_by("customer").aggregate(
        touch=inside.time.min(),
        visit=inside.time.min(where=inside.name.isin(VISITS)),
        view=inside.time.min(where=inside.name == VIEWED),
        cart=inside.time.min(where=inside.name == ADDED),
    )
    found = people.left_join(first, "customer").drop("customer_right")
    found = found.left_join(_orders(inside), "customer").drop("customer_right")
    found = found.left_join(began, "customer").drop("customer_right").order_by("place")
    table = found.to_pyarrow()
    channel, campaign = (table[name].fill_null("").to_numpy(zero_copy_only=False) for name in ("channel", "campaign"))
    named = [f"{one}: {other}" if other else one or UNKNOWN for one, other in zip(channel, campaign, strict=True)]
    return Walked(
        table["customer"].combine_chunks(),
        table["treated"].to_numpy(zero_copy_only=False).astype(np.bool_),
        np.stack([table[step].to_numpy(zero_copy_only=False).astype("datetime64[us]") for step in STEPS], axis=1),
        np.array(named, object),
    )


def _orders(inside: ir.Table) -> ir.Table:
    """Per customer when the first and the second order of the period were placed."""
    import ibis

    bought = inside.filter(inside.name == ORDERED)
    bought = bought.mutate(placed_as=bought.order_id.coalesce(bought.message_id))
    orders = bought.group_by(["customer", "placed_as"]).aggregate(placed=bought.time.min())
    in_turn = ibis.window(group_by=orders.customer, order_by=[orders.placed, orders.placed_as])
    ranked = orders.mutate(rank=ibis.row_number().over(in_turn))
    return ranked.group_by("customer").aggregate(
        order=ranked.placed.min(where=ranked["rank"] == 0), repeat=ranked.placed.min(where=ranked["rank"] == 1)
    )


def _cells(gathered: Gathered, walked: Walked) -> Iterator[tuple[tuple[str, str | None, str], NDArray[np.int64]]]:
    """All, each source and each segment, with the places of their customers."""
    yield EVERYBODY, np.arange(len(walked.customers))
    names, places, sizes = np.unique(walked.source, return_inverse=True, return_counts=True)
    large = np.argsort(-sizes, kind="stable")[:MOST]
    for at in large:
        yield ("source", None, str(names[at])), np.flatnonzero(places == at)
    if len(names) > MOST:
        yield ("source", None, OTHERS), np.flatnonzero(~np.isin(places, large))
    members = gathered.members
    where, cells = (members.rows[name].to_numpy() for name in ("place", "cell"))
    for (group, key), cell in sorted((members.names[cell], cell) for cell in members.own):
        yield ("segment", group, key), where[cells == cell].astype(np.int64)


def _row(walked: Walked, inside: NDArray[np.int64], share: float) -> Said:
    treated, reached, times = walked.treated[inside], walked.reached[inside], walked.times[inside]
    sizes = {"treated": int(treated.sum()), "held_out": int((~treated).sum())}
    why = chi_square(sizes, {"treated": 1 - share, "held_out": share}).why if share else ""
    steps: list[Said] = []
    before = len(inside)
    for at, step in enumerate(STEPS):
        here = int(reached[:, at].sum())
        steps.append(
            {"step": step, "customers": here, "lost": before - here}
            | _share(here, before)
            | _waited(times[:, at - 1], times[:, at] if at else None)
            | _caused(reached[:, at], treated)
        )
        before = here
    return {"customers": sizes, "why": why, "steps": steps}


def _share(here: int, before: int) -> Said:
    """The share of the step before, with Wilson's interval; nulls where nobody was there."""
    if not before:
        return {"share": None, "lower": None, "upper": None}
    found = stats.binomtest(here, before).proportion_ci(method="wilson")
    return {"share": here / before, "lower": float(found.low), "upper": float(found.high)}


def _waited(before: NDArray[np.datetime64], after: NDArray[np.datetime64] | None) -> Said:
    """The median of the days between two steps, of who was seen to take them in this order; None: of the first."""
    nothing: Said = {"days": None, "days_lower": None, "days_upper": None, "timed": 0}
    if after is None:
        return nothing
    both = ~np.isnat(before) & ~np.isnat(after)
    both[both] = after[both] >= before[both]
    days = np.sort((after[both] - before[both]).astype(np.int64)) / DAY
    if not len(days):
        return nothing
    return {"days": float(np.median(days)), **_between(days), "timed": len(days)}


def _between(days: NDArray[np.float64]) -> Said:
    """The 95 % interval of the median by order statistics; nulls of too few (David & Nagaraja 2003, 7.1)."""
    low = int(stats.binom.ppf(0.025, len(days), 0.5))  # so many of the smallest lie below the interval
    if low < 1:
        return {"days_lower": None, "days_upper": None}
    return {"days_lower": float(days[low - 1]), "days_upper": float(days[len(days) - low])}


def _caused(reached: Flags, treated: Flags) -> Said:
    """How many of the treated came so far who would not have come without."""
    arms = [reached[~treated], reached[treated]]
    shares = [float(arm.mean()) if len(arm) else None for arm in arms]
    found: Said = NOTHING_TO_SAY | {"verdict": None}
    if min(len(arm) for arm in arms) >= MIN_CUSTOMERS:
        found = compared(*(Moments.of(arm.astype(np.float64)[:, None]) for arm in arms))
    return {
        "held_out": shares[0],
        "treated": shares[1],
        "incremental": found["incremental"],
        "incremental_lower": found["lower"],
        "incremental_upper": found["upper"],
        "p_value": found["p_value"],
        "verdict": found["verdict"],
    }


def _discovered(rows: list[Said]) -> None:
    """Gives all increments their p-values among each other: of many, some differ by chance."""
    from serving.experiments.discovery import adjusted

    steps = [step for row in rows for step in row["steps"]]
    given = np.array([np.nan if one["p_value"] is None else one["p_value"] for one in steps], np.float64)
    for one, p_value in zip(steps, adjusted(given).tolist(), strict=True):
        one["p_adjusted"] = None if math.isnan(p_value) else p_value
