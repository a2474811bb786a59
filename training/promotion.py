"""Promotion: a registered model becomes the release that is served, unless it is worse than what it replaces."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.workspace import Workspace
from training import release, tracking
from training.intervals import paired_difference
from training.recommenders.own import Own

SAME = ("split", "metric", "log", "outcome")  # two evaluations are comparable where these agree


def promote(workspace: Workspace, kind: str, version: str, *, reason: str | None = None) -> str:
    """Writes the release, moves `champion`, and says so in one line.

    A model that is significantly worse than its baseline, or than the champion on the same data and split, is refused
    unless a reason is given, which is kept in the manifest and in MLflow.
    """
    chosen = _chosen(workspace, kind, version)
    evaluation = tracking.evaluation(chosen)
    alone = chosen.alias == tracking.CHAMPION and release.challenger(workspace, kind) is None
    if alone and release.serves(workspace, kind, version=str(chosen.version)):
        return f"{kind} {chosen.version} is the champion and is served already: {_words(evaluation)}"
    tags = _released(workspace, chosen, evaluation, reason)
    tracking.crown(chosen, tags)
    release.point(workspace, kind, str(chosen.version))
    return f"{kind} {chosen.version} is the champion and is served: {_words(evaluation)}"


def challenge(workspace: Workspace, kind: str, version: str, share: float, *, reason: str | None = None) -> str:
    """Lets a model answer this share of the customers beside the champion, of 0 none; what is worse is refused alike.

    Another challenger goes; promoting a model whole, and a rollback, end it.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share == {share:g}, must be >= 0 and < 1 (to serve it to all: promote it without --share)")
    chosen, champion = _chosen(workspace, kind, version), release.current(workspace, kind)
    if champion is None or champion.name == str(chosen.version):
        fault = "has no champion yet" if champion is None else f"{chosen.version} is the champion already"
        raise ValueError(f"{kind} {fault}; a challenger stands beside another release")
    evaluation = tracking.evaluation(chosen)
    tracking.crown(chosen, _released(workspace, chosen, evaluation, reason), tracking.CHALLENGER)
    release.challenge(workspace, kind, str(chosen.version), share)
    told = f"answers {share:.0%} of the customers" if share else "is a shadow: it answers nobody, and is journalled"
    return f"{kind} {chosen.version} {told} beside {champion.name}: {_words(evaluation)}"


def _released(
    workspace: Workspace, chosen: tracking.Version, evaluation: Mapping[str, Any], reason: str | None
) -> dict[str, str]:
    """Writes the release of a model that nothing speaks against, or that there is a reason for; what is said of it."""
    kind, version = chosen.kind, str(chosen.version)
    objections = [*_below_baseline(evaluation), *_below_champion(workspace, chosen, evaluation)]
    if objections and not reason:
        raise ValueError(f"{kind} {version} was not promoted: {'; '.join(objections)} (--force --reason TEXT)")
    tags = {"promoted_despite": "; ".join(objections), "promoted_because": reason or ""} if objections else {}
    with tempfile.TemporaryDirectory() as folder:
        model = tracking.download(chosen, Path(folder))
        facts = {**_facts(chosen, evaluation), "inputs": tracking.inputs(Path(folder)), **tags}
        release.write_release(workspace, model, version=version, run_id=chosen.run_id, facts=facts)
    release.load_release(workspace.releases / kind / version, Own.of(workspace))
    return tags


def _chosen(workspace: Workspace, kind: str, version: str) -> tracking.Version:
    """The version that is named, which was trained here: a release joins what its run left in the workspace."""
    if version == "latest":
        return tracking.latest(kind, workspace.runs)
    chosen = tracking.find(kind, version)
    if not tracking.trained_in(workspace.runs, chosen):
        theirs = f"in {chosen.workspace}" if chosen.workspace else "elsewhere"
        raise ValueError(
            f"{kind} {version} was trained {theirs}, not in this workspace (no run in {workspace.runs}); "
            f"promote it there with -w, or take `attune promote {kind} latest` here"
        )
    return chosen


def rollback(workspace: Workspace, kind: str) -> str:
    """Takes the last promotion back: a challenger goes, else the release before is served, once it was found whole."""
    tracking.require_kind(kind)
    if (beside := release.challenger(workspace, kind)) is not None:
        release.withdraw(workspace, kind)
        tracking.uncrown(kind, tracking.CHALLENGER)
        return f"{kind} {beside.version} is no longer beside {beside.champion}, which answers all customers"
    version = release.previous(workspace, kind)
    release.load_release(workspace.releases / kind / version, Own.of(workspace))
    tracking.crown(tracking.find(kind, version), {})
    release.point(workspace, kind, version)
    return f"{kind} {version} is the champion and is served again"


