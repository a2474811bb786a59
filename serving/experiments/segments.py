"""Segments of a test: who was in which before the first exposure, and the effect in each.

A customer is in a segment as of the beginning (UTC) of the day of the first exposure, so that nothing that the test did
moves anybody from one to another. Who is in none of them is told too, as `OTHERS`.

The effects of segments that share no customer are drawn towards each other, and tested for whether they differ. Where
segments share customers neither means anything: their effects are told as they are. P-values are told among each
other, those of primary metrics and those of all others: of many segments some differ by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.catalog import read_catalog
from features.conditions import Condition, members_each
from features.conditions.comparisons import nearest
from features.conditions.grammar import Score, leaves
from features.events import Events
from features.segments import conditions, read_segments
from features.workspace import Workspace
from serving.experiments.conversion import Curve, curve
from serving.experiments.definitions import Experiment
from serving.experiments.lapse import lapses
from serving.experiments.moments import Moments
from serving.experiments.split import by_day, whole_of
from serving.experiments.values import Cell, Waits, cells, waits

if TYPE_CHECKING:
    from serving.experiments.compared import Evidence
    from serving.experiments.gathered import Gathered

KINDS = "kinds"  # the column: a sign per segment in their order, 1 for who is in it
OTHERS = "none of them"
FEWEST = 50  # customers of each arm: by ten each, 9 % of tests of nothing with money in a heavy tail seem to differ
Said = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """By arm and kind the moments by metric; of metrics of time by metric what was waited."""

    moments: Mapping[Cell, Mapping[str, Moments]]
    waits: Mapping[str, Mapping[Cell, Waits]]
    untold: Mapping[str, str]


def kinds(workspace: Workspace, experiment: Experiment, events: Events, people: pa.Table) -> pa.Array:
    """Per customer, in the order of first exposures, in which of the experiment's segments they were."""
    days = pa.table({"customer": people["customer"], "moment": pc.floor_temporal(people["first"], unit="day")})
    found = members_each(_conditions(workspace, experiment), events, days, catalog=read_catalog(workspace))
    inside = found.inside[pc.index_in(people["customer"], found.customers).to_numpy()]
    return pa.array(["".join("1" if one else "0" for one in row) for row in inside], pa.string())


def _conditions(workspace: Workspace, experiment: Experiment) -> dict[str, Condition]:
    known = conditions(read_segments(workspace.folder))
    for key in experiment.segments:
        if key not in known:
            raise ValueError(f"experiment {experiment.key!r}: there is no segment {key!r}{nearest(key, known)}")
        scores = [leaf.score for leaf in leaves(known[key]) if isinstance(leaf, Score)]
        if scores:
            raise ValueError(
                f"experiment {experiment.key!r}: the segment {key!r} asks for the score {scores[0]!r}; what that was "
                "before a customer's first exposure is not kept, so it cannot divide a test"
            )
    return {key: known[key] for key in experiment.segments}


def counted(experiment: Experiment, people: pa.Table) -> dict[str, dict[str, Counter[str]]]:
    """Per segment that has customers, and day of the first exposure, its customers by arm; none without segments."""
    if not experiment.segments:
        return {}
    arms, firsts, told = (people[name].to_pylist() for name in ("arm", "first", KINDS))
    found = {}
    for name, inside in _named(experiment.segments):
        rows = [place for place, kind in enumerate(told) if inside(kind)]
        found[name] = by_day((arms[place] for place in rows), (firsts[place] for place in rows))
    return {name: days for name, days in found.items() if days}


def segmented(gathered: Gathered) -> Said | None:
    """The effect of each arm on each metric in each segment; None without segments."""
    experiment = gathered.experiment
    if not experiment.segments:
        return None
    found = _found(gathered)
    people = {name: whole_of(days) for name, days in counted(experiment, gathered.people).items()}
    several = sum(kind.count("1") > 1 for kind in gathered.people[KINDS].to_pylist())
    rows: list[Said] = [
        {"segment": name, "customers": sum(people[name].values()), "arms": dict(people[name]), "effects": effects}
        for name, inside in _named(experiment.segments)
        if name in people
        for effects in [_effects(gathered, _within(gathered, found, inside))]
    ]
    for first in (True, False):
        same = (effect for row in rows for effect in row["effects"] if effect["primary"] == first)
        _adjust(list(same))
    interactions = [] if several else list(_interactions(rows, experiment.control))
    return {"in_several": several, "rows": rows, "interactions": interactions}


