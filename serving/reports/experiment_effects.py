"""For whom, when and by what a test's effect came: its segments, the days since the exposure, a content's elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from features.words import many
from serving.reports import experiment_charts as charts
from serving.reports.experiment_words import keys_of, name_of, of_arm, others_of, says, times, unit_of
from training.reports.page import Page, interval, shown

Report = Mapping[str, Any]
Section = tuple[str, Callable[[Page, Report], None], bool]


def sections(report: Report) -> Iterator[Section]:
    """Title, what adds it to a page, and whether the report holds it."""
    novelty, elements = report.get("novelty") or {}, report.get("elements") or {}
    yield "By segment", _segments, bool((report.get("segments") or {}).get("rows"))
    yield "By days since the exposure", _novelty, any(one["days"] for one in novelty.get("arms", ()))
    yield "What each element does", _elements, any(elements.get("metrics", {}).values())


def _segments(page: Page, report: Report) -> None:
    found = report["segments"]
    page.section(
        "By segment",
        "The effect among those who were in the segment before their first exposure. Of many segments some differ by "
        "chance: the adjusted p-value holds for all of them together.",
    )
    if found.get("in_several"):
        page.text(f"In several of them: {many(found['in_several'], 'customer')}, so the effects are told as they are.")
    for arm in others_of(report):
        for key in keys_of(report):
            effects = [(row, one) for row in found["rows"] for one in row["effects"] if _is(one, arm, key)]
            if effects:
                _segment(page, report, key, arm, effects)


def _is(effect: Report, arm: str, key: str) -> bool:
    return bool(effect["arm"] == arm and effect["metric"] == key)


def _segment(page: Page, report: Report, key: str, arm: str, effects: list[tuple[Report, Report]]) -> None:
    by, unit = unit_of(report["metrics"].get(key, {}), report["currency"])
    name, rows = f"{name_of(report, key)}{of_arm(report, arm)}", []
    for row, one in effects:
        if one["lower"] is not None:
            numbers = {"value": by * one["difference"], "lower": by * one["lower"], "upper": by * one["upper"]}
            rows.append({"segment": row["segment"], "says": says(report["metrics"].get(key, {}), one)} | numbers)
    main = key in report.get("roles", {}).get("primary", [key])  # a picture of each would hide what counts
    if main:
        page.subsection(name, *_interaction(report["segments"], arm, key))
    if main and rows:
        told = charts.told(rows, "segment", f"difference{f' ({unit})' if unit else ''}")
        page.chart(told, f"{name}: the effect in each segment, with 95 % intervals.")
    page.table([_of_segment(row, one, by) for row, one in effects], summary=f"{name} by segment, as a table")


def _interaction(found: Report, arm: str, key: str) -> list[str]:
    for one in found.get("interactions", ()):
        if _is(one, arm, key) and one.get("p_value") is not None:
            differ = "differs between the segments" if one["p_value"] < 0.05 else "is not shown to differ between them"
            return [f"The effect {differ} (p = {shown(one['p_value'])})."]
    return []


def _of_segment(row: Report, one: Report, by: float) -> dict[str, Any]:
    drawn = one.get("shrunk") or {}
    return {
        "segment": row["segment"],
        "difference": times(by, one["difference"]),
        "95 % interval": interval(times(by, one["lower"]), times(by, one["upper"])),
        "p, adjusted": one.get("p_adjusted"),
        "drawn together": times(by, drawn.get("difference")),
        "its interval": interval(times(by, drawn.get("lower")), times(by, drawn.get("upper"))),
        "customers": row["customers"],
    }


def _novelty(page: Page, report: Report) -> None:
    found = report["novelty"]
    by, unit = unit_of(report["metrics"].get(found["metric"], {}), report["currency"])
    unit = f"difference on the day{f' ({unit})' if unit else ''}"
    page.section(
        "By days since the exposure",
        "The effect on each day after a customer's first exposure: what is new may fade, or take time. An interval is "
        "that of its day alone, so one in twenty is off by chance.",
    )
    for one in found["arms"]:
        if not one["days"]:
            continue
        name = f"{name_of(report, found['metric'])}{of_arm(report, one['arm'])}"
        if one.get("change"):
            first = f"the first {many(found['first_days'], 'day')} against the later ones"
            page.text(f"{name}: {one['change']['verdict']} ({first}, p = {shown(one['change']['p_value'])}).")
        rows = [dict(day) | {end: by * day[end] for end in ("difference", "lower", "upper")} for day in one["days"]]
        page.chart(charts.by_day(rows, unit), f"{name}: the effect by days since the exposure.")
        table = [
            {"day": row["day"], "difference": row["difference"], "95 % interval": interval(row["lower"], row["upper"])}
            | {"customers": row["customers"]}
            for row in rows
        ]
        page.table(table, summary=f"{name} by day, as a table")


def _elements(page: Page, report: Report) -> None:
    found = report["elements"]
    told = ", ".join(f"{element}: {variant}" for element, variant in found["references"].items())
    page.section(
        "What each element does",
        f"Each variant against the one that its element is compared with ({told}), all elements in one model. Of many "
        "variants some differ by chance: the adjusted p-value holds for all of a metric together.",
    )
    for key, variants in found["metrics"].items():
        by, unit = unit_of(report["metrics"].get(key, {}), report["currency"])
        rows = [
            {"variant": f"{one['element']}: {one['variant']}", "says": says(report["metrics"].get(key, {}), one)}
            | {"value": by * one["difference"], "lower": by * one["lower"], "upper": by * one["upper"]}
            for one in variants
            if one["lower"] is not None
        ]
        if rows:
            picture = charts.told(rows, "variant", f"difference{f' ({unit})' if unit else ''}")
            page.chart(picture, f"{name_of(report, key)}: what each variant does, with 95 % intervals.")
        page.table([_of_variant(one, by) for one in variants], summary=f"{name_of(report, key)}, as a table")


def _of_variant(one: Report, by: float) -> dict[str, Any]:
    return {
        "element: variant": f"{one['element']}: {one['variant']}",
        "difference": times(by, one["difference"]),
        "95 % interval": interval(times(by, one["lower"]), times(by, one["upper"])),
        "p, adjusted": one.get("p_adjusted"),
        "customers": one.get("customers"),
    }
