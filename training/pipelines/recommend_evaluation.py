"""How a recommender is judged: on what customers bought after the moment it was fitted as of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.events import ORDERED, Events
from features.interactions import Interactions
from features.workspace import Bought
from training.metrics import ranking
from training.pipelines import recommend_ages as ages
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.bought import allowed

MOST = 20_000  # customers judged at most: a metric's standard error is then below .003
METRICS = ("recall", "ndcg", "hit_rate")
PARTS = ("all", "known", "new", "repeat", "explore")

Ids = NDArray[np.str_]
Row = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """What may be learned from, and what customers bought afterwards.

    `relevant` are the items of the test period per customer, `bought` those the customer had bought before it.
    """

    train: Interactions
    as_of: datetime
    customers: tuple[str, ...]
    relevant: tuple[Ids, ...]
    bought: tuple[Ids, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """True where the customer has a history in the training part."""
        return self.train.places(self.customers) >= 0

    @cached_property
    def age_groups(self) -> NDArray[np.intp]:
        """Per item of the training part its place in `ages.AGES`."""
        return ages.groups_of(self.train, self.as_of)

    def taken(self, rows: NDArray[np.intp]) -> Trial:
        """The trial of these customers only."""
        parts = (tuple(each[row] for row in rows.tolist()) for each in (self.customers, self.relevant, self.bought))
        customers, relevant, bought = parts
        return replace(self, customers=customers, relevant=relevant, bought=bought)


@dataclass(frozen=True)
class Judged:
    """Per part of `PARTS` and metric one value per customer; NaN where the customer does not belong to the part.

    `by_age` is the Recall among the items of an age (`ages.AGES`), `answered` what share of the answers is that old.
    """

    values: Mapping[str, Mapping[str, Row]]
    coverage: float
    gini: float = float("nan")
    top_share: float = float("nan")
    by_age: Mapping[str, Row] = field(default_factory=dict)
    answered: Mapping[str, float] = field(default_factory=dict)

    def mean(self, part: str, metric: str) -> float:
        """The mean over the part's customers; NaN when there are none."""
        values = self.values[part][metric]
        belongs = ~np.isnan(values)
        return float(values[belongs].mean()) if belongs.any() else float("nan")


def trial(events: Events, train: Interactions, start: datetime, end: datetime, rng: np.random.Generator) -> Trial:
    """The trial whose test period is [start, end); a sample of its customers where there are very many."""
    relevant = purchases_between(events, start, end)
    customers = sorted(relevant)
    if not customers:
        raise ValueError(
            f"no {ORDERED!r} of a known customer between {start:%Y-%m-%d} and {end:%Y-%m-%d}; the split needs some "
            "(recommender.horizon_days in attune.yaml)"
        )
    if len(customers) > MOST:
        customers = sorted(rng.choice(np.array(customers), MOST, replace=False).tolist())
    return Trial(
        train,
        start,
        tuple(customers),
        tuple(relevant[customer] for customer in customers),
        train.rows(customers).bought,
    )


def purchases_between(events: Events, start: datetime, end: datetime) -> dict[str, Ids]:
    """Per customer the items bought in [start, end), sorted."""
    table = events.before(end)
    bought = table.filter(
        (table.time >= start) & (table.name == ORDERED) & table.customer.notnull() & table.item.notnull()
    )
    rows = bought.select("customer", "item").distinct().order_by("customer", "item").to_pyarrow()
    customers = rows["customer"].to_numpy().astype(np.str_)
    items = rows["item"].to_numpy().astype(np.str_)
    names, starts = np.unique(customers, return_index=True)
    return dict(zip(names.tolist(), np.split(items, starts[1:]), strict=True)) if len(names) else {}


def judge(model: Recommender, trial: Trial, k: int, *, include_bought: Bought) -> Judged:
    """The model's metrics on the trial, per customer and part.

    `all` is what a customer is shown, under this mode of `bought.allowed`. `repeat` ranks only what was bought
    before, `explore` only what was not; each judges the customers who did buy such an item.
    """
    repeat, explore = _split_relevant(trial)
    histories = trial.train.rows(trial.customers)

    def part(items: ItemFilter, relevant: Sequence[Ids]) -> tuple[dict[str, Row], Sequence[Ids]]:
        answer = model.recommend_for(histories, k, items=items, as_of=trial.as_of).items
        return _per_customer(answer, relevant, k), answer

    explored, new_to_them = part(allowed("never", trial.bought, model), explore)
    repeated, again = part(allowed("only", trial.bought, model), repeat)
    if include_bought == "mixed":
        whole, shown = part(allowed("mixed", trial.bought, model), trial.relevant)
    else:
        whole, shown = (repeated, again) if include_bought == "only" else (explored, new_to_them)
    values = {"all": whole, "explore": explored, "repeat": repeated}
    values["known"] = {name: np.where(trial.known, row, np.nan) for name, row in whole.items()}
    values["new"] = {name: np.where(trial.known, np.nan, row) for name, row in whole.items()}
    return _judged(values, shown, trial)


def _judged(values: Mapping[str, Mapping[str, Row]], shown: Sequence[Ids], trial: Trial) -> Judged:
    items, counts = trial.train.items, ranking.exposure(shown, len(trial.train.items))
    groups = trial.age_groups
    return Judged(
        values,
        ranking.coverage(shown, len(items)),
        ranking.gini(counts),
        ranking.top_share(counts),
        ages.recalls(shown, trial.relevant, items, groups),
        ages.shares(shown, items, groups),
    )


def _split_relevant(trial: Trial) -> tuple[list[Ids], list[Ids]]:
    """Per customer the relevant items that were bought before, and those that were not."""
    again = [np.isin(items, owned) for items, owned in zip(trial.relevant, trial.bought, strict=True)]
    repeat = [items[known] for items, known in zip(trial.relevant, again, strict=True)]
    explore = [items[~known] for items, known in zip(trial.relevant, again, strict=True)]
    return repeat, explore


def _per_customer(ranked: Sequence[Ids], relevant: Sequence[Ids], k: int) -> dict[str, Row]:
    sizes = ranking.sizes(relevant)
    found, some = ranking.hits(ranked, relevant, k), np.maximum(sizes, 1)
    values = {
        "recall": ranking.recall(found, some),
        "ndcg": ranking.ndcg(found, some),
        "hit_rate": ranking.hit_rate(found),
    }
    return {name: np.where(sizes > 0, row, np.nan) for name, row in values.items()}
