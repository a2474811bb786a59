"""The parts of an experiment's page that a report may hold: day after day, segments, money, waiting, who came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from features.words import many
from serving.reports import experiment_charts as charts
from serving.reports import experiment_effects as effects
from serving.reports.experiment_words import keys_of, looks, name_of, of_arm, unit_of
from training.reports.page import Page, interval

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
    yield from effects.sections(report)
    yield "How the money is spread", _spread, bool(report.get("spread"))
    yield "How long until it happened", _waited, any(_curves(report, key) for key in keys_of(report))
    yield "Who came in", _split, bool(report["sample_ratio"].get("days"))
    yield "Does the test hold on this shop", _placebo, bool(report.get("placebo"))


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
            name = f"{name_of(report, key)}{of_arm(report, arm)}"
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
        page.chart(picture, f"{name_of(report, key)}: {said}")
        table: dict[str, dict[str, Any]] = {}
        for row in rows:
            table.setdefault(row["bin"], {report["currency"]: row["bin"]})[row["arm"]] = row["customers"]
        page.table(list(table.values()), summary="Customers by amount, as a table")


def _placebo(page: Page, report: Report) -> None:
    found = report["placebo"]
    if "untold" in found:
        page.section("Does the test hold on this shop", f"It cannot be told: {found['untold']}.")
        return
    since, until = (found[name][:10] for name in ("from", "until"))
    page.section(
        "Does the test hold on this shop",
        f"{found['customers']:,} customers were drawn into the arms {found['splits']:,} times, and what they did "
        f"from {since} to {until}, when there was nothing to find, was compared by the test of this report. A true one "
        "tells the arms apart in 5 of 100 splits.",
    )
    rows = [
        {
            "metric": name_of(report, key),
            "false alarms (%)": 100 * one["rate"],
            "95 % interval": interval(100 * one["lower"], 100 * one["upper"]),
            "splits": one["false_alarms"],
        }
        for key, one in found["metrics"].items()
    ]
    page.table(rows, words=("metric",))


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
    for key in keys_of(report):
        if curves := _curves(report, key):
            rows: list[dict[str, Any]] = [
                {"arm": arm, **row} for arm, curve in curves.items() for row in _points(curve)
            ]
            page.chart(charts.waited(rows, list(curves)), f"{name_of(report, key)}: not yet, by arm, with 95 % bands.")
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
    page.text(*_exposures(report.get("exposures") or {}))
    rows = [row for day in ratio["days"] for row in _of_day(day, arms)]
    page.chart(charts.split(rows, arms, report.get("shares", {})), "Share of each day's new customers, by arm.")
    table = [
        {"day": day["day"], **{arm: day["arms"].get(arm, 0) for arm in arms}, "p": day["p_value"]}
        | {"": "off" if day["alarm"] else "as planned"}
        for day in ratio["days"]
    ]
    page.table(table, summary="Customers by day as a table")
    parts = [
        {"segment": one["segment"], **{arm: one["arms"].get(arm, 0) for arm in arms}, "p": one["p_value"]}
        | {"": "off" if one["alarm"] else "as planned"}
        for one in ratio.get("segments", ())
    ]
    page.table(parts, summary="Customers by segment as a table")


def _exposures(found: Report) -> list[str]:
    """How often customers were exposed, in a sentence; none where a report does not say it."""
    if not found:
        return []
    who = f"{many(found['customers'], 'customer')}, of whom {found['seen_again']:,} were exposed more than once"
    return [f"{who}; {found['saw_two_arms']:,} saw two arms and are left out."]


def _of_day(day: Report, arms: list[str]) -> Iterator[dict[str, Any]]:
    whole = sum(day["arms"].values())
    for arm in arms:
        share = 100 * day["arms"].get(arm, 0) / whole
        yield {"day": day["day"], "arm": arm, "share": share, "customers": whole, "alarm": day["alarm"]}
