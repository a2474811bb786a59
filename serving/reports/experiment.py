"""The report of an experiment as one offline HTML file and as CSV, beside the stored JSON; both show its numbers alone.

What a report does not hold, as one that an older Attune stored, is not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from features.words import many
from features.workspace import Workspace
from serving.reports import experiment_charts as charts
from serving.reports import experiment_parts as parts
from serving.reports.experiment_words import METHOD, definition, headline, kind_of, name_of, says, times, unit_of
from serving.reports.shelf import keep
from training.reports.page import Page, anchor, interval, shown

Report = Mapping[str, Any]


def write(workspace: Workspace, report: dict[str, Any]) -> list[Path]:
    """Stores the report as JSON, HTML and CSV, and notes its plan; the paths."""
    from serving.experiments.plans import note

    note(workspace, report["experiment"], report["plan"]["hash"], datetime.fromisoformat(report["computed_at"]))
    return keep(workspace, f"experiment-{report['experiment']}", report, page(report))


def page(report: Report) -> Page:
    """The page of this report."""
    until = report["computed_at"].replace("T", " ").removesuffix("Z")
    window = many(report["window_days"], "day")
    told = Page(f"Experiment: {report['experiment']}", f"as of {until} UTC · window of {window}")
    for text in filter(None, (report.get("description"), report.get("hypothesis"))):
        told.text(text)
    _verdict(told, report)
    found = {title: add for title, add, has in _sections(report) if has}
    told.links("Parts of this report", {title: f"#{anchor(title)}" for title in found})
    for add in found.values():
        add(told, report)
    _method(told, report)
    return told


def _sections(report: Report) -> Iterator[tuple[str, Any, bool]]:
    yield "What it changed", _changed, True
    yield from parts.sections(report)


def _verdict(page: Page, report: Report) -> None:
    head, why = headline(report["verdict"])
    page.verdict(head, why, kind=kind_of(report["verdict"]))
    for warning in _warnings(report):
        page.warning(warning)


def _warnings(report: Report) -> Iterator[str]:
    ratio = report["sample_ratio"]
    if not ratio["as_planned"]:
        yield f"The arms are not as large as planned: {ratio.get('why') or 'p = ' + shown(ratio['p_value'])}."
    yield from report.get("warnings", ())
    for name, words in {"saw_two_arms": "saw two arms", "unknown_arm": "were in an arm that nobody planned"}.items():
        if report.get(name):
            yield f"{report[name]:,} {words}; they are left out."


def _changed(page: Page, report: Report) -> None:
    control = report["arms"][0]
    page.section(
        "What it changed",
        f"Each metric against the arm “{control['arm']}”. An interval that crosses the dashed line is not "
        "distinguishable from no effect.",
    )
    for arm in report["arms"][1:]:
        if len(report["arms"]) > 2:  # one compared arm needs no name
            page.subsection(f"Arm {arm['arm']}")
        rows = [row for key in arm["metrics"] if (row := _lift(report, arm, key))]
        if rows:
            frame = charts.frame_of(rows)
            cut = (
                " An interval that reaches the picture's edge goes on; the table holds it." if _cut(rows, frame) else ""
            )
            page.chart(
                charts.lifts(rows, "metric", frame), f"Lift of {arm['arm']} by metric, with 95 % intervals.{cut}"
            )
        page.table([_metric(report, arm, key) for key in arm["metrics"]], words=("metric", "says"))
        page.table(
            [_more(report, arm, key) for key in arm["metrics"]],
            summary="Lifts, p-values, chance to beat and expected loss",
        )
        told = arm["metrics"].items()
        untold = [f"{name_of(report, key)}: {found['untold']}." for key, found in told if found.get("untold")]
        if untold:
            page.details("What cannot be told, and why", *untold)


def _lift(report: Report, arm: Report, key: str) -> dict[str, Any] | None:
    found = arm["metrics"][key]
    if any(found.get(name) is None for name in ("lift", "lift_lower", "lift_upper")):
        return None
    numbers = {"value": 100 * found["lift"], "lower": 100 * found["lift_lower"], "upper": 100 * found["lift_upper"]}
    return {"metric": name_of(report, key), "says": says(report.get("metrics", {}).get(key, {}), found)} | numbers


def _cut(rows: list[dict[str, Any]], frame: float) -> bool:
    return any(max(-row["lower"], row["upper"]) > frame for row in rows)


def _metric(report: Report, arm: Report, key: str) -> dict[str, Any]:
    found, control = arm["metrics"][key], report["arms"][0]["metrics"].get(key, {})
    by, unit = unit_of(report.get("metrics", {}).get(key, {}), report["currency"])
    told = {name: times(by, found.get(name)) for name in ("difference", "lower", "upper", "mean")}
    return {
        "metric": f"{name_of(report, key)}{f' ({unit})' if unit else ''}",
        "difference": told["difference"],
        "95 % interval": interval(told["lower"], told["upper"]),
        report["control"]: times(by, control.get("mean")),
        arm["arm"]: told["mean"],
        "says": _says(report, key, found),
    }


def _says(report: Report, key: str, found: Report) -> str:
    known = key in report.get("metrics", {}) or "untold" in found
    told = says(report["metrics"].get(key, {}), found) if known else found.get("verdict", "")
    return told + {True: ", unharmed", None: "", False: ", harm not ruled out"}[found.get("unharmed")]


def _more(report: Report, arm: Report, key: str) -> dict[str, Any]:
    found = arm["metrics"][key]
    lift = {name: times(100.0, found.get(name)) for name in ("lift", "lift_lower", "lift_upper")}
    row = {
        "metric": name_of(report, key),
        "lift (%)": lift["lift"],
        "95 % interval": interval(lift["lift_lower"], lift["lift_upper"]),
        "p": found.get("p_value"),
        "p, adjusted": found.get("p_adjusted"),
        "chance to beat": found.get("chance_to_beat"),
        "expected loss": found.get("expected_loss"),
    }
    return row | {
        f"customers, {one['arm']}": one["metrics"].get(key, {}).get("customers") for one in (report["arms"][0], arm)
    }


def _method(page: Page, report: Report) -> None:
    page.section("Method and definitions", report["left_out"])
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
    for key, metric in report.get("metrics", {}).items():
        role = next((name for name, keys in report.get("roles", {}).items() if key in keys), None)
        told = f"{metric['name']} ({key}{f', {role}' if role else ''})"
        page.details(told, *definition(metric), f"Definition {metric['hash']}: another hash is another metric.")
