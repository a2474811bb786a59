"""What the uplift report says of one offer: whom to choose, how many, what they would bring, and who is harmed."""

from __future__ import annotations

from typing import Any

from training.metrics.uplift import PER
from training.pipelines.uplift_evaluation import CHOSEN
from training.reports import policy, uplift_bands, uplift_harm, uplift_kinds, uplift_learners, uplift_profit
from training.reports import uplift_charts as charts
from training.reports.page import Page, interval
from training.reports.uplift_curves import TOP
from training.reports.uplift_words import ranking_words

SHOWN = 12  # rows of a picture; all of them stand in the table below it
Figures = dict[str, Any]


def section(page: Page, found: Figures, offer: str, one: Figures) -> None:
    """All of one offer, from whom to choose to how many."""
    page.section(f"{offer}: whom to choose", ranking_words(offer, one))
    _curve(page, found, one)
    _learners(page, found, one)
    uplift_learners.section(page, one["agreement"])
    _deciles(page, found, one)
    if one["bands"] is not None:
        uplift_bands.section(page, one["bands"], found["unit"])
    uplift_kinds.section(page, one["kinds"], found["outcome"])
    uplift_harm.section(page, one["harm"], found["unit"])
    _segments(page, found, one)
    _top(page, found, one)
    uplift_profit.section(page, one["profit"], policy.unit(found["policy"]))


def _curve(page: Page, found: Figures, one: Figures) -> None:
    page.subsection(
        "Does the ranking find the right customers?",
        "Treat customers from the best ranked down: the higher the curve, the more the first ones bring. "
        "Treating at random is the straight line.",
    )
    caption = "Qini curve of the choice with its 95 % band, of the likeliest to respond, and of chance."
    page.chart(charts.qini(one["curve"], found["unit"]), caption)
    names = {name: words for name, words in charts.RANKINGS.items() if name in one["curve"][0]}
    tens = [point for point in one["curve"] if round(point["share"]) in (0, *TOP)]
    table = [
        {"% treated": round(point["share"]), **{words: point[name] for name, words in names.items()}}
        | {"95 % interval": interval(point["lower"], point["upper"])}
        for point in tens
    ]
    page.table(table, summary="The curve as a table")


def _learners(page: Page, found: Figures, one: Figures) -> None:
    rows = [_learner(row, binary=found["binary"]) for row in one["learners"]]
    page.subsection(
        "All learners",
        f"Qini is the extra {found['unit']} above chance, averaged over all shares treated. “The choice” is judged on "
        "customers its weights were not learned from; the best single line is flattered by luck. "
        "A slope of 1 is calibrated.",
    )
    page.table(rows)


def _learner(row: Figures, *, binary: bool) -> dict[str, Any]:
    slope = row["slope"]
    flat = slope["value"] is None
    cells = {
        "learner": "the choice" if row["learner"] == CHOSEN else row["learner"],
        "Qini": row["qini"],
        "95 % interval": interval(row["lower"], row["upper"]),
        "slope": slope["value"],
        "slope’s interval": None if flat else interval(slope["lower"], slope["upper"]),
    }
    sklift = {"scikit-uplift Qini": row["sklift_qini"], "scikit-uplift at 30 %": row["sklift_uplift_at_30"]}
    return cells | (sklift if binary else {})


def _deciles(page: Page, found: Figures, one: Figures) -> None:
    page.subsection(
        "Can the predicted effects be believed?",
        "Customers in ten groups, highest predicted effect first. Where predictions are right, the diamonds lie "
        "within the bands and the effect falls from left to right.",
    )
    caption = "Predicted and observed effect per tenth of customers, 95 % intervals."
    page.chart(charts.deciles(one["deciles"], found["unit"]), caption)
    page.table(
        [
            {
                "tenth": row["tenth"],
                "rows": row["rows"],
                "predicted": row["predicted"],
                "observed": row["value"],
                "95 % interval": interval(row["lower"], row["upper"]),
            }
            for row in one["deciles"]
        ],
        summary="The tenths as a table",
    )


def _segments(page: Page, found: Figures, one: Figures) -> None:
    rows = [{**row, "label": f"{row['feature']}: {row['segment']}"} for row in one["segments"]]
    hurts = [row["label"] for row in rows if row["says"] == "hurts"]
    page.subsection(
        "Where it works and where it hurts",
        f"The effect in one segment at a time. {found['segments_tested']} segments were looked at, so each interval is "
        "widened until all of them together hold 95 times in 100 (Bonferroni); a segment stands out only if its "
        "interval clears the dashed line.",
        f"It hurts in: {', '.join(hurts)}." if hurts else "There is no segment in which it is shown to hurt.",
    )
    if not rows:
        page.text("No segment has enough customers in both arms.")
        return
    picked = rows if len(rows) <= SHOWN else rows[: SHOWN // 2] + rows[-SHOWN // 2 :]
    caption = (
        f"The {len(picked)} segments with the largest and the smallest effect, of {len(rows)}; corrected intervals."
    )
    page.chart(charts.segments(picked, f"effect, {found['unit']}"), caption)
    table = [
        estimate({"segment": row["label"], "rows": row["rows"]}, row, f"effect, {found['unit']}") | {"it": row["says"]}
        for row in rows
    ]
    page.table(table, summary=f"All {len(rows)} segments as a table")


def _top(page: Page, found: Figures, one: Figures) -> None:
    page.subsection(
        "What treating the top x % would bring",
        f"Extra {found['outcome']} for every {PER:,.0f} customers you have (treated or not), when only the best ranked "
        "share is given the offer; and what choosing them adds to picking as many at random.",
    )
    page.chart(charts.top(one["top"], found["unit"]), "What treating the best ranked share brings, 95 % intervals.")
    page.table(
        [
            {
                "top %": row["share"],
                "extra per 1,000 customers": row["extra"],
                "95 % interval": interval(row["lower"], row["upper"]),
                "per 1,000 treated": row["per_treated"],
                "above random": row["above_random"],
                "its 95 % interval": interval(row["above_random_lower"], row["above_random_upper"]),
            }
            for row in one["top"]
        ]
    )


def estimate(start: Figures, row: Figures, name: str) -> Figures:
    """The cells of one estimate and its interval, after those it starts with."""
    return start | {name: row["value"], "interval": interval(row["lower"], row["upper"])}
