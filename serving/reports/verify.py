"""Verify: a stored report's numbers, recomputed from the journal and the events as of the report's own moment.

What came in later is not known as of then: live events by their receipt, decisions and consents by their time. What is
different all the same was changed since: a file that was imported later, an erased customer, an edited definition.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from features.consent import consented_customers
from features.erased import erased_ids
from features.events import utc
from features.ledger import Ledger
from features.words import many
from features.workspace import Workspace
from serving.experiments.challenges import experiment
from serving.experiments.metrics import Metric, read_metrics
from serving.experiments.plans import plan_hash

NEAR = 1e-9  # relative: sums of the same rows in another order differ in their last digits
NOTHING = 1e-14  # what is left where such sums cancel; no share, interval or p-value is told that finely
EVER = datetime(9999, 1, 1, tzinfo=UTC)  # whatever was said
SHOWN = 20  # differences
UNKNOWN = "is no stored report of an experiment, impact, the journey or policies"
KINDS = ("impact", "journey", "policy")
Report = Mapping[str, Any]
Plain = str | float | bool | None


@dataclass(frozen=True)
class Different:
    """A value that is not the same: where it stands, what is stored and what was recomputed."""

    where: str
    stored: object
    recomputed: object

    def __str__(self) -> str:
        return f"{self.where}: {self.stored} stored, {self.recomputed} recomputed"


@dataclass(frozen=True)
class Verified:
    """`numbers`: how many were recomputed. `edited`: definitions that changed, so that nothing could be recomputed.
    `since`: what else changed since, where something differs.
    """

    path: Path
    computed_at: str
    numbers: int
    different: Sequence[Different]
    edited: Sequence[str]
    since: Sequence[str]

    @property
    def same(self) -> bool:
        return not self.different and not self.edited


def verify(workspace: Workspace, name: str) -> Verified:
    """The stored report of this name (a test's key, one of `KINDS`, or a path), recomputed."""
    path = _path(workspace.reports, name)
    report = _read(path)
    moment = datetime.fromisoformat(report["computed_at"]).replace(tzinfo=UTC)
    told = path, report["computed_at"]
    try:
        if edited := list(_edited(workspace, report)):
            return Verified(*told, 0, (), edited, ())
        report, again = _own(report), _own(json.loads(json.dumps(_again(workspace, report, moment))))
    except (KeyError, TypeError, AttributeError):  # it lacks what says how it was made
        raise ValueError(f"{path}: {UNKNOWN}") from None
    different = list(_differences(report, again, ()))
    since = list(_since(workspace, moment)) if different else []
    return Verified(*told, sum(_numbers(report)), different, (), since)


def lines(found: Verified) -> Iterator[str]:
    """What was found, in words."""
    if found.same:
        yield f"{found.path.name}: {found.numbers:,} numbers recomputed as of {found.computed_at}, all equal"
        return
    yield from (f"{found.path.name}: {said}; it cannot be recomputed" for said in found.edited)
    yield from (f"{found.path.name}: {one}" for one in found.different[:SHOWN])
    if len(found.different) > SHOWN:
        yield f"and {len(found.different) - SHOWN:,} more"
    if found.different:
        count = many(len(found.different), "value")
        yield "; ".join([f"recomputed as of {found.computed_at}: {count} not the same", *found.since])


def _path(reports: Path, name: str) -> Path:
    given = Path(name)
    if given.suffix == ".json" and given.is_file():
        return given
    path = reports / (f"{name}.json" if name in KINDS else f"experiment-{name}.json")
    if given.name == name and path.is_file():
        return path
    known = sorted(one.stem.removeprefix("experiment-") for one in reports.glob("experiment-*.json"))
    known += [one for one in KINDS if (reports / f"{one}.json").is_file()]
    raise ValueError(f"there is no stored report {name!r}; there are {', '.join(known) or 'none: `attune report`'}")


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        known = isinstance(report, dict) and ("experiment" in report or report.get("kind") in KINDS)
        if known and isinstance(datetime.fromisoformat(report["computed_at"]), datetime):
            return dict(report)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path}: {UNKNOWN}")


