"""What variety costs: the Recall of a model's answers, and how alike their items are, by the knob's setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.workspace import Bought
from training.intervals import Interval, paired_difference
from training.metrics import ranking
from training.pipelines.recommend_evaluation import Ids, Row, Trial
from training.recommenders.base import Rankings, Recommender
from training.recommenders.bought import allowed
from training.recommenders.variety import pooled, varied

STEPS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class VarietyCost:
    """One setting of the knob. `alike`: the mean likeness of two items of an answer; 0 where none is known."""

    variety: float
    recall: float
    difference: Interval  # of Recall, from variety 0, over the same customers
    alike: float


def cost_of_variety(
    model: Recommender, trial: Trial, k: int, *, include_bought: Bought, rng: np.random.Generator
) -> tuple[VarietyCost, ...]:
    """Per step of `STEPS` what customers would have found in their k items, and how alike these are."""
    histories = trial.train.rows(trial.customers)
    items = allowed(include_bought, trial.bought, model)

    def asked(count: int) -> Rankings:
        return model.recommend_for(histories, count, items=items, as_of=trial.as_of)

    pools = {count: asked(count) for count in {pooled(k, variety) for variety in STEPS}}  # two: without, and with
    answers = [varied(model, pools[pooled(k, variety)], k, variety=variety).items for variety in STEPS]
    recalls = [_recall(answer, trial.relevant, k) for answer in answers]
    return tuple(
        VarietyCost(variety, float(recall.mean()), paired_difference(recall, recalls[0], rng), _alike(model, answer))
        for variety, recall, answer in zip(STEPS, recalls, answers, strict=True)
    )


def _recall(answer: Sequence[Ids], relevant: Sequence[Ids], k: int) -> Row:
    return ranking.recall(ranking.hits(answer, relevant, k), ranking.sizes(relevant))


def _alike(model: Recommender, answer: Sequence[Ids]) -> float:
    """The mean over the answers with two items or more; NaN where there is none."""
    pairs = [model.alike(ids).sum() / (len(ids) * (len(ids) - 1)) for ids in answer if len(ids) > 1]
    return float(np.mean(pairs)) if pairs else float("nan")
