"""The parts of an experiment's page that a report may hold: day after day, segments, money, waiting, who came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from serving.reports import experiment_charts as charts
from serving.reports.experiment_words import looks, says, unit_of
from training.reports.page import Page, interval, shown

Report = Mapping[str, Any]
BELOW, NOTHING = "below 0", "nothing"
Section = tuple[str, Callable[[Page, Report], None], bool]


def sections(report: Report) -> Iterator[Section]:
    """Title, what adds it to a page, and whether the report holds it."""
    yield (
        "Day after day",
        _over_time,
        any(point for one in report.get("over_time", {}).values() for point in one.values()),
    )
    yield "By segment", _segments, bool((report.get("segments") or {}).get("rows"))
    yield "How the money is spread", _spread, bool(report.get("spread"))
    yield "How long until it happened", _waited, any(_curves(report, key) for key in _metrics(report))
    yield "Who came in", _split, bool(report["sample_ratio"].get("days"))


def _metrics(report: Report) -> list[str]:
    return list(report["arms"][0]["metrics"])


def _name(report: Report, key: str) -> str:
    return str(report.get("metrics", {}).get(key, {}).get("name", key))


def _others(report: Report) -> list[str]:
    """The arms that are compared with the control."""
    return [arm["arm"] for arm in report["arms"][1:]]


def _of(arm: str, report: Report) -> str:
    """Which arm it is, where there are several."""
    return f" of {arm}" if len(_others(report)) > 1 else ""


def _over_time(page: Page, report: Report) -> None:
    page.section(
        "Day after day",
        "The difference as this report would have told it on each day, with the bounds that a look then has. The last "
        "point is today's.",
    )
    page.text(*looks(report.get("looks") or {}))
    for arm, metrics in report["over_time"].items():
        for key, points in metrics.items():
            by, unit = unit_of(report["metrics"].get(key, {}), report["currency"])
            if not points:
                continue
            rows = [dict(one) | {name: by * one[name] for name in ("difference", "lower", "upper")} for one in points]
            name = f"{_name(report, key)}{_of(arm, report)}"
            page.chart(charts.over_time(rows, f"difference{f' ({unit})' if unit else ''}"), f"{name}, day after day.")
            table = [
                {
                    "day": row["day"],
                    "difference": row["difference"],
                    "interval": interval(row["lower"], row["upper"]),
                }
                | {"customers": row["customers"]}
                for row in rows
            ]
            page.table(table, summary=f"{name}, as a table")


def _segments(page: Page, report: Report) -> None:
    found = report["segments"]
    page.section(
        "By segment",
        "The effect among those who were in the segment before their first exposure. Of many segments some differ by "
        "chance: the adjusted p-value holds for all of them together.",
    )
    if found.get("in_several"):
        page.text(f"{found['in_several']:,} customers are in several of them, so the effects are told as they are.")
    for arm in _others(report):
        for key in _metrics(report):
            effects = [(row, one) for row in found["rows"] for one in row["effects"] if _is(one, arm, key)]
            if effects:
                _segment(page, report, key, arm, effects)


def _is(effect: Report, arm: str, key: str) -> bool:
    return bool(effect["arm"] == arm and effect["metric"] == key)


def _segment(page: Page, report: Report, key: str, arm: str, effects: list[tuple[Report, Report]]) -> None:
    by, unit = unit_of(report["metrics"].get(key, {}), report["currency"])
    name, rows = f"{_name(report, key)}{_of(arm, report)}", []
    for row, one in effects:
        if one["lower"] is not None:
            numbers = {"value": by * one["difference"], "lower": by * one["lower"], "upper": by * one["upper"]}
            rows.append({"segment": row["segment"], "says": says(report["metrics"].get(key, {}), one)} | numbers)
    page.subsection(name, *_interaction(report["segments"], arm, key))
    if rows:
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
        "difference": _times(by, one["difference"]),
        "95 % interval": interval(_times(by, one["lower"]), _times(by, one["upper"])),
        "p, adjusted": one.get("p_adjusted"),
        "drawn together": _times(by, drawn.get("difference")),
        "its interval": interval(_times(by, drawn.get("lower")), _times(by, drawn.get("upper"))),
        "customers": row["customers"],
    }


def _spread(page: Page, report: Report) -> None:
    page.section(
        "How the money is spread",
        "How many customers of each arm brought how much, those whose window has closed; nothing is capped here.",
    )
    for key, found in report["spread"].items():
        rows = [row for arm, one in found["arms"].items() for row in _bins(arm, found["edges"], one)]
        if not any(one["below"] for one in found["arms"].values()):
            rows = [row for row in rows if row["bin"] != BELOW]
        some = [row for row in rows if row["bin"] != NOTHING]  # else their bar is the picture
        none = [f"{row['share']:.1f} % of {row['arm']}" for row in rows if row["bin"] == NOTHING]
        picture = charts.spread(some, list(found["arms"]), report["currency"])
        said = f"share of each arm's customers by amount; {' and '.join(none)} brought nothing."
        page.chart(picture, f"{_name(report, key)}: {said}")
        table: dict[str, dict[str, Any]] = {}
        for row in rows:
            table.setdefault(row["bin"], {report["currency"]: row["bin"]})[row["arm"]] = row["customers"]
        page.table(list(table.values()), summary="Customers by amount, as a table")


def _bins(arm: str, edges: list[float], found: Report) -> Iterator[dict[str, Any]]:
    """A row per bin: those who got back more than they paid, those without, then by amount."""
    ends = [f"under {_amount(end)}" for end in edges[1:2]]
    ends += [f"{_amount(low)} to {_amount(high)}" for low, high in pairwise(edges[1:])]
    ends += [f"{_amount(edges[-1])} or more" if len(edges) > 1 else "more than 0"]
    counts = {BELOW: found["below"], NOTHING: found["none"], **dict(zip(ends, found["customers"], strict=True))}
    whole = sum(counts.values())
    for name, count in counts.items():
        yield {"arm": arm, "bin": name, "customers": count, "share": 100 * count / whole}


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _times(by: float, value: float | None) -> float | None:
    return None if value is None else by * value


def _curves(report: Report, key: str) -> dict[str, Report]:
    """By arm the points of this metric's curve."""
    found = {arm["arm"]: arm["metrics"].get(key, {}).get("curve") for arm in report["arms"]}
    return {arm: curve for arm, curve in found.items() if curve}


