"""Comparison: what a run's models give for what they cost, and one run's model against another's, by customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.workspace import Workspace
from training import tracking
from training.intervals import paired_difference, verdict

Row = NDArray[np.float64]
PARTS = ("all", "known", "new", "repeat", "explore")
LENGTHS = ((1, 4), (5, 19), (20, None))  # items met before the test period
SHORTEST = 4  # letters of a run's id that may stand for it


@dataclass(frozen=True)
class Offered:
    """What one model of a run gives and what it costs."""

    name: str
    quality: float
    cpu_s: float
    memory_mb: float

    def beats(self, other: Offered) -> bool:
        """As good in all three, and better in one."""
        ours, theirs = ((one.quality, -one.cpu_s, -one.memory_mb) for one in (self, other))
        return all(mine >= its for mine, its in zip(ours, theirs, strict=True)) and ours != theirs


@dataclass(frozen=True)
class Kept:
    """What a run kept of its chosen model: the metric per customer, in every part; NaN where not of the part."""

    name: str
    metric: str
    split: Mapping[str, Any]
    customers: NDArray[np.str_]
    history: NDArray[np.int64]
    values: Mapping[str, Row]

    @classmethod
    def read(cls, workspace: Workspace, word: str) -> Self:
        """Of the registered recommender with this version or run id."""
        version = run_named(word)
        evaluation = tracking.evaluation(version)
        path = workspace.runs / version.run_id / "evaluation.npz"
        if not path.exists():
            raise ValueError(f"{word}: no {path}; a run is compared in the workspace that it was trained in (-w)")
        metric, model = evaluation["metric"].partition("@")[0], evaluation["chosen"]
        with np.load(path, allow_pickle=False) as arrays:
            if "history" not in arrays:
                raise ValueError(f"{word}: {path} holds no length of histories; train it again")
            values = {part: arrays[f"{model}:{part}:{metric}"] for part in PARTS}
            kept = arrays["customers"], arrays["history"]
        name = f"{version.version} ({model})"
        return cls(name, evaluation["metric"], evaluation["split"], *kept, values)


def run_named(word: str) -> tracking.Version:
    """The recommender with this version, or whose run's id starts so."""
    known = tracking.versions("recommender")
    found = [one for one in known if str(one.version) == word]
    if not found and len(word) >= SHORTEST:
        found = [one for one in known if one.run_id.startswith(word)]
    if len(found) != 1:
        what = [one.version for one in reversed(known)]
        raise ValueError(f"run == {word!r}, must be one of the versions {what} or the id of one's run")
    return found[0]


def lines(workspace: Workspace, ours: str, theirs: str) -> list[str]:
    """The first run's model minus the second's, overall and by group of customers."""
    return compared(Kept.read(workspace, ours), Kept.read(workspace, theirs))


def compared(ours: Kept, theirs: Kept) -> list[str]:
    """As `lines`; refused where the two were not judged on the same split and customers."""
    for name in ("metric", "split"):
        if getattr(ours, name) != getattr(theirs, name):
            given = [_words(getattr(one, name)) for one in (ours, theirs)]
            raise ValueError(f"{ours.name} and {theirs.name} differ in their {name}: {given[0]} and {given[1]}")
    if not np.array_equal(ours.customers, theirs.customers):
        shared = len(np.intersect1d(ours.customers, theirs.customers))
        raise ValueError(
            f"{ours.name} and {theirs.name} were judged on different customers: {len(ours.customers):,} and "
            f"{len(theirs.customers):,}, {shared:,} of them the same; train both on the same log"
        )
    head = f"{ours.metric}: {ours.name} minus {theirs.name}, per customer of the test period"
    columns = f"  {'customers':<14} {'count':>7} {'difference':>10}  95 % interval"
    return [head, columns, *(_line(*group) for group in groups(ours, theirs))]


def groups(ours: Kept, theirs: Kept) -> Iterator[tuple[str, Row, Row]]:
    """Per group its name and both runs' values."""
    for part in PARTS:
        a, b = ours.values[part], theirs.values[part]
        counted = ~(np.isnan(a) | np.isnan(b))
        yield part, a[counted], b[counted]
    for least, most in LENGTHS:
        among = (ours.history >= least) & (ours.history <= (most or np.inf))
        counted = among & ~np.isnan(ours.values["all"])
        yield length(least, most), ours.values["all"][counted], theirs.values["all"][counted]


def length(least: int, most: int | None) -> str:
    """What a group of `LENGTHS` is called."""
    return f"{least}+ items" if most is None else f"{least} to {most} items"


def _line(name: str, ours: Row, theirs: Row) -> str:
    if not len(ours):
        return f"  {name:<14} {0:>7} {'-':>10}"
    # The draws' seed is fixed: the same two runs always get the same answer.
    found = paired_difference(ours, theirs, np.random.default_rng(0))
    ends = f"[{max(found.lower, -1):+.4f}, {min(found.upper, 1):+.4f}]"
    return f"  {name:<14} {len(ours):>7,} {found.estimate:>+10.4f}  {ends}  {verdict(found)}"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " to ".join(str(value[name])[:16] for name in ("test", "end") if name in value)
    return str(value)


def pareto(models: Sequence[Offered]) -> list[Offered]:
    """The models that no other beats, best first."""
    kept = [one for one in models if not any(other.beats(one) for other in models)]
    return sorted(kept, key=lambda one: -one.quality)


def pareto_lines(kind: str) -> list[str]:
    """What the models of the newest recommender's run give and cost; `*` marks those that no other beats."""
    newest = next(iter(tracking.versions(kind)), None)
    if kind != "recommender" or newest is None:
        return []
    metric = tracking.evaluation(newest)["metric"]
    models = sorted(offered(newest.metrics, metric.partition("@")[0]), key=lambda one: -one.quality)
    if not models:
        return []
    best = pareto(models)
    shown = [f"models of version {newest.version}; * no other is as good in all three and better in one"]
    shown.append(f"  {'model':<18} {metric:>8} {'CPU s':>8} {'MB':>6}")
    shown += [
        f"{'*' if one in best else ' '} {one.name:<18} {one.quality:>8.4f} {one.cpu_s:>8.2f} {one.memory_mb:>6.0f}"
        for one in models
    ]
    return shown


def offered(metrics: Mapping[str, float], metric: str) -> list[Offered]:
    """The models whose costs stand among a run's metrics."""
    ends = (f".all.{metric}", ".fit_cpu_s", ".answer_cpu_s", ".memory_mb")
    names = [name.removesuffix(ends[1]) for name in metrics if name.endswith(ends[1])]
    found = []
    for name in names:
        quality, fit, answer, memory = (metrics.get(name + end, float("nan")) for end in ends)
        found.append(Offered(name, quality, fit + answer, memory))
    return found
