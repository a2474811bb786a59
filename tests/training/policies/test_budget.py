"""Budget: never over a limit, as near to the bound as whole customers allow; the bound is linear programming's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from training.policies.allotment import NOBODY, Allotment, Limit
from training.policies.budget import cautious, plan


def world(seed: int, customers: int, offers: int, share: float, *, rough: bool = False) -> Allotment:
    """Random profits; money for this share of what is wanted, fewer contacts, a budget and a stock of one offer."""
    rng = np.random.default_rng(seed)
    spend = rng.uniform(0.1, 1.0, (offers, customers))
    profit = rng.normal(0.2, 0.6, (offers, customers))
    if rough:
        spend, profit = np.round(spend, 1), np.round(profit, 1)  # many ties
    total = share * spend.max(axis=0).sum()
    every = tuple(range(offers))
    limits = (
        Limit("budget", total, every, money=True),
        Limit("contacts", np.floor(0.5 * share * customers + 1), every, money=False),
        Limit("budget of 0", 0.4 * total, (0,), money=True),
        Limit("stock of 1", np.floor(0.2 * share * customers + 1), (offers - 1,), money=False),
    )
    return Allotment(profit, spend, limits)


def matrix(allotment: Allotment) -> np.ndarray:
    """Rows: one per customer, then one per limit; columns: offers x customers."""
    offers, customers = allotment.profit.shape
    people = np.tile(np.eye(customers), offers)
    limits = [
        np.concatenate(
            [
                (allotment.spend[offer] if limit.money else np.ones(customers)) * (offer in limit.offers)
                for offer in range(offers)
            ]
        )
        for limit in allotment.limits
    ]
    return np.vstack([people, *limits])


def sides(allotment: Allotment) -> np.ndarray:
    return np.concatenate([np.ones(allotment.profit.shape[1]), allotment.most])


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_that_of_linear_programming(seed: int) -> None:
    allotment = world(seed, 200, 3, 0.3)
    found = linprog(-allotment.profit.ravel(), matrix(allotment), sides(allotment), bounds=(0, 1))
    assert plan(allotment).bound == pytest.approx(-found.fun, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_small_plan_is_near_the_best_plan_of_whole_customers(seed: int) -> None:
    allotment = world(seed, 40, 2, 0.3)
    constraint = LinearConstraint(matrix(allotment), -np.inf, sides(allotment))
    found = milp(-allotment.profit.ravel(), constraints=constraint, bounds=Bounds(0, 1), integrality=np.ones(80))
    made = plan(allotment)
    assert made.profit <= -found.fun + 1e-6 <= made.bound + 2e-6
    assert made.profit >= -found.fun - allotment.profit.max()  # at most one customer's worth away


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    customers=st.integers(1, 60),
    offers=st.integers(1, 4),
    share=st.floats(0, 1.2),
    rough=st.booleans(),
)
def test_a_plan_is_never_over_a_limit_and_its_profit_never_over_the_bound(
    seed: int, customers: int, offers: int, share: float, rough: bool
) -> None:
    allotment = world(seed, customers, offers, share, rough=rough)
    made = plan(allotment)
    rows = np.flatnonzero(made.choice != NOBODY)
    chosen = made.choice[rows]
    for limit in allotment.limits:
        inside = np.isin(chosen, limit.offers)
        use = allotment.spend[chosen[inside], rows[inside]] if limit.money else np.ones(inside.sum())
        assert use.sum() <= limit.most * (1 + 1e-12)  # sums in another order
    assert made.profit == pytest.approx(allotment.profit[chosen, rows].sum())
    assert -1e-9 <= made.profit <= made.bound + 1e-9
    assert (allotment.profit[chosen, rows] > 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.8), more=st.floats(1, 2))
def test_more_budget_is_never_worth_less(seed: int, share: float, more: float) -> None:
    small, large = (plan(one) for one in (world(seed, 50, 3, share), world(seed, 50, 3, share * more)))
    assert large.bound >= small.profit * (1 - 1e-6)  # of the bounds alone each is as near as its search came
    assert large.profit >= small.profit - (large.bound - large.profit) - 1e-6 * small.bound


def test_a_hundred_thousand_customers_are_planned_within_a_ten_thousandth_of_the_bound() -> None:
    made = plan(world(0, 100_000, 5, 0.2))
    assert made.gap < 1e-4


def test_a_plan_is_the_same_to_the_bit_however_many_threads_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    two = plan(world(0, 60_000, 3, 0.2))
    monkeypatch.setattr("training.policies.allotment.THREADS", 1)
    one = plan(world(0, 60_000, 3, 0.2))
    assert (one.profit, one.bound, one.prices.tolist()) == (two.profit, two.bound, two.prices.tolist())
    assert (one.choice == two.choice).all()


@pytest.mark.parametrize("customers", [1_000, 60_000])  # the prices of 60,000 come from a sample
def test_customers_who_are_all_alike_get_as_much_as_the_limits_hold(customers: int) -> None:
    profit, spend = np.repeat([[0.5], [0.4]], customers, axis=1), np.repeat([[1.0], [1.0]], customers, axis=1)
    limits = (
        Limit("budget", 0.7 * customers + 0.5, (0, 1), money=True),
        Limit("stock", 0.3 * customers, (0,), money=False),
    )
    allotment = Allotment(profit, spend, limits)
    made = plan(allotment)
    alone = allotment.best(cautious(allotment, made.prices))[0]
    assert (allotment.used(alone) <= allotment.most).all()
    assert [(made.choice == offer).sum() for offer in (0, 1)] == [0.3 * customers, 0.4 * customers]


def test_a_budget_of_zero_buys_nothing_but_what_is_free() -> None:
    profit, spend = np.array([[3.0, 2.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    made = plan(Allotment(profit, spend, (Limit("budget", 0.0, (0, 1), money=True),)))
    assert made.choice.tolist() == [1, 1]
    assert made.bound == pytest.approx(2.0)


def test_a_budget_beyond_need_has_no_price() -> None:
    rng = np.random.default_rng(0)
    profit = rng.normal(size=(2, 500))
    made = plan(Allotment(profit, np.ones((2, 500)), (Limit("budget", 1e9, (0, 1), money=True),)))
    assert made.profit == pytest.approx(np.maximum(profit.max(axis=0), 0).sum())
    assert (made.prices.tolist(), made.gap) == ([0.0], 0.0)


def test_without_a_limit_everybody_gets_the_best_offer() -> None:
    profit = np.random.default_rng(0).normal(size=(2, 100))
    made = plan(Allotment(profit, np.ones((2, 100)), ()))
    assert made.profit == pytest.approx(np.maximum(profit.max(axis=0), 0).sum())


def test_where_nothing_pays_nobody_gets_anything() -> None:
    made = plan(Allotment(-np.ones((2, 30)), np.ones((2, 30)), (Limit("budget", 5.0, (0, 1), money=True),)))
    assert (made.choice == NOBODY).all()
    assert (made.profit, made.spend, made.gap) == (0.0, 0.0, 0.0)


def test_an_offer_that_a_customer_cannot_have_is_not_given() -> None:
    profit = np.array([[-np.inf, 2.0], [1.0, -np.inf]])
    made = plan(Allotment(profit, np.ones((2, 2)), (Limit("budget", 2.0, (0, 1), money=True),)))
    assert made.choice.tolist() == [1, 0]


@pytest.mark.parametrize("most", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_is_no_amount_is_refused(most: float) -> None:
    with pytest.raises(ValueError, match=r"limit 'budget'"):
        Limit("budget", most, (0,), money=True)
