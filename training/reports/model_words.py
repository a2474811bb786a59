"""What the model report says in words: the verdict, the warnings, what models are meant for, and the method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from training.recommenders import RECOMMENDERS
from training.reports.page import interval, shown, signed

FLAT = "not distinguishable"
FEW = 200  # customers: below it an interval of NDCG is wider than most models differ
# where cost is not linear
MOST_ITEMS = {"ease": 10_000, "softmax": 10_000, "neighbours": 100_000, "graph-filter": 100_000}
MEANT_FOR = {
    "ease": "up to 10,000 items; of more the densest, no opinion on the rest",
    "softmax": "up to 10,000 items; of more the densest, no opinion on the rest",
    "neighbours": "up to some 100,000 items",
    "graph-filter": "up to some 100,000 items",
    "tifu": "any; customers up to some 100,000",
    "blend": "as its members",
    "ranker": "as its members",
}  # the others of ours: any
PARTS = {
    "known": "customers with a history",
    "new": "customers never seen",
    "repeat": "buy again: items bought before",
    "explore": "discovery: items not bought before",
}
METRICS = {"recall": "Recall", "ndcg": "NDCG", "hit_rate": "hit rate"}
Figures = dict[str, Any]

METHOD = (
    (
        "How models were judged without looking at the answer",
        "All models were fitted on what happened before one moment and asked what each customer would buy in the days "
        "after it. The model was chosen on the period before that one, so the figures here are not those it was "
        "chosen by. No customer’s future is in another’s past.",
    ),
    (
        "Recall, NDCG, hit rate, coverage",
        "Recall: of what a customer bought in the period, the share that was among the k items answered; who bought "
        "40 items can have at most k of them found. NDCG: the same with more weight on the first places, 1 for the "
        "best possible order. Hit rate: customers with at least one item found. Each is a mean over customers. "
        "Coverage: the share of all items that anybody was answered.",
    ),
    (
        "Buy again and discovery, new and known",
        "Buy again ranks only what the customer had bought before and counts who did buy such an item again; discovery "
        "ranks only what was new to the customer. The two do not add up to the whole, which ranks both together, "
        "as recommender.include_bought of attune.yaml says.",
    ),
    (
        "Intervals and verdicts",
        "A bootstrap over customers, 1,000 draws, the same for all models. Comparisons are paired: the difference is "
        "taken customer by customer. “Not distinguishable” means that the interval of the difference holds 0. "
        "Groups of fewer than 20 customers have no interval.",
    ),
    (
        "Gini and the share of the top 1 %",
        "Count how often each item was answered. Gini is 0 when all items are answered equally often and nears 1 "
        "when a few have everything (Gini 1912). The share of the top 1 % says the same and needs no formula.",
    ),
    (
        "Cost and the mark",
        "CPU seconds of all threads: to fit once, and to answer every customer of the period in every part. Memory is "
        "the peak above what the process held before. The mark stands at models that no other beats: as good in "
        "quality, CPU and memory, and better in one.",
    ),
    (
        "Drift and its limits",
        "Population stability index (Siddiqi 2006): over the bins of then, the sum of (share now minus share then) "
        "times the logarithm of their ratio; an empty bin counts half a customer. Below 0.1 is called stable and from "
        "0.25 on another population by convention of credit scoring, where it comes from. Between few customers chance "
        "alone reaches more: a feature is called stable, too, up to what it reaches 95 times in 100 where nothing has "
        "changed (Yurdakul 2018).",
        "The training kept counts of bins and of no single customer; a word that fewer than ten had stands with the "
        "others. A campaign’s customers, as they were when it reached them, are compared with all who agree now.",
    ),
    (
        "The ten customers",
        "Drawn by the run’s seed from those who bought in the period: not the best, not the worst. They stand "
        "under numbers. What was bought is theirs: keep this page where customers’ data may be.",
    ),
)


def metric_name(metric: str) -> str:
    """`NDCG@10` of `ndcg@10`."""
    name, _, k = metric.partition("@")
    return f"{METRICS.get(name, name)}@{k}"


def headline(found: Figures) -> tuple[str, str]:
    """Whether the chosen model is worth it, and by how much."""
    chosen, baseline, period = found["chosen"], found["baseline_name"], found["period"]
    people = f"{found['customers']['all']:,} customers who bought from {period['test']} to {period['end']}"
    if chosen == baseline:
        return f"Nothing better than {baseline} was found", f"The baseline itself was chosen, on {people}."
    by = (
        f"{metric_name(found['metric'])} {shown(found['model'])} against {shown(found['baseline'])}: "
        f"{signed(found['difference'])} (95 % interval {interval(found['lower'], found['upper'])}), on {people}."
    )
    if found["lower"] > 0:
        return f"{chosen} is better than {baseline}", by
    if found["upper"] < 0:
        return f"{chosen} is worse than {baseline}", f"{by} Do not serve it."
    return f"{chosen}: {FLAT} from {baseline}", f"{by} The interval holds 0: this period does not show which is better."


def others_words(found: Figures) -> str:
    """How the chosen model compares with the other models; empty where there is none."""
    says = {"better": "better than", FLAT: f"{FLAT} from", "worse": "worse than"}
    parts = [
        f"{words} {_and([one['model'] for one in found['against_others'] if one['says'] == verdict])}"
        for verdict, words in says.items()
        if any(one["says"] == verdict for one in found["against_others"])
    ]
    return f"{found['chosen']} is {'; '.join(parts)}." if parts else ""


def warnings_of(found: Figures) -> list[str]:
    """What speaks against believing the page, or against serving the model; empty where nothing does."""
    said = []
    count = found["customers"]["all"]
    if count < FEW:
        said.append(f"Only {count:,} customers bought in the period: small differences cannot be told from chance.")
    if worse := [one["model"] for one in found["against_others"] if one["says"] == "worse"]:
        said.append(
            f"On this period {_and(worse)} did better than {found['chosen']}, which was chosen on the period before. "
            "Tastes may be moving; train again later rather than choose by this page."
        )
    most = MOST_ITEMS.get(found["chosen"])
    if most and found["catalogue"] > most:
        said.append(f"{found['chosen']} is meant for up to {most:,} items; there are {found['catalogue']:,}.")
    return said


def variety_words(found: Figures) -> str:
    """What turning the knob of variety up costs."""
    chosen, steps = found["chosen"], found["variety"]
    if not any(step["alike"] for step in steps):
        return f"{chosen} does not know how alike items are: it answers the same at every variety."
    free = [step["variety"] for step in takewhile(lambda step: step["upper"] >= 0, steps)]
    if len(free) == 1:
        return f"Every step of variety costs {chosen} Recall."
    return f"Up to variety {free[-1]:g} the cost is {FLAT} from none."


def meant_for(model: str) -> str:
    """The catalogue that a model is meant for."""
    return MEANT_FOR.get(model, "any" if model in RECOMMENDERS else "as its author says")


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
