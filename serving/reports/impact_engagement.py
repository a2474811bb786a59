"""What recipients did, by campaign and by channel, and segments beside the holdout: part of the page of impact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving.reports import experiment_charts
from serving.reports.experiment_words import unit_of
from training.reports.charts import forest
from training.reports.page import Page, interval, shown

Report = Mapping[str, Any]
SHOWN = 12  # rows of a picture
PICTURED = ("open-rate", "click-through-rate", "conversion-rate")
RATES = frozenset(
    {"open-rate", "open-rate-machines", "click-through-rate", "conversion-rate", "repeat-purchase-rate",
     "unsubscribe-rate", "complaint-rate"}
)  # fmt: skip
TITLES = {"campaigns": "What recipients did, by campaign", "channels": "What recipients did, by channel"}
ARMS = {"treated": "treated", "held_out": "holdout"}
BESIDE = "Segments beside the holdout"


def titles(report: Report) -> list[str]:
    """The sections that the report holds."""
    found = [title for part, title in TITLES.items() if report.get(part)]
    return [*found, *([BESIDE] if report.get("segments") else [])]


def section(page: Page, report: Report) -> None:
    """Adds them."""
    for part, title in TITLES.items():
        if rows := report.get(part):
            page.section(
                title,
                "Each recipient from the first delivery on, those whose window has closed; lifetime value is what they "
                "brought and what is expected of them. It describes: who was sent "
                "something was chosen, so that one's customers may order more than another's for other reasons.",
            )
            _pictures(page, report, part, rows)
            page.table([told(one, report) for one in rows], summary=f"{title}, as a table")
            means = [(one, key, mean) for one in rows for key, mean in one["metrics"].items()]
            _untold(page, ((f"{key_of(one)}, {name_of(key, report)}", mean.get("untold")) for one, key, mean in means))
    if report.get("segments"):
        _beside(page, report)


def told(one: Report, report: Report) -> dict[str, Any]:
    """A campaign or channel with its metrics' means, shares in percent."""
    found: dict[str, Any] = {"": key_of(one), "recipients": one["recipients"]}
    for key, mean in one["metrics"].items():
        by, unit = read_in(key, report)
        value = mean.get("mean")
        found[f"{name_of(key, report)}{f' ({unit})' if unit else ''}"] = None if value is None else by * value
    return found


def key_of(one: Report) -> str:
    return "(none)" if one["key"] is None else str(one["key"])


def name_of(key: str, report: Report) -> str:
    """What people call the metric."""
    return str(report.get("metrics", {}).get(key, {}).get("name", key))


def read_in(key: str, report: Report) -> tuple[float, str]:
    """By what a value of the metric is multiplied to be read, and its unit."""
    if key in RATES:
        return 100.0, "%"
    metric = report.get("metrics", {}).get(key, {})
    if key == "revenue" or metric.get("kind") == "value":
        return 1.0, str(report["currency"])
    return unit_of(metric, report["currency"])


def parts(key: str, mean: Report, report: Report) -> str | None:
    """Of lifetime value what of it was seen and what is expected, or why it is not told; of others only that."""
    if mean.get("forecast") is not None:
        unit, seen, ahead = report["currency"], f"{mean['window_days']:,}", f"{mean['horizon_days']:,}"
        return (
            f"{name_of(key, report)}: {shown(mean['realised'])} {unit} in the {seen} days that were seen, "
            f"{shown(mean['forecast'])} {unit} expected in the {ahead} days after them."
        )
    return f"{name_of(key, report)}: {mean['untold']}." if mean.get("untold") else None


def _untold(page: Page, told: Iterable[tuple[str, str | None]]) -> None:
    """Behind a fold, of each row why a number is not there."""
    if lines := [f"{name}: {said}." for name, said in told if said]:
        page.details("What cannot be told, and why", *lines)


def _pictures(page: Page, report: Report, part: str, rows: list[Report]) -> None:
    for key in PICTURED:
        told = [(key_of(one), one["metrics"].get(key, {})) for one in rows[:SHOWN]]
        some = [
            {"key": name} | {end: 100 * mean[value] for end, value in _ENDS.items()}
            for name, mean in told
            if mean.get("mean") is not None and mean.get("lower") is not None
        ]
        if some:
            name = name_of(key, report)
            rest = " The table holds the others." if len(rows) > len(some) else ""
            picture = forest(some, "key", f"{name} (%)", zero=False)
            page.chart(picture, f"{name} by {part.removesuffix('s')}, with 95 % intervals.{rest}")


_ENDS = {"value": "mean", "lower": "lower", "upper": "upper"}


def _beside(page: Page, report: Report) -> None:
    page.section(
        BESIDE,
        "What the treated did and the global holdout did not, over the whole period: a difference here was caused. Of "
        "many some differ by chance: the adjusted p-value holds for all of them together.",
    )
    for key in report["segments"][0]["metrics"]:
        by, unit = read_in(key, report)
        own = [(one, one["metrics"][key]) for one in report["segments"] if key in one["metrics"]]
        name = f"{name_of(key, report)}{f' ({unit})' if unit else ''}"
        some = [
            {"key": _segment(one), "says": _says(found)}
            | {"value": by * found["difference"], "lower": by * found["lower"], "upper": by * found["upper"]}
            for one, found in own
            if found.get("lower") is not None
        ]
        if key == "conversion-rate" and len(some) > 1:
            picture = experiment_charts.told(some, "key", f"difference to the holdout, {name}")
            page.chart(picture, f"{name}: treated less holdout in each segment, with 95 % intervals.")
        page.table([_row(one, found, by) for one, found in own], summary=f"{name}, as a table")
        arms = [(one, words, found[arm]) for one, found in own for arm, words in ARMS.items()]
        _untold(page, ((f"{_segment(one)}, {words}", arm.get("untold")) for one, words, arm in arms))


def _says(found: Report) -> str:
    return "better" if found["lower"] > 0 else "worse" if found["upper"] < 0 else "not distinguishable"


def _segment(one: Report) -> str:
    return key_of(one) if one["group"] is None else f"{one['group']}: {key_of(one)}"


def _row(one: Report, found: Report, by: float) -> dict[str, Any]:
    def read(value: float | None) -> float | None:
        return None if value is None else by * value

    return {
        "segment": _segment(one),
        "difference": read(found.get("difference")),
        "95 % interval": interval(read(found.get("lower")), read(found.get("upper"))),
        "p, adjusted": found.get("p_adjusted"),
        "treated": read(found["treated"].get("mean")),
        "holdout": read(found["held_out"].get("mean")),
    }
