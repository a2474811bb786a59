"""Over time: what the report would have said after each day of first exposures, for the picture of a test's course.

    day of first exposure      1      2      3            moments of the customers who came on it, caps as of now
    told at                    end of the day, and a window later
    rests on                   1    1+2  1+2+3            added up; the bound is that of a look at this moment

Each point stands beside the bound that a look at it has, so that the last one is what the report says. A metric of time
is asked of everybody who had come by then, as far as they had been seen, and lifetime value is fitted to those whose
windows had closed: a query or a fit per point, so that there are fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import numpy as np

from serving.experiments.compared import Evidence, of_means
from serving.experiments.conversion import curve
from serving.experiments.gathered import Gathered
from serving.experiments.moments import Moments
from serving.experiments.values import MEANS, Columns, cells, known_by, waits
from serving.experiments.worth import worth

MOST = 60  # points of a curve: more than a picture shows
MOST_ASKED = 15  # of a metric of time or value
ENDS = ("difference", "lower", "upper")
Days = Mapping[Any, Moments]  # of an arm, by day of first exposure


def over_time(gathered: Gathered) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Per arm but the control, and primary metric of means, times or values, its difference and ends after each day."""
    table = gathered.capped
    told = gathered.columns(gathered.primary, MEANS)
    found = cells(table.mutate(day=table["first"].date()), told, gathered.now, by=("arm", "day"))
    control, *others = gathered.experiment.arms
    days = {
        (arm, one.metric.key): {day: found[name, day][one.metric.key] for name, day in sorted(found) if name == arm}
        for arm in gathered.experiment.arms
        for one in told
    }
    course = {
        arm: {
            one.metric.key: list(_points(days[arm, one.metric.key], days[control, one.metric.key], one, gathered))
            for one in told
        }
        for arm in others
        if gathered.counts[arm]
    }
    for one in gathered.columns(gathered.primary, ("time", "value")):
        for arm, point in _asked(gathered, one):
            course[arm].setdefault(one.metric.key, []).append(point)
    return course


def _asked(gathered: Gathered, one: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    """Per moment the arms' points."""
    looks, control = gathered.looks, gathered.experiment.control
    first = looks.firsts[0].astype("datetime64[us]").item()
    first += one.window if one.metric.kind == "value" else timedelta()
    days = range(1, (looks.now - first).days + 1)
    for moment in [*(first + timedelta(days=day) for day in _some(days, MOST_ASKED - 1)), looks.now]:
        evidence, counts = (_timed if one.metric.kind == "time" else _valued)(gathered, one, moment)
        for arm in gathered.experiment.arms:
            said = evidence.of_arm(arm, control, [one], looks.at(moment)).get(one.metric.key, {})
            if said.get("lower") is not None:
                customers = counts[arm] + counts[control]
                yield arm, {"day": moment.date().isoformat(), "customers": customers} | {key: said[key] for key in ENDS}


def _timed(gathered: Gathered, one: Columns, moment: datetime) -> tuple[Evidence, Mapping[str, int]]:
    """Of who had come by then, seen until then; and how many."""
    seen = waits(known_by(gathered.rows, one, moment), one, moment)
    curves = {arm: {one.metric.key: curve(*told)} for (arm,), told in seen.items()}
    return Evidence({}, curves), {arm: int(told[2].sum()) for (arm,), told in seen.items()}


def _valued(gathered: Gathered, one: Columns, moment: datetime) -> tuple[Evidence, Mapping[str, int]]:
    """Of whose windows had closed by then."""
    found = worth(gathered.rows, one, moment)
    return Evidence({}, {}, {one.metric.key: found}), found.customers


def _points(ours: Days, theirs: Days, one: Columns, gathered: Gathered) -> Iterator[dict[str, Any]]:
    own, others = _summed(ours), _summed(theirs)
    days = sorted(day for day in own.keys() | others.keys() if _count(ours, day) + _count(theirs, day))
    for day in _some(days, MOST):
        moment = min(datetime.combine(day, datetime.max.time()) + one.window, gathered.looks.now)
        both = _until(own, day), _until(others, day)
        if both[0] is None or both[1] is None:
            continue
        said = of_means(both[0], both[1], one, gathered.looks.at(moment))
        if said["lower"] is not None:
            customers = both[0].count + both[1].count
            yield {"day": moment.date().isoformat(), "customers": customers} | {name: said[name] for name in ENDS}


def _summed(days: Days) -> dict[Any, Moments]:
    """Per day the moments of all who came until its end."""
    return dict(zip(days, accumulate(days.values(), Moments.__add__), strict=True))


def _count(days: Days, day: Any) -> int:
    return days[day].count if day in days else 0


def _until(summed: Mapping[Any, Moments], day: Any) -> Moments | None:
    known = [one for one in summed if one <= day]
    return summed[known[-1]] if known else None


def _some(days: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly, the first and the last among them."""
    return [days[place] for place in np.unique(np.linspace(0, len(days) - 1, min(most, len(days))).astype(int))]
