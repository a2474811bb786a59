"""The report of an experiment: computed by the command line, stored as JSON, served with its age.

assign decisions + Experiment Viewed --> first exposure per customer --+
decide decisions joined with Experience Viewed (`shows`) ------^       +-> one row per customer -> moments -> tests
what the metrics ask of the events in the window after it -------------+
of a slot also Experience Clicked, once per customer ------------------+
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from features.consent import consented_customers, left_out
from features.engine import held
from features.events import Events, utc
from features.history import read_events
from features.ledger import Ledger
from features.workspace import Workspace
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import (
    EXPERIENCE_CLICKED,
    Exposed,
    Seen,
    assigned,
    clicked,
    experienced,
    exposed,
    viewed,
)
from serving.experiments.metrics import Measure, Metric, chosen, read_metrics
from serving.experiments.moments import MIN_CUSTOMERS
from serving.experiments.values import PEOPLE, Columns, columns, values
from serving.experiments.verdict import unharmed, verdict

if TYPE_CHECKING:
    from serving.experiments.compared import Evidence

CLICKS = Metric(key="click", name="Clicked what it showed", numerator=Measure(event=EXPERIENCE_CLICKED, sum="any"))
CLICKED = "clicked"  # its column: of a slot, who clicked is known by the decisions that were clicked


def build(workspace: Workspace, experiment: Experiment, now: datetime) -> dict[str, Any]:
    """The report as plain values, as of now. Holds sums over customers only."""
    import ibis

    from serving.experiments.compared import Evidence

    metrics = chosen(read_metrics(workspace.folder), experiment.measured, f"experiment {experiment.key!r}")
    ledger = Ledger.at(workspace.ledger)
    events = read_events(workspace)
    seen = _seen(ledger, events, experiment, now)
    allowed = set(consented_customers(ledger, purpose="analytics", as_of=now))
    all_customers = {customer for customer, _, _ in seen}
    found = exposed((one for one in seen if one[0] in allowed), experiment.arms)
    wanted, people = columns(metrics, experiment.window_days), people_of(found)
    told = list(wanted)
    if experiment.shows is not None:
        clicks = clicking(clicked(ledger, events, experiment.shows, now), found, experiment.window_days)
        people = people.append_column(CLICKED, pa.array(np.isin(people["customer"].to_numpy(), clicks).astype(float)))
        told.append(Columns(CLICKS, CLICKED, timedelta(days=experiment.window_days)))
    evidence = Evidence.of(held(values(events.before(now), ibis.memtable(people), wanted)), told, now)
    counts = {arm: people["arm"].to_pylist().count(arm) for arm in experiment.arms}
    _enough(experiment, counts)
    ratio = split(people, experiment.arms)
    control = experiment.control
    arms = [
        {"arm": arm, "customers": count, "metrics": evidence.of_arm(arm, control, told)}
        for arm, count in counts.items()
        if count
    ]
    known = {one.metric.key: one.metric for one in told}
    for arm in arms[1:]:
        for key in arm["metrics"].keys() & set(experiment.guardrails):
            arm["metrics"][key]["unharmed"] = unharmed(known[key], arm["metrics"][key], arms[0]["metrics"][key])
        _discovered(arm["metrics"], experiment.secondary)
    primary = [*experiment.primary, *([CLICKS.key] if experiment.shows is not None else [])]
    advice = verdict(arms, known, primary=primary, guardrails=experiment.guardrails)
    return {
        "experiment": experiment.key,
        "description": experiment.description,
        "computed_at": utc(now).isoformat(timespec="seconds") + "Z",
        "window_days": experiment.window_days,
        "currency": workspace.settings.currency,
        "control": experiment.control,
        "metrics": {one.key: defined(one) for one in metrics},
        "roles": {name: list(getattr(experiment, name)) for name in ("primary", "secondary", "guardrails")},
        "shares": dict(experiment.arms),
        "arms": arms,
        "sample_ratio": ratio,
        "window_open": _open(people, experiment.window_days, now),
        "saw_two_arms": found.crossed,
        "unknown_arm": found.strays,
        "left_out": left_out(len(all_customers), len(all_customers - allowed), "analytics"),
        "verdict": _broken(ratio) or _early(people, evidence, experiment) or advice,
    }


def defined(metric: Metric) -> dict[str, Any]:
    """What the metric is, as its file says it, and the hash of that."""
    told = metric.model_dump(mode="json", exclude_defaults=True)
    return {"name": metric.name, "hash": metric.hash, "kind": metric.kind, "better": metric.better, "definition": told}


def people_of(found: Exposed) -> pa.Table:
    """The exposed customers, with arm and first exposure."""
    rows = [(who, arm, first) for who, (arm, first) in found.first.items()]
    return pa.Table.from_pylist([dict(zip(PEOPLE.names, row, strict=True)) for row in rows], schema=PEOPLE)


def split(people: pa.Table, shares: Mapping[str, float]) -> dict[str, Any]:
    """Whether the arms are as large as their shares say: in all, on each day of first exposures, and day after day."""
    from serving.experiments.ratio import cells, chi_square, watch

    days: dict[str, Counter[str]] = {}
    for arm, first in zip(people["arm"].to_pylist(), people["first"].to_pylist(), strict=True):
        days.setdefault(first.date().isoformat(), Counter())[arm] += 1
    days = dict(sorted(days.items()))
    whole, each, watched = chi_square(sum(days.values(), Counter()), shares), cells(days, shares), watch(days, shares)
    since = f"day after day it is off since {watched.since}" if watched.since else ""
    said = [whole.why, since, *(f"{day.cell}: {day.why}" for day in each if day.alarm)]
    return {
        "p_value": whole.p_value,
        "as_planned": not any(said),
        "why": "; ".join(filter(None, said)),
        "sequential": {"p_value": watched.p_value, "since": watched.since},
        "days": [
            {"day": day.cell, "arms": days[day.cell], "p_value": day.adjusted, "alarm": day.alarm} for day in each
        ],
    }


def _open(people: pa.Table, window_days: int, now: datetime) -> int:
    """How many customers' windows have not closed yet."""
    return sum(first + timedelta(days=window_days) > utc(now) for first in people["first"].to_pylist())


