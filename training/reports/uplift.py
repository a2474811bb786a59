"""The uplift report: one offline HTML file and the same numbers as JSON, from what a training run left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from features.exposures import CONTROL
from features.offers import read_offers
from features.workspace import Workspace
from training.metrics.uplift import PER
from training.pipelines.uplift_evaluation import CHOSEN
from training.reports import policy
from training.reports import uplift_charts as charts
from training.reports.charts import forest
from training.reports.page import Page, interval, kind_of, shown, stored
from training.reports.runs import kept, starting
from training.reports.uplift_figures import TOP, Evidence, figures
from training.reports.uplift_words import METHOD, effect_words, headline, ranking_words, warnings_of

SHOWN = 12  # rows of a picture; all of them stand in the table below it
Figures = dict[str, Any]


def write(workspace: Workspace, run: str = "") -> Path:
    """The report's path; the newest run with evidence where `run` is empty. The numbers stand beside it as JSON."""
    evidence = Evidence.read(run_folder(workspace, run))
    found = figures(evidence, read_offers(workspace.folder), workspace.settings.currency)
    return stored(workspace, f"uplift-{found['run'][:8]}", found, report(found))


def run_folder(workspace: Workspace, run: str) -> Path:
    """The folder of this run (its id or the start of it), or of the newest one."""
    known = kept(workspace, "oof.npz", "uplift")
    return starting(known, run, workspace) if run else known[-1]


def report(found: Figures) -> Page:
    """The page of these figures; it shows no number that they do not hold."""
    rows = sum(arm["rows"] for arm in found["arms"])
    page = Page(
        f"Uplift report: {found['log']}", f"Outcome: {found['outcome']} · {rows:,} rows · run {found['run'][:8]}"
    )
    _verdict(page, found)
    _tested(page, found)
    _effects(page, found)
    policy.section(page, found["policy"])
    for offer, one in found["offers"].items():
        _offer(page, found, offer, one)
    _balance(page, found)
    page.section("Method and definitions")
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
    return page


def _verdict(page: Page, found: Figures) -> None:
    page.verdict(*headline(found), kind=kind_of(found["lower"], found["upper"]))
    for offer, one in found["offers"].items():
        effect = one["effect"]
        title, detail = effect_words(offer, one, found["unit"])
        page.verdict(title, f"{detail} {ranking_words(offer, one)}", kind=kind_of(effect["lower"], effect["upper"]))
    for warning in warnings_of(found):
        page.warning(warning)


def _tested(page: Page, found: Figures) -> None:
    page.section(
        "Who was tested",
        f"Each row of the log is a customer who, once, was given an offer or, in the arm “{CONTROL}”, nothing. "
        f"The mean is {found['unit']}; the interval holds the truth 95 times in 100.",
    )
    page.table(
        [
            {
                "arm": arm["arm"],
                found["unit"]: arm["value"],
                "95 % interval": interval(arm["lower"], arm["upper"]),
                "rows": arm["rows"],
                "customers": arm["customers"],
                f"with {found['outcome']}": arm["with_outcome"],
            }
            for arm in found["arms"]
        ]
    )


def _effects(page: Page, found: Figures) -> None:
    page.section(
        "What each offer changed",
        "The mean among those who were given the offer minus the mean among those who were not. "
        "An interval that crosses the dashed line is not distinguishable from no effect.",
    )
    rows = [{"offer": offer, **one["effect"]} for offer, one in found["offers"].items()]
    page.chart(forest(rows, "offer", f"effect, {found['unit']}"), "Average effect of each offer, 95 % intervals.")
    page.table([_estimate({"offer": row["offer"]}, row, found["unit"]) for row in rows])


def _offer(page: Page, found: Figures, offer: str, one: Figures) -> None:
    page.section(f"{offer}: whom to choose", ranking_words(offer, one))
    _curve(page, found, one)
    _learners(page, found, one)
    _deciles(page, found, one)
    _segments(page, found, one)
    _top(page, found, one)


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
        _estimate({"segment": row["label"], "rows": row["rows"]}, row, f"effect, {found['unit']}") | {"it": row["says"]}
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


def _balance(page: Page, found: Figures) -> None:
    page.section(
        "Were the groups alike?",
        "In a fair test, who was given the offer cannot be told from what was known before. Differences are in "
        "standard deviations; beyond 0.1 the arms differ, unless they are so small that chance gives as much.",
    )
    for offer, one in found["offers"].items():
        checks = one["checks"]
        guess, ratio = checks["predictability"], checks["sample_ratio"]
        text = (
            f"A model that guesses the arm from the features scores {shown(guess['value'])} "
            f"({interval(guess['lower'], guess['upper'])}); 0.5 is a coin (p = {shown(guess['p_value'])}). "
            "Arms in their planned ratio: "
            f"{'no plan is known' if ratio is None else f'p = {shown(ratio)}'}."
        )
        page.subsection(f"{offer} against {CONTROL}", text)
        if not one["balance"]:
            continue
        picked = one["balance"][:SHOWN]
        page.chart(charts.balance(picked), f"The {len(picked)} largest differences between {offer} and {CONTROL}.")
        table = [{"feature": row["feature"], "difference": row["difference"]} for row in one["balance"]]
        page.table(table, summary="All differences as a table")


def _estimate(start: dict[str, Any], row: Figures, name: str) -> dict[str, Any]:
    return start | {name: row["value"], "interval": interval(row["lower"], row["upper"])}
