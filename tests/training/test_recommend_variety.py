"""What variety costs is measured on the trial's customers, against the same model without it."""

from datetime import datetime

import numpy as np

from features.interactions import Interactions
from training.pipelines.recommend_evaluation import Trial, judge
from training.pipelines.recommend_variety import STEPS, cost_of_variety
from training.recommenders.neighbours import Neighbours
from training.recommenders.repeat import Repeat

AS_OF = datetime(2024, 6, 1)  # UTC without a zone


def tastes(customers: int = 60) -> Trial:
    """Three tastes of ten items: a customer bought six of one and one of the next before, three of the first after."""
    rng = np.random.default_rng(0)
    orders = [10 * (number % 3) + rng.permutation(10) for number in range(customers)]
    customer = np.repeat(np.arange(customers, dtype=np.int32), 7)
    before = [np.append(order[:6], (order[0] + 10) % 30) for order in orders]
    item = np.concatenate([np.sort(owned) for owned in before]).astype(np.int32)
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    items, names = np.array([f"i{n:02d}" for n in range(30)]), np.array([f"c{n:02d}" for n in range(customers)])
    train = Interactions(names, items, customer, item, ones, ones, never, never, AS_OF)
    later = tuple(items[np.sort(order[6:9])] for order in orders)
    return Trial(train, AS_OF, tuple(names.tolist()), later, train.bought)


def test_the_first_step_is_what_customers_are_shown_and_the_others_are_paired_with_it() -> None:
    found, model = tastes(), Neighbours().fit(tastes().train)
    costs = cost_of_variety(model, found, 4, include_bought="never", rng=np.random.default_rng(0))
    assert tuple(cost.variety for cost in costs) == STEPS
    assert costs[0].recall == judge(model, found, 4, include_bought="never").mean("all", "recall")
    assert costs[0].difference.estimate == costs[0].difference.lower == costs[0].difference.upper == 0
    for cost in costs:
        assert np.isclose(cost.difference.estimate, cost.recall - costs[0].recall)


def test_where_taste_is_all_that_counts_variety_costs_recall_and_its_interval_says_so() -> None:
    found = tastes()
    costs = cost_of_variety(
        Neighbours().fit(found.train), found, 4, include_bought="never", rng=np.random.default_rng(0)
    )
    assert costs[-1].alike < costs[0].alike
    assert costs[-1].difference.upper < 0


def test_a_model_that_knows_no_likeness_pays_nothing_and_says_0() -> None:
    found = tastes()
    costs = cost_of_variety(Repeat().fit(found.train), found, 4, include_bought="mixed", rng=np.random.default_rng(0))
    assert {cost.alike for cost in costs} == {0}
    assert {cost.difference.estimate for cost in costs} == {0}