def _edited(workspace: Workspace, report: Report) -> Iterator[str]:
    """The definitions that are not what they were."""
    known = read_metrics(workspace.folder)
    gone = [key for key in report.get("metrics", {}) if not any(_is_of(key, one) for one in known.values())]
    yield from (f"the metric {key!r} was taken out since" for key in gone)
    for key, one in report.get("metrics", {}).items():
        now = known[key].hash if key in known else None
        if key in known and now != one["hash"]:
            yield f"the metric {key!r} was edited since ({one['hash']} then, {now} now)"
    if "experiment" in report and "plan" in report and not gone:
        then, now = report["plan"]["hash"], plan_hash(experiment(workspace, report["experiment"]), known)
        if then != now:
            yield f"the experiment {report['experiment']!r} was edited since (plan {then} then, {now} now)"


def _is_of(key: str, metric: Metric) -> bool:
    """Whether the key is the metric's, or that of one of its channels."""
    return key == metric.key or (metric.by is not None and key.startswith(f"{metric.key}-"))


def _again(workspace: Workspace, report: Report, moment: datetime) -> dict[str, Any]:
    """The report, computed as of its own moment."""
    if "experiment" in report:
        from serving.experiments.report import build

        return build(workspace, experiment(workspace, report["experiment"]), moment)
    if report["kind"] == "policy":
        from serving.experiments import off_policy

        return off_policy.build(workspace, moment, report["window_days"])
    from serving.impact import journey
    from serving.impact import report as impact

    build_ = impact.build if report["kind"] == "impact" else journey.build
    return build_(workspace, date.fromisoformat(report["from"]), date.fromisoformat(report["to"]), moment)


def _own(report: dict[str, Any]) -> dict[str, Any]:
    """Without what is copied from the report of a campaign's test, which is verified by itself."""
    if "campaigns" not in report:
        return report
    return {**report, "campaigns": [{**one, "experiment": None} for one in report["campaigns"]]}


def _numbers(value: Any) -> Iterator[int]:
    """1 for each number."""
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield 1


def _differences(stored: Any, again: Any, where: tuple[str, ...]) -> Iterator[Different]:
    """Of all that either holds: what was taken out of a report differs as well."""
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        for name in {**stored, **again}:
            yield from _differences(stored.get(name), again.get(name), (*where, name))
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for place, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from _differences(one, other, (*where, _named(one, place)))
    elif not _same(stored, again):
        yield Different(" / ".join(where), _short(stored), _short(again))


def _same(stored: Any, again: Any) -> bool:
    if isinstance(stored, bool) != isinstance(again, bool):
        return False  # to Python True is 1
    if isinstance(stored, int | float) and isinstance(again, int | float):
        return math.isclose(stored, again, rel_tol=NEAR, abs_tol=NOTHING)
    return bool(stored == again)


def _named(value: Any, place: int) -> str:
    """What an object of a list calls itself, else its place."""
    names = [value[name] for name in ("arm", "day", "key", "segment") if isinstance(value, Mapping) and name in value]
    return str(names[0]) if names else str(place)


def _short(value: Any) -> object:
    return many(len(value), "value") if isinstance(value, Mapping | list) else value


def _since(workspace: Workspace, moment: datetime) -> Iterator[str]:
    """What was erased and withdrawn since the report."""
    ledger = Ledger.at(workspace.ledger)
    query = select(func.count()).select_from(erased_ids).where(erased_ids.c.time > utc(moment))
    with ledger.read() as connection:
        if erased := int(connection.execute(query).scalar_one()):
            yield f"{many(erased, 'id')} erased since, whose rows are gone"
    then, now = (set(consented_customers(ledger, purpose="analytics", as_of=one)) for one in (moment, EVER))
    if then - now:
        yield f"of {many(len(then), 'customer')} who had agreed to analytics {len(then - now):,} agree no longer"