def _named(segments: Sequence[str]) -> list[tuple[str, Any]]:
    """Each segment with what says whether customers of a kind are in it."""
    own = [(name, lambda kind, place=place: kind[place] == "1") for place, name in enumerate(segments)]
    return [*own, (OTHERS, lambda kind: "1" not in kind)]


def _found(gathered: Gathered) -> Found:
    """What is known of each arm and kind."""
    by = ("arm", KINDS)
    timed = [one for one in gathered.told if one.metric.kind == "time"]
    moments = cells(gathered.capped, gathered.told, gathered.now, by=by)
    left, untold = lapses(gathered.rows, gathered.told, gathered.now, by=by)
    return Found(
        {cell: own | left.get(cell, {}) for cell, own in moments.items()},
        {one.metric.key: waits(gathered.rows, one, gathered.now, by=by) for one in timed},
        untold,
    )


def _within(gathered: Gathered, found: Found, inside: Any) -> Evidence:
    """What is known of a segment: its kinds, added up."""
    from serving.experiments.compared import Evidence
    from serving.experiments.worth import worth

    parts: dict[str, list[Mapping[str, Moments]]] = {}
    for (arm, kind), moments in found.moments.items():
        if inside(kind):
            parts.setdefault(arm, []).append(moments)
    added = {arm: _added(some) for arm, some in parts.items()}
    curves: dict[str, dict[str, Curve]] = {}
    for key, waited in found.waits.items():
        for arm in parts:
            some = [seen for (name, kind), seen in waited.items() if name == arm and inside(kind)]
            if some:
                curves.setdefault(arm, {})[key] = curve(*(np.concatenate(part) for part in zip(*some, strict=True)))
    some_kinds = sorted({kind for _, kind in found.moments if inside(kind)})
    own = gathered.rows.filter(gathered.rows[KINDS].isin(some_kinds))
    worths = {one.metric.key: worth(own, one, gathered.now) for one in gathered.told if one.metric.kind == "value"}
    return Evidence(added, curves, worths, found.untold)


def _added(parts: Sequence[Mapping[str, Moments]]) -> dict[str, Moments]:
    keys = dict.fromkeys(key for one in parts for key in one)  # nobody of some kind may have ordered before
    return {key: reduce(Moments.__add__, [one[key] for one in parts if key in one]) for key in keys}


def _effects(gathered: Gathered, evidence: Evidence) -> list[Said]:
    """Of each arm but the control, on each metric; nothing is told where one of the two has no customer."""
    control, *others = gathered.experiment.arms
    if control not in evidence.moments:
        return []
    return [
        {"arm": arm, "metric": key, "primary": key in gathered.primary}
        | {name: value for name, value in said.items() if name != "curve"}
        for arm in others
        if arm in evidence.moments
        for key, said in evidence.of_arm(arm, control, gathered.told, gathered.looks).items()
    ]


def _adjust(effects: Sequence[Said]) -> None:
    """Gives each of them its p-value among them, and room for what is shrunk."""
    from serving.experiments.discovery import adjusted

    given = np.array([np.nan if one["p_value"] is None else one["p_value"] for one in effects], np.float64)
    for one, p_value in zip(effects, adjusted(given).tolist(), strict=True):
        one["p_adjusted"] = None if np.isnan(p_value) else p_value
        one["shrunk"] = None


def _interactions(rows: Sequence[Said], control: str) -> Iterator[Said]:
    """Whether the effect differs between large segments, per arm and metric; draws all effects towards each other."""
    from serving.experiments.discovery import heterogeneity, shrunk

    groups: dict[tuple[str, str], list[tuple[int, Said]]] = {}
    for row in rows:
        for effect in (one for one in row["effects"] if one["error"]):
            fewest = min(row["arms"].get(arm, 0) for arm in (control, effect["arm"]))
            groups.setdefault((effect["arm"], effect["metric"]), []).append((fewest, effect))
    for (arm, metric), found in groups.items():
        large, effects = [one for fewest, one in found if fewest >= FEWEST], [one for _, one in found]
        if len(large) > 1:
            test = heterogeneity(*_estimated(large))
            yield {"arm": arm, "metric": metric, "p_value": test.p_value, "q": test.q, "spread": test.spread}
        if len(effects) > 1:
            for effect, drawn in zip(effects, shrunk(*_estimated(effects)), strict=True):
                effect["shrunk"] = {"difference": drawn.estimate, "lower": drawn.lower, "upper": drawn.upper}


def _estimated(effects: Sequence[Said]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Their estimates and errors."""
    estimates, errors = ([one[name] for one in effects] for name in ("difference", "error"))
    return np.array(estimates, np.float64), np.array(errors, np.float64)
