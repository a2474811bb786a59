"""What a ranker reads from baskets: ann bought tea, tea and milk, nothing of them, tea; bob bought milk."""

from datetime import datetime

import numpy as np
import pytest

from features.lines import Lines
from training.recommenders.basket_columns import BasketFacts, basket_columns

COFFEE, MILK, TEA = range(3)
AS_OF = datetime.fromisoformat("2024-03-01")
DAYS_AGO = [50, 40, 40, 35, 10, 5]
LINES = [(0, TEA, 0), (0, TEA, 1), (0, MILK, 1), (0, COFFEE, 2), (0, TEA, 3), (1, MILK, 0)]


def columns(row, item, as_of=AS_OF):
    customer, what, basket = np.array(LINES).T
    lines = Lines.of(customer, what, basket, np.datetime64(AS_OF, "us") - np.array(DAYS_AGO, "m8[D]"))
    facts = BasketFacts.of(lines, 2, 3)
    found = basket_columns(np.array([row]), np.array([item]), lines, 2, facts, as_of)
    return {name: float(value[0]) for name, value in found.items()}


def test_a_pair_is_counted_in_baskets():
    tea = columns(0, TEA)
    names = ("purchases", "share", "baskets_since", "baskets_since_first", "gap", "last_1", "last_3", "last_5")
    assert [tea[f"pair.{name}"] for name in names] == [3, 0.75, 0, 3, 1.5, 1, 2, 3]


def test_what_was_never_bought_has_no_age():
    tea = columns(1, TEA)
    assert (tea["pair.purchases"], tea["pair.last_5"]) == (0, 0)
    assert np.isnan(tea["pair.baskets_since"])


def test_an_item_that_is_bought_again_has_a_higher_rate_than_one_that_is_not():
    assert columns(0, TEA)["item.again"] > columns(0, MILK)["item.again"]
    assert columns(0, TEA)["item.gap"] == pytest.approx(1.5)


def test_a_customer_is_described_by_size_and_repeats_of_the_baskets():
    ann = columns(0, COFFEE)
    names = ("baskets", "basket_size", "latest_size", "items", "repeat_share")
    assert [ann[f"customer.{name}"] for name in names] == pytest.approx([4, 1.25, 1, 3, 0.4])


def test_a_purchase_is_as_old_as_its_day_against_the_days_between_two():
    """Ann bought tea 50, 40 and 10 days ago: 20 days a cycle, 10 of them over."""
    tea = columns(0, TEA)
    assert tea["item.cycle"] == pytest.approx(20)
    assert tea["pair.days_since"] == pytest.approx(10)
    assert tea["pair.cycles_since"] == pytest.approx(0.5)
    assert tea["pair.days_left"] == pytest.approx(10)


def test_without_a_moment_or_a_purchase_no_age_in_days_is_known():
    for found in (columns(0, TEA, None), columns(1, TEA)):
        assert all(np.isnan(found[f"pair.{name}"]) for name in ("days_since", "cycles_since", "days_left"))
