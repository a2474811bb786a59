"""Plan: what of an experiment must stand before the first customer is exposed, and whether it still stands.

Each `assign` decision carries the hash of its moment. Of what is seen without one (a slot, `Experiment Viewed` events)
the hash of each report that is stored is noted: `.attune/plans/KEY.json` holds every other hash since the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ColumnElement, select

from features.conditions.grammar import AllOf, AnyOf, Condition, Named, Not
from features.decisions import decisions
from features.events import utc
from features.ledger import Ledger
from features.workspace import Workspace
from serving.experiments.definitions import UNIT, Experiment
from serving.experiments.exposures import PLAN
from serving.experiments.metrics import Metric, chosen, read_metrics
from training.reports.page import whole

FOLDER = "plans"  # in `.attune/`
FREE = {"description"}  # what may be edited
Said = dict[str, Any]


def plan_hash(experiment: Experiment, metrics: Mapping[str, Metric]) -> str:
    """The first 12 hex digits of SHA-256 over arms, shares, salt, unit, audience, layer, days, metrics and the rest.

    `metrics`: the known ones by key. Only a description may change without another hash.
    """
    told = experiment.model_dump(mode="json", exclude=FREE | {"audience"})
    told["arms"] = list(experiment.arms.items())  # their order says which one is the control
    told |= {"salt": experiment.salted, "unit": UNIT}
    told["audience"] = None if experiment.audience is None else _spelled(experiment.audience)
    measured = chosen(metrics, experiment.measured, f"experiment {experiment.key!r}")
    told["metrics"] = {one.key: one.hash for one in measured}
    return hashlib.sha256(orjson.dumps(told, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _spelled(condition: Condition) -> Any:
    """The condition, and within it what each segment that it names means."""
    match condition:
        case AllOf() | AnyOf():
            return [type(condition).__name__, *map(_spelled, condition.parts)]
        case Not():
            return ["Not", _spelled(condition.part)]
        case Named() if condition.who is not None:
            return [condition.segment, _spelled(condition.who)]
        case _:
            return condition.model_dump()


def read_plans(folder: Path, experiments: Mapping[str, Experiment]) -> dict[str, str]:
    """The hash of each of these experiments of the workspace; refused where a metric is unknown."""
    known = read_metrics(folder)
    return {key: plan_hash(one, known) for key, one in experiments.items()}


def kept(workspace: Workspace, experiment: Experiment, now: datetime) -> Said:
    """`hash` of now and that `at_first_exposure`, whether it `changed`, and `since` when the present one is known."""
    hash_ = plan_hash(experiment, read_metrics(workspace.folder))
    first, since = _journalled(Ledger.at(workspace.ledger), experiment.key, hash_, now)
    if first is None:
        first, since = _reported(workspace, experiment.key, hash_, now)
    changed = first != hash_
    told = since.isoformat(timespec="seconds") + "Z" if changed and since else None
    return {"hash": hash_, "at_first_exposure": first, "changed": changed, "since": told}


def edited(plan: Said) -> list[str]:
    """That the definition was edited while the experiment ran, in words; nothing where it was not."""
    if not plan["changed"]:
        return []
    since = f" since {plan['since']}" if plan["since"] else ""
    hashes = f"plan {plan['at_first_exposure']} then, {plan['hash']} now{since}"
    return [f"the definition was edited after the first exposure ({hashes}), so this is not what was planned"]


def _journalled(ledger: Ledger, key: str, hash_: str, now: datetime) -> tuple[str | None, datetime | None]:
    """The hash of the first exposure, and the time of the first with the present hash; None where none carries one."""
    first = _first(ledger, key, decisions.c.context.contains(f'"{PLAN}":"'), now)
    if first is None:
        return None, None
    since = _first(ledger, key, decisions.c.context.contains(f'"{PLAN}":"{hash_}"'), now)
    return first[0], since and since[1]


def _first(ledger: Ledger, key: str, told: ColumnElement[bool], now: datetime) -> tuple[str, datetime] | None:
    """Hash and time of the first exposure whose decision says this."""
    named = decisions.c.context.contains(f'"experiment":"{key}"', autoescape=True)
    inside = decisions.c.context.contains('"in_experiment":true', autoescape=True)
    query = select(decisions.c.time, decisions.c.context)
    query = query.where(decisions.c.kind == "assign", decisions.c.time < utc(now), named, inside, told)
    with ledger.read() as connection:
        row = connection.execute(query.order_by(decisions.c.time).limit(1)).first()
    return None if row is None else (json.loads(row.context)[PLAN], row.time)


def note(workspace: Workspace, key: str, hash_: str, now: datetime) -> None:
    """Notes the hash of a report that is stored, where it is new."""
    known = _noted(workspace, key)
    if not known or known[-1]["hash"] != hash_:
        path = _path(workspace, key)
        path.parent.mkdir(exist_ok=True)
        whole(path, json.dumps([*known, {"hash": hash_, "since": utc(now).isoformat()}], indent=1))


def _reported(workspace: Workspace, key: str, hash_: str, now: datetime) -> tuple[str, datetime]:
    """The hash of the first report, and since when the present one is known."""
    known = [one for one in _noted(workspace, key) if datetime.fromisoformat(one["since"]) <= utc(now)]
    stands = known and known[-1]["hash"] == hash_
    return known[0]["hash"] if known else hash_, datetime.fromisoformat(known[-1]["since"]) if stands else utc(now)


def _noted(workspace: Workspace, key: str) -> list[Said]:
    path = _path(workspace, key)
    found: list[Said] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return found


def _path(workspace: Workspace, key: str) -> Path:
    return workspace.state / FOLDER / f"{key}.json"
