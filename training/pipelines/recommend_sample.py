"""A sample of customers to look at: what they bought, what a model answers and why, what they bought next.

It names customers and their histories, so it stays in the run's folder of the workspace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from features.workspace import Bought, RecommenderSettings
from training.pipelines.recommend_evaluation import Trial
from training.pipelines.recommend_variety import VarietyCost, cost_of_variety
from training.recommenders.base import Recommender
from training.recommenders.bought import allowed

FILE = "sample.json"
CUSTOMERS = 10
LATEST = 20  # items of a history that are kept
VARIED = 500  # customers that the cost of variety is measured on: it ranks every answer anew at each step

Said = list[list[dict[str, Any]]]


class Watch:
    """What is kept of the models while they are judged: their answers to a sample, and what variety costs the chosen.

    The sample is drawn from the first trial that it looks at.
    """

    def __init__(
        self, settings: RecommenderSettings, chosen: str, rng: np.random.Generator, varied: np.random.Generator
    ) -> None:
        self._settings, self._chosen, self._rng, self._varied = settings, chosen, rng, varied
        self._few: Trial | None = None
        self._said: dict[str, Said] = {}
        self._variety: Sequence[VarietyCost] = ()

    def look(self, name: str, model: Recommender, trial: Trial) -> None:
        """Asks the fitted model of this name."""
        k, mode = self._settings.k, self._settings.include_bought
        self._few = self._few or drawn(trial, CUSTOMERS, self._rng)
        self._said[name] = answers(model, self._few, k, include_bought=mode)
        if name == self._chosen:
            some = drawn(trial, VARIED, self._varied)
            self._variety = cost_of_variety(model, some, k, include_bought=mode, rng=self._varied)

    def sample(self) -> list[dict[str, Any]]:
        """Names customers: see `sample` below."""
        return sample(self._few, self._said) if self._few else []

    def costs(self) -> list[dict[str, float | None]]:
        """What each step of variety costs; names nobody."""
        return [
            {
                "variety": one.variety,
                "recall": one.recall,
                "difference": one.difference.estimate,
                "lower": max(one.difference.lower, -1.0),
                "upper": min(one.difference.upper, 1.0),
                "alike": one.alike if math.isfinite(one.alike) else None,
            }
            for one in self._variety
        ]


def drawn(trial: Trial, most: int, rng: np.random.Generator) -> Trial:
    """The trial of some of its customers only, at most so many."""
    count = min(most, len(trial.customers))
    return trial.taken(np.sort(rng.choice(len(trial.customers), count, replace=False)))


def answers(model: Recommender, few: Trial, k: int, *, include_bought: Bought) -> Said:
    """Per customer the items, best first, each with its reason."""
    histories, items = few.train.rows(few.customers), allowed(include_bought, few.bought, model)
    rankings = model.recommend_for(histories, k, items=items, as_of=few.as_of)
    reasons = model.reasons(histories, rankings, as_of=few.as_of)
    return [
        [
            {"item": item, "reason": reason.kind, "cites": list(reason.cites)}
            for item, reason in zip(ids.tolist(), why, strict=True)
        ]
        for ids, why in zip(rankings.items, reasons, strict=True)
    ]


def sample(few: Trial, said: dict[str, Said]) -> list[dict[str, Any]]:
    """One entry per customer, ready for JSON."""
    return [
        {
            "customer": customer,
            "items": len(history),
            "history": _latest(history),
            "next": few.relevant[row].tolist(),
            "answers": {model: rows[row] for model, rows in said.items()},
        }
        for row, (customer, history) in enumerate(zip(few.customers, few.train.rows(few.customers).each(), strict=True))
    ]


def _latest(history: Interactions) -> list[dict[str, Any]]:
    """The items met last, newest first; `purchases` is 0 where an item was only viewed or added."""
    order = _newest_first(history)[:LATEST]
    return [
        {
            "item": str(history.items[history.item[place]]),
            "purchases": round(float(history.purchases[place])),
            "last": str(history.last[place].astype("M8[D]")),
        }
        for place in order.tolist()
    ]


def _newest_first(history: Interactions) -> NDArray[np.intp]:
    return np.lexsort((history.item, -history.last.astype(np.int64), history.purchases <= 0))
