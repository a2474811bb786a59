"""The numbers of the model report: from what a training run left in the workspace, and what it cost from MLflow.

Customers of the sample stand under a pseudonym: the page names nobody.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog, read_catalog
from features.workspace import Workspace
from training import tracking
from training.comparison import LENGTHS, length, offered, pareto
from training.intervals import Interval, mean_intervals, paired_difference, verdict
from training.pipelines.recommend_ages import AGES
from training.pipelines.recommend_evaluation import METRICS, PARTS
from training.pipelines.recommend_sample import FILE as SAMPLE
from training.recommenders.reasons import worded
from training.reports import runs
from training.reports.model_drift import drift

Row = NDArray[np.float64]
Figures = dict[str, Any]
COSTS = ("fit_cpu_s", "answer_cpu_s", "memory_mb")
GROUPED = "recall"  # the metric of the groups: a share of what was bought, which needs no explanation


@dataclass(frozen=True)
class Evidence:
    """What one run left. `version` is None where MLflow does not know the run."""

    run: str
    workspace: Workspace
    catalog: Catalog
    version: tracking.Version | None
    evaluation: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    sample: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, workspace: Workspace, word: str) -> Self:
        """Of the run with this version or id; without a word of the champion's run, else of the newest."""
        folders = runs.kept(workspace, SAMPLE, "recommender")
        here = {folder.name for folder in folders}
        versions = [version for version in tracking.versions("recommender") if version.run_id in here]
        folder = _chosen(folders, versions, word, workspace)
        with np.load(folder / "evaluation.npz", allow_pickle=False) as kept:
            arrays = dict(kept)
        evaluation, sample = (json.loads((folder / name).read_text()) for name in ("evaluation.json", SAMPLE))
        version = next((one for one in versions if one.run_id == folder.name), None)
        return cls(folder.name, workspace, read_catalog(workspace), version, evaluation, arrays, sample)

    @property
    def models(self) -> list[str]:
        """Best first."""
        metric = self.evaluation["metric"].partition("@")[0]
        found = self.evaluation["models"]
        return sorted(found, key=lambda name: (-(found[name]["all"][metric] or 0), name))


def _chosen(folders: Sequence[Path], versions: Sequence[tracking.Version], word: str, workspace: Workspace) -> Path:
    by_run = {folder.name: folder for folder in folders}
    if not word:
        champion = (by_run[one.run_id] for one in versions if one.alias == tracking.CHAMPION)
        return next(champion, folders[-1])
    numbered = [one for one in versions if str(one.version) == word]
    return by_run[numbered[0].run_id] if numbered else runs.starting(folders, word, workspace, "run")


def figures(evidence: Evidence) -> Figures:
    """All numbers of the report, ready for JSON."""
    evaluation, version = evidence.evaluation, evidence.version
    kept = ("chosen", "baseline_name", "model", "baseline", "difference", "lower", "upper", "verdict", "catalogue")
    k = int(evaluation["metric"].partition("@")[2])
    return {
        "run": evidence.run,
        "shop": evidence.workspace.settings.name,
        "version": version and version.version,
        "champion": bool(version and version.alias == tracking.CHAMPION),
        "metric": evaluation["metric"],
        "k": k,
        **{name: evaluation[name] for name in kept},
        "customers": evaluation["customers"],
        "period": _period(evidence),
        "against_others": _against_others(evidence),
        "models": _models(evidence),
        "groups": _groups(evidence),
        "purchases": evaluation["purchases"],
        "costs": _costs(evidence),
        "variety": evaluation["variety"],
        **drift(evidence),
        "sample": [_person(evidence, number, one) for number, one in enumerate(evidence.sample, start=1)],
    }


def _period(evidence: Evidence) -> dict[str, str]:
    """The last days of the validation period and of the test period, in the workspace's time zone."""
    zone, split = ZoneInfo(evidence.workspace.settings.timezone), evidence.evaluation["split"]

    def day(name: str, back: timedelta = timedelta()) -> str:
        moment = datetime.fromisoformat(split[name]).replace(tzinfo=UTC) - back
        return moment.astimezone(zone).date().isoformat()

    just = timedelta(microseconds=1)  # ends do not belong to their period
    return {"validate": day("validate"), "test": day("test"), "end": day("end", just), "start": day("start")}


def _values(evidence: Evidence, model: str, part: str, metric: str) -> Row:
    return evidence.arrays[f"{model}:{part}:{metric}"]