def _seen(ledger: Ledger, events: Events, experiment: Experiment, now: datetime) -> list[Seen]:
    if experiment.shows is not None:
        return list(experienced(ledger, events, experiment.shows, now))
    return [*assigned(ledger, experiment.key, now), *viewed(events, experiment.key, now)]


def clicking(clicks: Iterable[Seen], found: Exposed, window_days: int) -> list[str]:
    """The exposed customers who clicked within the window after the exposure."""
    window = timedelta(days=window_days)
    seen = ((who, time, found.first[who][1]) for who, _, time in clicks if who in found.first)
    return sorted({who for who, time, first in seen if first <= time < first + window})


def write(workspace: Workspace, report: dict[str, Any]) -> Path:
    """Stores the report; the file appears whole or not at all."""
    workspace.reports.mkdir(exist_ok=True)
    path = _path(workspace.reports, report["experiment"])
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    temporary.replace(path)
    return path


def stored(reports: Path, key: str, now: datetime) -> dict[str, Any] | None:
    """The stored report with its age in seconds, or None when none was made."""
    path = _path(reports, key)
    if not path.is_file():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    made = datetime.fromisoformat(report["computed_at"])
    return report | {"age_seconds": max(0, int((utc(now) - utc(made)).total_seconds()))}


def table(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines for a terminal."""
    yield f"{report['experiment']}: {report['description']}".rstrip(": ")
    yield f"{'arm':<16}{'customers':>10}  {'metric':<22}{'mean':>10}{'difference':>12}  {'95 % interval':<24}{'p':>7}"
    for arm in report["arms"]:
        for metric, found in arm["metrics"].items():
            mean = "-" if found["mean"] is None else f"{found['mean']:.4f}"
            yield f"{arm['arm']:<16}{found['customers']:>10,}  {metric:<22}{mean:>10}{_said(found)}"
    yield f"arms as large as planned: {'yes' if report['sample_ratio']['as_planned'] else 'NO'}" + (
        f" (p = {report['sample_ratio']['p_value']:.3f}); saw two arms, left out: {report['saw_two_arms']:,}"
    )
    yield report["left_out"]
    yield f"verdict: {report['verdict']}"


def _said(found: dict[str, Any]) -> str:
    if found.get("lower") is None or found["upper"] is None:  # nothing to test, or too little to say
        return f"  {found['verdict']}" if "verdict" in found else "     control"
    interval = f"{found['lower']:+.4f} to {found['upper']:+.4f}"
    return f"{found['difference']:>+12.4f}  {interval:<24}{found['p_value']:>7.3f}  {found['verdict']}"


def _discovered(metrics: Mapping[str, dict[str, Any]], secondary: Sequence[str]) -> None:
    """Gives the secondary metrics of an arm their p-values among each other: of many, some differ by chance."""
    from serving.experiments.discovery import adjusted

    tested = [key for key in secondary if metrics.get(key, {}).get("p_value") is not None]
    for key, p_value in zip(tested, adjusted(np.array([metrics[key]["p_value"] for key in tested])), strict=True):
        metrics[key]["p_adjusted"] = float(p_value)


def _broken(ratio: Mapping[str, Any]) -> str | None:
    if ratio["as_planned"]:
        return None
    return f"broken: the arms are not as large as planned, so no number here is to be believed ({ratio['why']})"


def _early(people: pa.Table, evidence: Evidence, experiment: Experiment) -> str | None:
    """That it is too early to say anything, until when; None where each arm has enough customers who count."""
    if all(evidence.closed(arm) >= MIN_CUSTOMERS for arm, share in experiment.arms.items() if share > 0):
        return None
    first = min(people["first"].to_pylist()) + timedelta(days=experiment.window_days)
    window = f"the {experiment.window_days} days in which a customer counts"
    return f"keep going: {window} are over for too few; the first end on {first:%Y-%m-%d %H:%M} UTC"


def _enough(experiment: Experiment, counts: Mapping[str, int]) -> None:
    """A test needs customers in each arm; where none are, it is said where they come from."""
    invited = [arm for arm, share in experiment.arms.items() if share > 0]
    if min(counts[arm] for arm in invited) < MIN_CUSTOMERS:
        raise ValueError(
            f"experiment {experiment.key!r} has {dict(counts)} exposed customers; at least {MIN_CUSTOMERS} per arm are "
            "needed. They come from POST /v1/experiments/{key}/assign and from 'Experiment Viewed' events of the log; "
            "with `shows` from 'Experience Viewed' events that name a decision of POST /v1/decide"
        )


def _path(reports: Path, key: str) -> Path:
    return reports / f"experiment-{key}.json"