def _waited(page: Page, report: Report) -> None:
    page.section(
        "How long until it happened",
        "The share of customers who had not done it yet, so many days after the first exposure (Kaplan and Meier); "
        "everybody assigned counts, as far as they were seen.",
    )
    for key in _metrics(report):
        if curves := _curves(report, key):
            rows: list[dict[str, Any]] = [
                {"arm": arm, **row} for arm, curve in curves.items() for row in _points(curve)
            ]
            page.chart(charts.waited(rows, list(curves)), f"{_name(report, key)}: not yet, by arm, with 95 % bands.")
            page.table(
                [
                    {"arm": row["arm"], "day": row["day"], "not yet (%)": row["share"]}
                    | {"95 % band": interval(row["lower"], row["upper"])}
                    for row in rows
                ],
                summary="The curves as a table",
            )


def _points(curve: Report) -> Iterator[dict[str, float]]:
    for day, share, lower, upper in zip(
        *(curve[name] for name in ("times", "survival", "lower", "upper")), strict=True
    ):
        yield {"day": day, "share": 100 * share, "lower": 100 * lower, "upper": 100 * upper}


def _split(page: Page, report: Report) -> None:
    ratio, arms = report["sample_ratio"], [arm["arm"] for arm in report["arms"]]
    said = "as planned" if ratio["as_planned"] else "not as planned"
    page.section(
        "Who came in",
        f"First exposures by day; the arms are {said} (p = {ratio['p_value']:.3f}). The dashed line is the planned "
        "share; a ring marks a day that is off.",
    )
    rows = [row for day in ratio["days"] for row in _of_day(day, arms)]
    page.chart(charts.split(rows, arms, report.get("shares", {})), "Share of each day's new customers, by arm.")
    table = [
        {"day": day["day"], **{arm: day["arms"].get(arm, 0) for arm in arms}, "p": day["p_value"]}
        | {"": "off" if day["alarm"] else "as planned"}
        for day in ratio["days"]
    ]
    page.table(table, summary="Customers by day as a table")


def _of_day(day: Report, arms: list[str]) -> Iterator[dict[str, Any]]:
    whole = sum(day["arms"].values())
    for arm in arms:
        share = 100 * day["arms"].get(arm, 0) / whole
        yield {"day": day["day"], "arm": arm, "share": share, "customers": whole, "alarm": day["alarm"]}
