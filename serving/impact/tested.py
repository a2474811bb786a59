"""Tested: what a campaign's experiment says of it. An experiment is a campaign's where its key is the campaign's id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from features.workspace import Workspace
from serving.experiments.definitions import read_experiments
from serving.experiments.report import stored

Said = dict[str, Any]
TOLD = ("mean", "difference", "lower", "upper", "p_value", "lift", "verdict")


def with_tests(campaigns: Iterable[Mapping[str, Any]], workspace: Workspace, now: datetime) -> list[Said]:
    """The campaigns, each with `experiment`: what its stored report says of the difference to the control, or null."""
    known = read_experiments(workspace.folder)
    return [
        {**row, "experiment": _tested(row["key"], workspace, now) if row["key"] in known else None} for row in campaigns
    ]


def _tested(key: str, workspace: Workspace, now: datetime) -> Said | None:
    report = stored(workspace.reports, key, now)
    if report is None:
        return None
    arms = [
        {
            "arm": arm["arm"],
            "customers": arm["customers"],
            "metrics": {name: {part: one.get(part) for part in TOLD} for name, one in arm["metrics"].items()},
        }
        for arm in report["arms"]
    ]
    kept = {name: report[name] for name in ("computed_at", "control", "verdict")}
    return {"key": key} | kept | {"arms": arms}
