"""Promotion: a registered model becomes the release that is served, unless it is worse than what it replaces."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.workspace import Workspace
from training import release, tracking


def promote(workspace: Workspace, kind: str, version: str, *, reason: str | None = None) -> str:
    """Writes the release, moves `champion`, and says so in one line.

    A model that is significantly worse than its baseline, or than the champion on the same data and split, is refused
    unless a reason is given, which is kept in the manifest and in MLflow.
    """
    chosen = tracking.find(kind, version)
    evaluation = tracking.evaluation(chosen)
    objections = [*_below_baseline(evaluation), *_below_champion(chosen, evaluation)]
    if objections and not reason:
        raise ValueError(f"{kind} {chosen.version} was not promoted: {'; '.join(objections)} (--force --reason TEXT)")
    tags = {"promoted_despite": "; ".join(objections), "promoted_because": reason or ""} if objections else {}
    with tempfile.TemporaryDirectory() as folder:
        model = tracking.download(chosen, Path(folder))
        facts = {"evaluation": _headline(evaluation), **tags}
        release.write_release(workspace, model, version=str(chosen.version), run_id=chosen.run_id, facts=facts)
    release.load_release(workspace.releases / kind / str(chosen.version))
    tracking.crown(chosen, tags)
    release.point(workspace, kind, str(chosen.version))
    return f"{kind} {chosen.version} is the champion and is served: {_words(evaluation)}"


def compared(kind: str) -> list[dict[str, Any]]:
    """The registered models of this kind, newest first, with what each run found."""
    rows = []
    for version in tracking.versions(kind):
        evaluation = tracking.evaluation(version)
        rows.append({"version": version.version, "alias": version.alias, "found": _words(evaluation)})
    return rows


def _below_baseline(evaluation: Mapping[str, Any]) -> list[str]:
    return [f"it is worse than its baseline: {_words(evaluation)}"] if evaluation["upper"] < 0 else []


def _below_champion(chosen: tracking.Version, evaluation: Mapping[str, Any]) -> list[str]:
    """An objection when the champion was judged on the same split and both intervals lie apart, ours below."""
    for other in tracking.versions(chosen.kind):
        if other.alias == tracking.CHAMPION and other.version != chosen.version:
            theirs = tracking.evaluation(other)
            same = all(theirs.get(name) == evaluation.get(name) for name in ("split", "metric", "log", "outcome"))
            if same and evaluation["upper"] < theirs["lower"]:
                return [f"it is worse than the champion {other.version}: {_words(theirs)}, ours {_words(evaluation)}"]
    return []


def _headline(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    names = ("metric", "unit", "difference", "lower", "upper", "verdict")
    return {name: evaluation[name] for name in names if name in evaluation}


def _words(evaluation: Mapping[str, Any]) -> str:
    low, high = evaluation["lower"], evaluation["upper"]
    baseline = evaluation.get("baseline_name") or evaluation["baseline"]
    gain = f"{evaluation['metric']} {evaluation['difference']:+.4g} [{low:+.4g}, {high:+.4g}] against {baseline}"
    return gain if low > 0 or high < 0 else f"{gain}, not distinguishable"
