"""Beside: the metrics of marketing per segment, of the treated beside the global holdout, over the whole period.

Who is of the holdout was drawn, so that here a difference is what was caused. Nobody of the holdout is sent messages:
what asks for deliveries is told of the treated alone. What asks for a model (lifetime value, who has lapsed) is of the
days of the period that are over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from features.engine import held
from features.events import utc
from serving.experiments.lapse import LEAVING, lapses
from serving.experiments.metrics import Metric
from serving.experiments.values import Cell, Columns, capped, cells, closed, columns, steady, values
from serving.impact.gathered import Gathered
from serving.impact.means import Group, curves_of
from serving.impact.period import Period
from serving.impact.population import Inside

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from serving.experiments.worth import Bought, Worth

Said = dict[str, Any]
TREATED, HELD_OUT = "treated", "held_out"
TOLD = ("difference", "lower", "upper", "p_value", "lift", "verdict")
DAY = timedelta(days=1)
WHOLE = -1  # the cell of everybody


def by_segment(gathered: Gathered, metrics: Sequence[Metric]) -> list[Said]:
    """Each metric of the treated beside that of the holdout: of all, and per segment.

    Whoever is in several segments of a group is in each of them.
    """
    import ibis

    when, members = gathered.when, ibis.memtable(gathered.members.rows.select(["place", "cell"]))
    told, over = _over(metrics, when, gathered.now)
    table = held(values(gathered.rows, _drawn(gathered), told))
    table = _hourly(capped(table, told), told)
    whole = gathered.people.select("place", cell=ibis.literal(WHOLE, "int16"))
    kinds = members.filter(members.cell.isin(gathered.members.own)).union(whole)
    beside, by = table.inner_join(kinds, "place"), ("cell", "arm")
    moments, curves = cells(beside, told, over, by=by), curves_of(beside, told, min(when.until, utc(gathered.now)), by)
    left, untold = lapses(beside, told, over, by)
    did = {one.metric.key: _bought(table, one, over, gathered.members) for one in told if one.metric.kind == "value"}
    rows: list[Said] = []
    names = {WHOLE: ("", "all")} | {cell: gathered.members.names[cell] for cell in gathered.members.own}
    for (group, key), kind in sorted((names[kind], kind) for kind in {kind for kind, _ in moments}):
        arms = {arm: (kind, arm) for arm in (TREATED, HELD_OUT)}
        worths = _worths(told, did, arms)
        both = {
            arm: Group(arm, moments.get(cell, {}) | left.get(cell, {}), curves.get(cell, {}), worths, untold)
            for arm, cell in arms.items()
        }
        rows.append({"group": group or None, "key": key, "metrics": _beside(told, both)})
    _adjust(effect for row in rows for effect in row["metrics"].values())
    return rows


def _over(metrics: Sequence[Metric], when: Period, now: datetime) -> tuple[list[Columns], datetime]:
    """Where the metrics stand, each over the period or, of a model, the days of it that are over; and when it ends."""
    days = math.ceil((when.until - when.start) / DAY) + 1  # a day may have 25 hours
    seen = max(1, (min(when.until, utc(now)) - when.start) // DAY)
    told = [
        replace(one, window=timedelta(days=seen if one.metric.kind in ("value", *LEAVING) else days))
        for one in columns(metrics, days)
    ]
    return told, when.start + timedelta(days=days)


def _bought(table: ir.Table, one: Columns, over: datetime, members: Inside) -> dict[Cell, Bought]:
    """Per cell and arm what the customers did; each is read once, in however many segments they are."""
    from serving.experiments.worth import Bought

    rows = steady(table.filter(closed(table, one, over)), ("place", "arm"), (one.value, *one.purchases))
    place, treated = rows["place"].to_numpy(), rows["arm"].to_numpy(zero_copy_only=False) == TREATED
    columns = [rows[name].to_numpy().astype(np.float64) for name in (one.value, *one.purchases)]
    whose, cells_of = (members.rows[name].to_numpy() for name in ("place", "cell"))
    found: dict[Cell, Bought] = {}
    for cell in (WHOLE, *members.own):
        inside = np.full(len(place), cell == WHOLE)
        inside[whose[cells_of == cell]] = True
        for arm, own in ((TREATED, treated), (HELD_OUT, ~treated)):
            here = inside[place] & own
            if here.any():
                found[cell, arm] = Bought(*(column[here] for column in columns))
    return found


def _worths(
    told: Sequence[Columns], did: Mapping[str, Mapping[Cell, Bought]], arms: Mapping[str, Cell]
) -> dict[str, Worth]:
    """By metric of value what it is by arm, of who is in the arms' cells."""
    from serving.experiments.worth import Worth

    found = {}
    for one in told:
        if one.metric.kind == "value":
            cells_of = did[one.metric.key]
            own = {arm: cells_of[arms[arm]] for arm in sorted(arms) if arms[arm] in cells_of}
            found[one.metric.key] = Worth.of(own, one.window.days, one.horizon)
    return found


def _drawn(gathered: Gathered) -> ir.Table:
    """The customers as a test has them: their arm, and the beginning."""
    import ibis

    people = gathered.people
    arm = people.treated.ifelse(TREATED, HELD_OUT)
    return people.select("customer", "place", arm=arm, first=ibis.literal(gathered.when.start))


def _hourly(table: ir.Table, told: Sequence[Columns]) -> ir.Table:
    """Times in whole hours: of a million customers of whom no two waited alike, each curve would take seconds."""
    hours = {one.value: (24 * table[one.value]).ceil() / 24 for one in told if one.metric.kind == "time"}
    return table.mutate(**hours) if hours else table


def _beside(told: Sequence[Columns], both: Mapping[str, Group]) -> Said:
    """Each metric of the treated and of the holdout, and how they differ; nulls where that cannot be said."""
    from serving.experiments.compared import UNTOLD, Evidence

    moments = {arm: group.moments for arm, group in both.items()}
    treated, curves = both[TREATED], {arm: group.curves for arm, group in both.items()}
    evidence = Evidence(moments, curves, treated.worths, treated.untold)
    compared = evidence.of_arm(TREATED, HELD_OUT, told) if all(moments.values()) else {}
    found: Said = {}
    for one in told:
        said = UNTOLD | compared.get(one.metric.key, {})
        own = {arm: group.told(one) for arm, group in both.items()}
        found[one.metric.key] = own | {name: said[name] for name in TOLD}
    return found


def _adjust(effects: Iterable[Said]) -> None:
    """Gives all differences their p-values among each other."""
    from serving.experiments.discovery import adjusted

    told = list(effects)
    given = np.array([np.nan if one["p_value"] is None else one["p_value"] for one in told], np.float64)
    for one, p_value in zip(told, adjusted(given).tolist() if told else [], strict=True):
        one["p_adjusted"] = None if math.isnan(p_value) else p_value