def compared(kind: str) -> list[dict[str, Any]]:
    """The registered models of this kind, newest first, with what each run found and took."""
    rows = []
    for version in tracking.versions(kind):
        evaluation = tracking.evaluation(version)
        rows.append(
            {
                "version": version.version,
                "alias": version.alias,
                "model": version.params.get("model") or version.params.get("learner", ""),
                "value": evaluation["model"],
                "found": _words(evaluation),
                "cpu_seconds": version.metrics.get("cpu_seconds", float("nan")),
                "data": version.fingerprint,
            }
        )
    return rows


def lines(kind: str) -> list[str]:
    """The table of `compared`, or a line on how to get a first row."""
    rows = compared(kind)
    if not rows:
        return [f"{kind} has no version yet; run `attune train {kind}`"]
    shown = [
        f"{'version':>7}  {'model':<16} {'alias':<10} {'CPU s':>6}  {'data':<16}  {'value':>8}  against its baseline"
    ]
    shown += [
        f"{row['version']:>7}  {row['model']:<16} {row['alias']:<10} {row['cpu_seconds']:>6.1f}  {row['data']:<16}  "
        f"{row['value']:>8.4g}  {row['found']}"
        for row in rows
    ]
    return shown


def _facts(chosen: tracking.Version, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says beside the model's own facts."""
    return {
        "params": dict(chosen.params),
        "metrics": dict(chosen.metrics),
        "data_fingerprint": chosen.fingerprint,
        "evaluation": _headline(evaluation),
        "features": evaluation.get("features", []),  # how they were distributed: counts, of no customer
    }


def _below_baseline(evaluation: Mapping[str, Any]) -> list[str]:
    return [f"it is worse than its baseline: {_words(evaluation)}"] if evaluation["upper"] < 0 else []


def _below_champion(workspace: Workspace, chosen: tracking.Version, evaluation: Mapping[str, Any]) -> list[str]:
    """An objection when the champion was judged on the same split and is better than chance explains.

    A run judges the champion of then on its own split; else both were trained on one.
    """
    for other in tracking.versions(chosen.kind):
        if other.alias != tracking.CHAMPION or other.version == chosen.version:
            continue
        again = evaluation.get("champion") or {}
        if again.get("version") == str(other.version):
            return [f"it is worse than the champion {again['words']}"] if again["upper"] < 0 else []
        theirs = tracking.evaluation(other)
        if any(theirs.get(name) != evaluation.get(name) for name in SAME):
            continue
        upper = _difference(workspace, chosen, evaluation, other, theirs)
        if upper < 0:
            return [f"it is worse than the champion {other.version}: {_words(theirs)}, ours {_words(evaluation)}"]
    return []


def _difference(
    workspace: Workspace,
    chosen: tracking.Version,
    evaluation: Mapping[str, Any],
    other: tracking.Version,
    theirs: Mapping[str, Any],
) -> float:
    """The upper end of ours minus theirs: paired over customers where both runs kept them, else from both intervals."""
    ours_kept, theirs_kept = (_kept(workspace, one, found) for one, found in ((chosen, evaluation), (other, theirs)))
    if ours_kept is None or theirs_kept is None or not np.array_equal(ours_kept[0], theirs_kept[0]):
        return float(evaluation["upper"] - theirs["lower"])
    counted = ~(np.isnan(ours_kept[1]) | np.isnan(theirs_kept[1]))
    # The draws' seed is fixed: the same two versions always get the same answer.
    return paired_difference(ours_kept[1][counted], theirs_kept[1][counted], np.random.default_rng(0)).upper


def _kept(workspace: Workspace, version: tracking.Version, evaluation: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The customers and their values of the chosen model on the metric, where the run left them in the workspace."""
    path = workspace.runs / version.run_id / "evaluation.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        name = f"{evaluation['chosen']}:all:{evaluation['metric'].partition('@')[0]}"
        return arrays["customers"], arrays[name]


def _headline(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    names = ("metric", "unit", "difference", "lower", "upper", "verdict")
    return {name: evaluation[name] for name in names if name in evaluation}


def _words(evaluation: Mapping[str, Any]) -> str:
    low, high = evaluation["lower"], evaluation["upper"]
    baseline = evaluation.get("baseline_name") or evaluation["baseline"]
    gain = f"{evaluation['metric']} {evaluation['difference']:+.4g} [{low:+.4g}, {high:+.4g}] against {baseline}"
    return gain if low > 0 or high < 0 else f"{gain}, not distinguishable"