def _against_others(evidence: Evidence) -> list[Figures]:
    """The chosen model minus each of the others but the baseline, paired over customers."""
    chosen, metric = evidence.evaluation["chosen"], evidence.evaluation["metric"].partition("@")[0]
    ours, found = _values(evidence, chosen, "all", metric), []
    for name in evidence.models:
        if name in (chosen, evidence.evaluation["baseline_name"]):
            continue
        difference = paired_difference(ours, _values(evidence, name, "all", metric), np.random.default_rng(0))
        found.append({"model": name, **_ends(difference), "says": verdict(difference)})
    return found


def _models(evidence: Evidence) -> list[Figures]:
    """Per model every metric over all customers, with its interval, and the difference to the baseline."""
    names = [(model, metric) for model in evidence.models for metric in METRICS]
    columns = np.stack([_values(evidence, model, "all", metric) for model, metric in names], axis=1)
    found = dict(zip(names, map(_ends, mean_intervals(columns, np.random.default_rng(0))), strict=True))
    kept = evidence.evaluation["models"]
    return [
        {
            "model": model,
            **{metric: found[model, metric] for metric in METRICS},
            **{name: kept[model][name] for name in ("coverage", "gini", "top_share", "answered_by_age")},
            "against": kept[model]["against_baseline"],
        }
        for model in evidence.models
    ]


def _groups(evidence: Evidence) -> dict[str, list[Figures]]:
    """Per kind of group the groups that hold anybody, each with every model's Recall."""
    history = evidence.arrays["history"]
    lengths = [("nothing (new)", history == 0)]
    lengths += [(length(least, most), (history >= least) & (history <= (most or np.inf))) for least, most in LENGTHS]
    whole = {model: _values(evidence, model, "all", GROUPED) for model in evidence.models}
    return {
        "parts": _grouped(
            {part: {model: _values(evidence, model, part, GROUPED) for model in whole} for part in PARTS[1:]}
        ),
        "lengths": _grouped(
            {name: {model: np.where(among, row, np.nan) for model, row in whole.items()} for name, among in lengths}
        ),
        "ages": _grouped({age: {model: evidence.arrays[f"{model}:age:{age}"] for model in whole} for age in AGES}),
    }


def _grouped(groups: Mapping[str, Mapping[str, Row]]) -> list[Figures]:
    cells = [(group, model) for group, rows in groups.items() for model in rows]
    columns = np.stack([groups[group][model] for group, model in cells], axis=1)
    found = dict(zip(cells, map(_ends, mean_intervals(columns, np.random.default_rng(0))), strict=True))
    counts = {group: int((~np.isnan(next(iter(rows.values())))).sum()) for group, rows in groups.items()}
    return [
        {"group": group, "customers": counts[group], "models": {model: found[group, model] for model in rows}}
        for group, rows in groups.items()
        if counts[group]
    ]


def _costs(evidence: Evidence) -> list[Figures]:
    """Per model what it took, `best` where no other is as good in all and better in one; empty where not known."""
    if evidence.version is None:
        return []
    metrics, metric = evidence.version.metrics, evidence.evaluation["metric"].partition("@")[0]
    models = [one for one in offered(metrics, metric) if one.name in evidence.evaluation["models"]]
    best = {one.name for one in pareto(models)}
    return [
        {
            "model": one.name,
            "quality": one.quality,
            "cpu_s": one.cpu_s,
            **{name: metrics.get(f"{one.name}.{name}") for name in COSTS},
            "best": one.name in best,
        }
        for one in sorted(models, key=lambda one: -one.quality)
    ]


def _person(evidence: Evidence, number: int, one: Mapping[str, Any]) -> Figures:
    name, bought = evidence.catalog.name, set(one["next"])
    return {
        "customer": f"Customer {number}",
        "items": one["items"],
        "history": [entry | {"name": name(entry["item"])} for entry in one["history"]],
        "next": [{"item": item, "name": name(item)} for item in one["next"]],
        "answers": {
            model: [
                {
                    "item": entry["item"],
                    "name": name(entry["item"]),
                    "why": worded(entry["reason"], [name(item) for item in entry["cites"] if item != entry["item"]]),
                    "bought": entry["item"] in bought,
                }
                for entry in one["answers"][model]
            ]
            for model in evidence.models
        },
    }


def _ends(interval: Interval) -> dict[str, float | None]:
    """The numbers of an interval; None where it is not known."""
    names = {"value": interval.estimate, "lower": interval.lower, "upper": interval.upper}
    return {name: value if math.isfinite(value) else None for name, value in names.items()}
