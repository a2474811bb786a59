"""The report of an experiment: computed by the command line, stored as JSON, served with its age.

experiment, description, hypothesis, control, shares, roles, metrics    what was asked, with hashes
arms            per arm its customers, and per metric mean, difference, lower, upper, p_value, bound (of a look), ...
looks           planned, customers, days, done, fraction, bound, next, end, customers_a_day: how far the test has come
over_time       per arm and primary metric points of day, customers, difference, lower, upper
segments        in_several, rows of segment, customers, arms, effects (arm, metric, difference, lower, upper, p_value,
                p_adjusted, shrunk {difference, lower, upper} or null), interactions (arm, metric, p_value, q, spread)
novelty         metric, first_days, per arm days of day, customers, difference, lower, upper and change (early, late,
                difference, lower, upper, p_value, verdict); null where no metric has days
elements        of a test of a content: customers, references, variants, metrics with the variants by effect (element,
                variant, customers, difference, lower, upper, p_value, p_adjusted, verdict); else null
spread          per mean of money the edges of its bins, and by arm the customers in each, below 0 and with none
placebo         splits, customers, from, until, per primary metric false_alarms, rate, lower, upper; or untold, why not
exposures       customers, seen_again, saw_two_arms, unknown_arm, beyond_plan
sample_ratio    in all, days, segments, sequential
warnings        what a reader has to know of the numbers, in words
verdict         what to do, in words

Everything is a sum over customers; `null` is what cannot be told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.events import utc
from features.workspace import Workspace
from serving.experiments.definitions import Experiment
from serving.experiments.metrics import Metric

if TYPE_CHECKING:
    from serving.experiments.compared import Evidence
    from serving.experiments.gathered import Gathered

LEVEL = 0.05  # below it segments are said to differ
Said = dict[str, Any]


def build(workspace: Workspace, experiment: Experiment, now: datetime) -> Said:
    """The report as plain values, as of now. Holds sums over customers only."""
    from serving.experiments.compared import Evidence
    from serving.experiments.elements import elements
    from serving.experiments.gathered import gather
    from serving.experiments.novelty import novelty
    from serving.experiments.overtime import over_time
    from serving.experiments.placebo import broken, placebo
    from serving.experiments.plans import edited, kept
    from serving.experiments.segments import counted, segmented
    from serving.experiments.split import split
    from serving.experiments.spread import spread
    from serving.experiments.verdict import judged
    from serving.experiments.warned import warned

    now = now.replace(microsecond=0)  # as it is stored: `attune verify` computes as of the same moment
    gathered = gather(workspace, experiment, now)
    plan = kept(workspace, experiment, now)
    experiment = gathered.experiment  # metrics by channel are now one each
    evidence = Evidence.of(gathered.rows, gathered.told, now)
    arms = _arms(gathered, evidence)
    tried = placebo(gathered)
    ratio = split(gathered.people, experiment.arms, counted(experiment, gathered.people))
    return {
        **_asked(workspace, experiment, gathered),
        "arms": arms,
        "plan": plan,
        "looks": gathered.looks.told(),
        "over_time": over_time(gathered),
        "segments": segmented(gathered),
        "novelty": novelty(gathered),
        "elements": elements(gathered),
        "spread": spread(gathered),
        "sample_ratio": ratio,
        **_exposed(gathered),
        "placebo": tried,
        "warnings": [*edited(plan), *broken(tried), *warned(gathered)],
        "verdict": "; ".join([judged(gathered, arms, ratio), *edited(plan)]),
    }


def _asked(workspace: Workspace, experiment: Experiment, gathered: Gathered) -> Said:
    """What the report is of."""
    metrics = [one.metric for one in gathered.told if one.metric.key in experiment.measured]
    return {
        "experiment": experiment.key,
        "description": experiment.description,
        "hypothesis": experiment.hypothesis,
        "computed_at": utc(gathered.now).isoformat(timespec="seconds") + "Z",
        "window_days": experiment.window_days,
        "currency": workspace.settings.currency,
        "control": experiment.control,
        "metrics": {one.key: defined(one) for one in metrics},
        "roles": {name: list(getattr(experiment, name)) for name in ("primary", "secondary", "guardrails")},
        "shares": dict(experiment.arms),
    }


def _exposed(gathered: Gathered) -> Said:
    """Who was counted, and who was not."""
    found, looks = gathered.found, gathered.looks
    return {
        "exposures": {
            "customers": len(found.first),
            "seen_again": found.again,
            "saw_two_arms": found.crossed,
            "unknown_arm": found.strays,
            "beyond_plan": gathered.beyond,
        },
        "window_open": len(looks.firsts) - looks.closed(looks.window),
        "saw_two_arms": found.crossed,
        "unknown_arm": found.strays,
        "left_out": gathered.left_out,
    }


def _arms(gathered: Gathered, evidence: Evidence) -> list[Said]:
    """What each arm with customers did, the control first; of the others what its guardrails and secondaries say."""
    from serving.experiments.verdict import unharmed

    experiment, known = gathered.experiment, gathered.known
    arms: list[Said] = [
        {
            "arm": arm,
            "customers": count,
            "metrics": evidence.of_arm(arm, experiment.control, gathered.told, gathered.looks),
        }
        for arm, count in gathered.counts.items()
        if count
    ]
    for arm in arms[1:]:
        for key in arm["metrics"].keys() & set(experiment.guardrails):
            arm["metrics"][key]["unharmed"] = unharmed(known[key], arm["metrics"][key], arms[0]["metrics"][key])
        _discovered(arm["metrics"], experiment.secondary)
    return arms


def defined(metric: Metric) -> dict[str, Any]:
    """What the metric is, as its file says it, and the hash of that."""
    told = metric.model_dump(mode="json", exclude_defaults=True)
    return {"name": metric.name, "hash": metric.hash, "kind": metric.kind, "better": metric.better, "definition": told}


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
    ratio = report["sample_ratio"]
    split = f"yes (p = {ratio['p_value']:.3f})" if ratio["as_planned"] else "NO, see the verdict"
    yield f"arms as large as planned: {split}; saw two arms, left out: {report['saw_two_arms']:,}"
    yield report["left_out"]
    yield from _beside(report)
    yield from (f"note: {warning}" for warning in report["warnings"])
    yield f"verdict: {report['verdict']}"


def _beside(report: Said) -> Iterator[str]:
    """How far the test has come, where its segments and days differ, its elements' variants, and its false alarms."""
    from serving.experiments.placebo import lines

    looks = report["looks"]
    if looks["fraction"] is not None:
        many = "any time" if looks["planned"] == "any" else f"look {looks['done']} of {looks['planned']}"
        ends = f"; next look {looks['next']}, end {looks['end']}" if looks["next"] else ""
        yield f"{many}, {looks['fraction']:.0%} of the planned size{ends}"
    for one in (report["segments"] or {}).get("interactions", ()):
        if one["metric"] not in report["roles"]["primary"]:
            continue
        differs = "differs" if one["p_value"] < LEVEL else "does not distinguishably differ"
        yield f"{one['metric']} of {one['arm']} {differs} between segments (p = {one['p_value']:.3f})"
    for arm in (report["novelty"] or {}).get("arms", ()):
        if arm["change"] is not None:
            yield f"effect of {arm['arm']} by days since the exposure: {arm['change']['verdict']}"
    yield from lines(report["placebo"])
    for metric, rows in (report["elements"] or {}).get("metrics", {}).items():
        for row in rows:
            interval = f"{row['difference']:+.4f} ({row['lower']:+.4f} to {row['upper']:+.4f})"
            yield f"{metric} of {row['element']}:{row['variant']}: {interval}, p among all {row['p_adjusted']:.3f}"


def _said(found: dict[str, Any]) -> str:
    if found.get("lower") is None or found["upper"] is None:  # nothing to test, or too little to say
        return f"  {found.get('untold', found['verdict'])}" if "verdict" in found else "     control"
    interval = f"{found['lower']:+.4f} to {found['upper']:+.4f}"
    return f"{found['difference']:>+12.4f}  {interval:<24}{found['p_value']:>7.3f}  {found['verdict']}"


def _discovered(metrics: Mapping[str, dict[str, Any]], secondary: Sequence[str]) -> None:
    """Gives the secondary metrics of an arm their p-values among each other: of many, some differ by chance."""
    from serving.experiments.discovery import adjusted

    tested = [key for key in secondary if metrics.get(key, {}).get("p_value") is not None]
    for key, p_value in zip(tested, adjusted(np.array([metrics[key]["p_value"] for key in tested])), strict=True):
        metrics[key]["p_adjusted"] = float(p_value)


def _path(reports: Path, key: str) -> Path:
    return reports / f"experiment-{key}.json"
