"""The model report: one offline HTML file per training run, and its numbers as JSON beside it.

It shows what ten customers bought, under pseudonyms, so it stays in the workspace's reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.workspace import Workspace
from training.reports import model_charts as charts
from training.reports.charts import forest
from training.reports.model_figures import Evidence, figures
from training.reports.model_words import (
    FLAT,
    METHOD,
    METRICS,
    PARTS,
    headline,
    meant_for,
    metric_name,
    others_words,
    variety_words,
    warnings_of,
)
from training.reports.page import Page, interval, kind_of, signed, stored

LATEST, NEXT = 8, 15  # names that a sentence can hold
MOVED = 15  # bars that are read at a glance
LEARNED = {
    "recommender": "at this training and now",
    "uplift": "in the campaign that the served offers learned from and now",
}
Figures = dict[str, Any]


def write(workspace: Workspace, run: str = "") -> Path:
    """The report's path; of the champion's run, else of the newest one, where `run` is empty."""
    found = figures(Evidence.read(workspace, run))
    return stored(workspace, f"model-{found['run'][:8]}", found, report(found))


def report(found: Figures) -> Page:
    """The page of these figures; it shows no number that they do not hold."""
    version = f"version {found['version']}" if found["version"] else "not registered here"
    page = Page(
        f"Model report: {found['shop']}",
        f"Recommenders · {version}{', the champion' if found['champion'] else ''} · run {found['run'][:8]} · "
        f"{found['catalogue']:,} items",
    )
    _verdict(page, found)
    _side_by_side(page, found)
    _parts(page, found)
    _lengths(page, found)
    _ages(page, found)
    _concentration(page, found)
    _costs(page, found)
    _variety(page, found)
    _drift(page, found)
    _people(page, found)
    page.section("Method and definitions")
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
    return page


def _verdict(page: Page, found: Figures) -> None:
    title, detail = headline(found)
    page.verdict(title, f"{detail} {others_words(found)}".strip(), kind=kind_of(found["lower"], found["upper"]))
    for warning in warnings_of(found):
        page.warning(warning)


def _side_by_side(page: Page, found: Figures) -> None:
    k, baseline, period = found["k"], found["baseline_name"], found["period"]
    page.section(
        "The models side by side",
        f"Every model learned from the log up to {period['test']} and was asked for {k} items for each of the "
        f"{found['customers']['all']:,} customers who bought from then to {period['end']}. {found['chosen']} was "
        f"chosen on the period before, from {period['validate']}. The bars hold the truth 95 times in 100.",
    )
    metric = metric_name(found["metric"])
    key = found["metric"].partition("@")[0]
    rows = [{"model": _marked(found, row["model"]), **row[key]} for row in found["models"]]
    page.chart(forest(rows, "model", metric, zero=False), f"{metric} of each model, 95 % intervals.")
    page.table([_metrics(found, row) for row in found["models"]])
    page.subsection(
        f"Against {baseline}", f"The difference in {metric} for the same customers: {baseline} is what needs no model."
    )
    page.table([_against(row) for row in found["models"] if row["model"] != baseline])
    if found["against_others"]:
        page.subsection(f"{found['chosen']} against the others", others_words(found))
        page.table(
            [
                {"model": one["model"], f"{found['chosen']} minus it": signed(one["value"])}
                | {"95 % interval": interval(one["lower"], one["upper"]), f"{found['chosen']} is": one["says"]}
                for one in found["against_others"]
            ],
            summary="The differences as a table",
        )


def _marked(found: Figures, model: str) -> str:
    return f"{model} (chosen)" if model == found["chosen"] else model


def _metrics(found: Figures, row: Figures) -> Figures:
    cells: Figures = {"model": row["model"]}
    for metric, name in METRICS.items():
        value = row[metric]
        cells |= {f"{name}@{found['k']}": value["value"], f"{name}: 95 %": interval(value["lower"], value["upper"])}
    return cells | {"coverage": row["coverage"]}


def _against(row: Figures) -> Figures:
    against = row["against"]
    return {
        "model": row["model"],
        "it is": against["verdict"],
        "difference": signed(against["difference"]),
        "95 % interval": interval(against["lower"], against["upper"]),
    }


def _parts(page: Page, found: Figures) -> None:
    page.section(
        "Buy again and discovery, new and known customers",
        "A model may be good at bringing people back to what they know and poor at showing them something new, or good "
        "for regulars only. A customer who was never seen mostly gets what is popular, whatever the model.",
    )
    groups = [{**one, "group": PARTS[one["group"]]} for one in found["groups"]["parts"]]
    _grouped(page, found, groups, "Recall by kind of purchase and of customer.")


def _lengths(page: Page, found: Figures) -> None:
    page.section(
        "By how much is known of the customer",
        "How many different items the customer had met before the period. Where a model needs a long history to beat "
        "the baseline, the short ones show it.",
    )
    _grouped(page, found, found["groups"]["lengths"], "Recall by length of the customer’s history.")


def _ages(page: Page, found: Figures) -> None:
    page.section(
        "By age of the item",
        "How long ago an item first appeared in the log. The Recall of an age counts only what customers bought of "
        "that age. The table below it says what share of purchases, and of each model’s answers, is that old: a model "
        "that never answers with new items keeps them from ever being found.",
    )
    _grouped(page, found, found["groups"]["ages"], "Recall by age of the item.")
    ages = [age for age, share in found["purchases"]["by_age"].items() if share or _answered(found, age)]
    rows = [{"% of": "what customers bought", **_percents(found["purchases"]["by_age"], ages)}]
    rows += [
        {"% of": f"answers of {row['model']}", **_percents(row["answered_by_age"], ages)} for row in found["models"]
    ]
    page.table(rows)


def _answered(found: Figures, age: str) -> float:
    return max(float(row["answered_by_age"][age]) for row in found["models"])


def _percents(shares: Figures, ages: Sequence[str]) -> Figures:
    return {age: 100 * shares[age] for age in ages}


def _grouped(page: Page, found: Figures, groups: Sequence[Figures], caption: str) -> None:
    """A picture of the chosen model beside the baseline, and a table of all models."""
    models = list(dict.fromkeys([found["chosen"], found["baseline_name"]]))
    unit = f"Recall@{found['k']}"
    rows = [{"group": one["group"], "model": name, **one["models"][name]} for one in groups for name in models]
    page.chart(charts.groups(rows, unit, models), f"{caption[:-1]}: {' and '.join(models)}, 95 % intervals.")
    page.table(
        [
            {"group": one["group"], "customers": one["customers"]}
            | {row["model"]: one["models"][row["model"]]["value"] for row in found["models"]}
            for one in groups
        ]
    )
    intervals = [
        {"group": one["group"]}
        | {name: interval(value["lower"], value["upper"]) for name, value in one["models"].items()}
        for one in groups
    ]
    page.table(intervals, summary="The 95 % intervals of all models")


def _concentration(page: Page, found: Figures) -> None:
    page.section(
        "Coverage and concentration",
        "Do all customers get the same few items? Take the 1 % of items that are answered most: the picture shows what "
        "share of all answers they take, beside their share of what customers really bought. Much above that, the "
        "model shows everybody the same; the rest of the catalogue is not seen.",
    )
    rows = [
        {"model": _marked(found, row["model"]), "what": "answers", "share": _percent(row["top_share"])}
        for row in found["models"]
    ]
    rows.append({"model": "what was bought", "what": "purchases", "share": _percent(found["purchases"]["top_share"])})
    page.chart(
        charts.concentration(rows), "The share of the most answered 1 % of items, beside that of what was bought."
    )
    table = [
        {
            "model": row["model"],
            "% of items ever answered": 100 * row["coverage"],
            "% of answers to the top 1 %": _percent(row["top_share"]),
            "Gini": row["gini"],
        }
        for row in found["models"]
    ]
    bought = found["purchases"]
    last = {"model": "what was bought", "% of items ever answered": None}
    page.table([*table, {**last, "% of answers to the top 1 %": _percent(bought["top_share"]), "Gini": bought["gini"]}])


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _costs(page: Page, found: Figures) -> None:
    page.section("What each model costs")
    metric = metric_name(found["metric"])
    if not found["costs"]:
        page.text("MLflow does not know this run here, so what it took is not known.")
        page.table([{"model": row["model"], "meant for": meant_for(row["model"])} for row in found["models"]])
        return
    page.text(
        f"To fit once and to answer the period’s customers. * no other is as good in {metric}, CPU and memory and "
        f"better in one: the rest give nothing for what they cost. This run had {found['catalogue']:,} items; the last "
        "column says up to what catalogue a model is meant for."
    )
    rows = [{**row, "mark": "no other beats it" if row["best"] else "beaten"} for row in found["costs"]]
    page.chart(charts.costs(rows, metric), f"{metric} by CPU seconds (each step of the scale is a multiple).")
    page.table(
        [
            {
                "model": f"{row['model']} *" if row["best"] else row["model"],
                metric: row["quality"],
                "CPU s to fit": row["fit_cpu_s"],
                "CPU s to answer": row["answer_cpu_s"],
                "memory, MB": row["memory_mb"],
                "catalogue it is meant for": meant_for(row["model"]),
            }
            for row in found["costs"]
        ]
    )


def _variety(page: Page, found: Figures) -> None:
    page.section(
        "What variety costs",
        "The knob recommender.variety makes the items of one answer less alike. This is what it costs "
        f"{found['chosen']}: the change in Recall@{found['k']} for the same customers, and how alike two items of an "
        "answer are, in the model’s own measure.",
        variety_words(found),
    )
    page.chart(
        charts.variety(found["variety"], f"change in Recall@{found['k']}"),
        "Change in Recall by variety, 95 % intervals.",
    )
    page.table(
        [
            {
                "variety": f"{step['variety']:g}",
                f"Recall@{found['k']}": step["recall"],
                "change": signed(step["difference"]) if step["variety"] else None,
                "95 % interval": interval(step["lower"], step["upper"]) if step["variety"] else None,
                "alike": step["alike"],
                "it costs": _says(step),
            }
            for step in found["variety"]
        ]
    )


def _says(step: Figures) -> str | None:
    if not step["variety"]:
        return None
    return "Recall" if step["upper"] < 0 else FLAT if step["lower"] <= 0 else "nothing"


def _drift(page: Page, found: Figures) -> None:
    page.section(
        "Is it still the same shop?",
        "Customers’ histories and features at the training and now; scores and answers in the first and in the newest "
        "seven days that this version answered. The population stability index is 0 where nothing changed; from 0.1 on "
        "things have shifted, from 0.25 on the model answers people whom it did not learn from.",
    )
    page.table(
        [
            {"of": row["what"], "mean then": row["then"], "mean now": row["now"]}
            | {"stability index": row["index"], "it is": row["says"]}
            for row in found["drift"]
        ]
    )
    for model, learned in LEARNED.items():
        if rows := [row for row in found["feature_drift"] if row["model"] == model]:
            _feature_drift(page, learned, sorted(rows, key=lambda row: -(row["index"] or 0)))


def _feature_drift(page: Page, learned: str, rows: list[Figures]) -> None:
    worse = [row["what"] for row in rows if row["index"] is not None and row["says"] != "stable"]
    told = f"{len(worse)} of {len(rows)} have shifted or drifted." if worse else "None has shifted."
    page.subsection(
        f"The features of customers, {learned}",
        f"{told} Each feature by the deciles, or words, of then; what is not known is a bin of its own. Days since "
        "something grow by themselves where nobody new comes.",
    )
    most = [row for row in rows if row["index"] is not None][:MOVED]
    if most:
        page.chart(charts.drift(most), f"The {len(most)} features that moved most; dashed: 0.1 and 0.25.")
    page.table(
        [
            {"feature": row["what"], "mean then": row["then"], "mean now": row["now"]}
            | {
                "stability index": row["index"],
                "it is": row["says"],
                "by chance up to": row["chance"],
                "meaning": row["means"],
            }
            for row in rows
        ],
        summary="All features as a table",
        words=["meaning"],
    )


def _people(page: Page, found: Figures) -> None:
    page.section(
        f"{len(found['sample'])} customers, to see whether it makes sense",
        f"Drawn by chance from those who bought in the period. What each had bought before, what {found['chosen']} "
        "says and why, and what they did buy next. The other models’ answers open with a click.",
    )
    for person in found["sample"]:
        _person(page, found, person)


def _person(page: Page, found: Figures, person: Figures) -> None:
    page.subsection(person["customer"], _before(person), _after(person))
    for model in sorted(person["answers"], key=lambda name: name != found["chosen"]):
        answer = person["answers"][model]
        hits = f"{sum(one['bought'] for one in answer)} of {len(answer)} were bought next"
        rows = [_answer(place, one) for place, one in enumerate(answer, start=1)]
        if model == found["chosen"]:
            page.text(f"What {model} says: {hits}.")
            page.table(rows, words=["why"])
        else:
            page.table(rows, summary=f"{model}: {hits}", words=["why"])


def _answer(place: int, one: Figures) -> Figures:
    return {"item": f"{place}. {one['name']}", "bought": "yes" if one["bought"] else "", "why": one["why"]}


def _before(person: Figures) -> str:
    if not person["items"]:
        return "Nothing is known of this customer before the period."
    told = [_told(entry) for entry in person["history"][:LATEST]]
    return f"Before ({person['items']:,} items, the latest purchases first): {_listed(told, person['items'])}"


def _told(entry: Figures) -> str:
    times = entry["purchases"]
    how = "only seen" if not times else entry["last"] if times == 1 else f"{times} times, last {entry['last']}"
    return f"{entry['name']} ({how})"


def _after(person: Figures) -> str:
    names = [entry["name"] for entry in person["next"]]
    return f"Bought next ({len(names):,}): {_listed(names[:NEXT], len(names))}"


def _listed(names: Sequence[str], total: int) -> str:
    more = f"; and {total - len(names):,} more" if total > len(names) else ""
    return f"{'; '.join(names)}{more}."
