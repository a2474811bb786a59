"""Beside: the metrics of marketing per segment, of the treated beside the global holdout, over the whole period.

Who is of the holdout was drawn, so that here a difference is what was caused. Nobody of the holdout is sent messages:
what asks for deliveries is told of the treated alone. Lifetime value is told of all customers, of no segment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from features.engine import held
from features.events import utc
from features.workspace import Workspace
from serving.experiments.conversion import Curve
from serving.experiments.metrics import Metric, chosen, read_metrics
from serving.experiments.moments import Moments
from serving.experiments.values import Columns, capped, cells, columns, values
from serving.impact.engagement import alone, curves_of
from serving.impact.gathered import Gathered
from serving.impact.population import AGAIN

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
VALUE = "lifetime-value"
TREATED, HELD_OUT = "treated", "held_out"
TOLD = ("difference", "lower", "upper", "p_value", "lift", "verdict")
DAY = timedelta(days=1)


def by_segment(gathered: Gathered, metrics: Sequence[Metric]) -> list[Said]:
    """Each metric of the treated beside that of the holdout: of all, and per segment.

    Whoever is in several segments of a group is in each of them.
    """
    import ibis

    when, people, members = gathered.when, gathered.people, ibis.memtable(gathered.members)
    days = math.ceil((when.until - when.start) / DAY) + 1  # a day may have 25 hours
    told = _over(metrics, days)
    table = held(values(gathered.rows, _drawn(gathered), told))
    table = _hourly(capped(table, told), told)
    kinds = members.filter(members["key"] != AGAIN).select("customer", "group", "key")
    whole = people.select("customer", group=ibis.literal(""), key=ibis.literal("all"))
    beside, by = held(table.inner_join(kinds.union(whole), "customer")), ("group", "key", "arm")
    found = cells(beside, told, when.start + timedelta(days=days), by=by)
    curves = curves_of(beside, told, min(when.until, utc(gathered.now)), by)
    rows = []
    for group, key in sorted({(group, key) for group, key, _ in found}):
        arms = [(group, key, arm) for arm in (TREATED, HELD_OUT)]
        both = [(found.get(arm, {}), curves.get(arm, {})) for arm in arms]
        rows.append({"group": group or None, "key": key, "metrics": _beside(told, both)})
    if rows:
        rows[0]["metrics"][VALUE] = _worth(gathered)
    _adjust(effect for row in rows for effect in row["metrics"].values())
    return rows


def value(workspace: Workspace) -> Metric:
    """Lifetime value, as the workspace defines it."""
    (found,) = chosen(read_metrics(workspace.folder), [VALUE], "impact")
    return found


def _over(metrics: Sequence[Metric], days: int) -> list[Columns]:
    """Where the metrics stand, each over so many days."""
    return [replace(one, window=timedelta(days=days)) for one in columns(metrics, days)]


def _drawn(gathered: Gathered) -> ir.Table:
    """The customers as a test has them: their arm, and the beginning."""
    import ibis

    people = gathered.people
    arm = people.treated.ifelse(TREATED, HELD_OUT)
    return people.select("customer", arm=arm, first=ibis.literal(gathered.when.start))


def _hourly(table: ir.Table, told: Sequence[Columns]) -> ir.Table:
    """Times in whole hours: of a million customers of whom no two waited alike, each curve would take seconds."""
    hours = {one.value: (24 * table[one.value]).ceil() / 24 for one in told if one.metric.kind == "time"}
    return table.mutate(**hours) if hours else table


def _beside(told: Sequence[Columns], both: Sequence[tuple[Mapping[str, Moments], Mapping[str, Curve]]]) -> Said:
    """Each metric of the treated and of the holdout, and how they differ; nulls where that cannot be said."""
    from serving.experiments.compared import UNTOLD, Evidence

    moments, curves = (dict(zip((TREATED, HELD_OUT), parts, strict=True)) for parts in zip(*both, strict=True))
    compared = Evidence(moments, curves).of_arm(TREATED, HELD_OUT, told) if all(moments.values()) else {}
    found: Said = {}
    for one in told:
        key = one.metric.key
        arms = [alone(one, *arm) for arm in both]
        said = UNTOLD | compared.get(key, {})
        found[key] = dict(zip((TREATED, HELD_OUT), arms, strict=True)) | {name: said[name] for name in TOLD}
    return found


def _worth(gathered: Gathered) -> Said:
    """Lifetime value of all: money of the period, as far as it is over, and what is expected after it."""
    from serving.experiments.compared import UNTOLD, Evidence
    from serving.experiments.worth import worth

    when, metric = gathered.when, value(gathered.workspace)
    days = max(1, (min(when.until, utc(gathered.now)) - when.start) // DAY)
    (one,) = told = _over([metric], days)
    table = values(gathered.rows, _drawn(gathered), told)
    evidence = Evidence({}, {}, {VALUE: worth(table, one, when.start + timedelta(days=days))})
    arms = [evidence.of_arm(arm, arm, told)[VALUE] for arm in (TREATED, HELD_OUT)]
    alone_ = [{"lower": None, "upper": None} | arm for arm in arms]
    said = UNTOLD | evidence.of_arm(TREATED, HELD_OUT, told)[VALUE]
    return dict(zip((TREATED, HELD_OUT), alone_, strict=True)) | {name: said[name] for name in TOLD}


def _adjust(effects: Iterable[Said]) -> None:
    """Gives all differences their p-values among each other."""
    from serving.experiments.discovery import adjusted

    told = list(effects)
    given = np.array([np.nan if one["p_value"] is None else one["p_value"] for one in told], np.float64)
    for one, p_value in zip(told, adjusted(given).tolist() if told else [], strict=True):
        one["p_adjusted"] = None if math.isnan(p_value) else p_value
