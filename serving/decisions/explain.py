"""Explain: a decision in words, from the journal's row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.decisions import NOTHING, RETRY, WEIGHED
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.journal import find

OWN = "none: the answer is the model's own"
SHOWN = 20  # options; the row itself holds them all


def explain(workspace: Workspace, decision_id: str) -> list[str]:
    """The lines that say who was answered what, when, why and with which probability."""
    row = find(workspace.state / "journal", Ledger.at(workspace.ledger), decision_id)
    if row is None:
        raise ValueError(f"decision {decision_id!r} is not in the journal of {workspace.folder}; ids come with answers")
    return list(_lines(row, workspace.hash))


def _lines(row: Mapping[str, Any], rules: str) -> Iterator[str]:
    model = f"{row['model']} {row['model_version']}" if row["model"] else "none"
    chosen = ", ".join(row["chosen"]) or NOTHING
    yield f"decision      {row['decision_id']} ({row['kind']})"
    yield f"time          {row['time'].isoformat(timespec='seconds')}Z"
    yield f"customer      {row['customer'] or 'not given'}"
    yield f"chosen        {chosen}"
    yield f"reason        {row['reason']}"
    yield f"probability   {row['probability']:.6g} by policy {row['policy']}"
    yield f"model         {model}"
    yield f"fallback      {row['fallback'] or OWN}"
    changed = "" if row["workspace_hash"] == rules else f" (the workspace is {rules} now: its files have changed)"
    yield f"workspace     {row['workspace_hash']}{changed}"
    asked = {name: value for name, value in row["context"].items() if name != RETRY}
    changes, code = asked.pop("what_would_change", None), asked.pop("code", None)
    weighed = asked.pop(WEIGHED, {})
    if code:
        yield f"code          {code}"
    yield f"asked         {asked}"
    if changes:
        yield f"would change  {changes['words']}"
    yield f"considered    {len(row['options'])} options"
    for option in row["options"][:SHOWN]:
        yield _option(option, weighed.get(option["key"]))


def _option(option: Mapping[str, Any], weighed: Mapping[str, float | None] | None) -> str:
    score = "no score" if option["score"] is None else f"{option['score']:.6g}"
    chance = "" if option["probability"] is None else f", probability {option['probability']:.6g}"
    if weighed is not None:
        score += f", costs {weighed['spend']:.6g}" + (f", spread {weighed['spread']:.6g}" if weighed["spread"] else "")
    why = f": {option['reason']}" if option.get("reason") else ""  # rows of earlier versions have no reason
    return f"  {option['key']}: {score}{chance}" + ("" if option["eligible"] else f", not eligible{why}")
