"""Lifetime value: published estimates, slopes against differences, expectations against integrals and simulation."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from benchmarks.experiments_lifetime import World, compared
from serving.experiments.fitting import fit_spend, fit_transactions
from serving.experiments.lifetime import alive, expected_spend, expected_transactions, value_by_arm
from serving.experiments.likelihoods import Money, Timing
from serving.experiments.purchases import Purchases

END = pd.Timestamp("1997-09-30")  # of CDNOW's calibration, 39 weeks


@pytest.fixture(scope="module")
def cdnow(data_dir: Path) -> Purchases:
    rows = pd.read_parquet(data_dir / "cdnow" / "cdnow_sample.parquet")
    days = rows[rows["date"] <= END].groupby(["customer_id", "date"], as_index=False)["amount"].sum()
    first = days.groupby("customer_id")["date"].transform("min")
    again = days[days["date"] > first].groupby("customer_id")["amount"]
    each = days.groupby("customer_id")["date"].agg(["min", "max"])
    return Purchases.of(
        again.size().reindex(each.index, fill_value=0),
        (each["max"] - each["min"]).dt.days,
        (END - each["min"]).dt.days,
        again.mean().reindex(each.index, fill_value=0.0),
    )


@pytest.fixture(scope="module")
def world() -> Purchases:
    """4,000 customers of a shop as CDNOW, 30 to 180 days old."""
    return drawn(4000, seed=0)


def drawn(customers: int, *, seed: int, arm: NDArray[np.intp] | None = None) -> Purchases:
    rng = np.random.default_rng(seed)
    ages = rng.integers(30, 181, customers)
    repeats, recency, spend = World().purchases(ages, (np.ones(customers), np.ones(customers)), rng)
    return Purchases.of(repeats, recency, ages, spend, arm)


def test_the_published_estimates_of_cdnow_are_reproduced_to_the_printed_digits(cdnow: Purchases) -> None:
    """Fader, Hardie & Lee 2005, table 2, in weeks; Fader & Hardie 2013, section 4."""
    found = fit_transactions(cdnow)
    r, a, b, alpha = found.of_arm(0)
    assert [round(each, 3) for each in (r, alpha / 7, a, b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(found.log_likelihood + cdnow.repeats.sum() * np.log(7), 1) == -9582.4
    spend = fit_spend(cdnow)
    assert [round(each, 2) for each in spend.of_arm(0)] == [6.25, 3.74, 15.44]
    assert spend.log_likelihood == pytest.approx(-4055.92, abs=0.01)  # of the paper's own spreadsheet


def test_the_likelihood_of_one_customer_is_that_of_the_paper() -> None:
    """By hand: equation 6, x = 2, t_x = 10, T = 30; and equation 1a, two purchases of 12 on average."""
    r, a, b, alpha = 0.5, 1.5, 2.5, 20.0
    lost = a / (b + 1) * (1 / (alpha + 10)) ** (r + 2)
    front = alpha**r * r * (r + 1) * (b * (b + 1)) / ((a + b) * (a + b + 1))
    row = Timing(np.array([2]), np.array([10.0]), np.array([30.0]), np.ones(1))
    assert row.terms(np.array([r, a, b, alpha]))[0] == pytest.approx(np.log(front * ((alpha + 30) ** -(r + 2) + lost)))
    p, q, gamma = 3.0, 2.0, 15.0
    density = np.exp(gammaln(8) - gammaln(6)) / 12 * (gamma / (gamma + 24)) ** 2 * (24 / (gamma + 24)) ** 6
    row = Money(np.array([2]), np.array([24.0]), np.ones(1))
    assert row.terms(np.array([p, q, gamma]))[0] == pytest.approx(np.log(density))


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(0.05, 50), min_size=4, max_size=4),
    x=st.integers(0, 600),
    days=st.tuples(st.integers(0, 500), st.integers(0, 500)),
    count=st.integers(1, 9),
)
def test_slopes_and_second_derivatives_are_those_of_the_likelihood(
    values: list[float], x: int, days: tuple[int, int], count: int
) -> None:
    timing = Timing(
        np.array([x]), np.array([min(days) * 1.0 * (x > 0)]), np.array([max(days) * 1.0]), np.array([1.0 * count])
    )
    money = Money(np.array([x + 1]), np.array([1.0 + sum(days)]), np.array([1.0 * count]))
    for rows, at in ((timing, np.array(values)), (money, np.array(values[:3]))):
        slopes, second = rows.terms(at)[1], rows.curve(at)
        for place, value in enumerate(at):
            step = np.zeros(len(at))
            step[place] = 1e-5 * value
            above, below = rows.terms(at + step), rows.terms(at - step)
            by_difference = (above[0] - below[0]) / (2e-5 * value)
            assert slopes[0, place] == pytest.approx(by_difference[0], rel=1e-3, abs=1e-4 * (1 + x / value))
            by_difference = count * (above[1] - below[1])[0] / (2e-5 * value)
            assert second[place] == pytest.approx(by_difference, rel=1e-3, abs=1e-5 * count * (1 + x / value))


def test_equal_customers_are_one_row(world: Purchases) -> None:
    columns = (world.repeats, world.recency, world.age, world.spend)
    twice = Purchases.of(*(np.tile(column, 2) for column in columns))
    assert twice.groups[2].tolist() == (2 * world.groups[2]).tolist()
    for fit in (fit_transactions, fit_spend):
        once, both = fit(world), fit(twice)
        assert both.logs == pytest.approx(once.logs, abs=0.01)  # but for the pull towards the start
        assert both.log_likelihood == pytest.approx(2 * once.log_likelihood, rel=1e-6)
        assert np.diag(both.covariance) == pytest.approx(np.diag(once.covariance) / 2, rel=0.05)


def test_the_order_of_customers_changes_nothing(world: Purchases) -> None:
    order = np.random.default_rng(1).permutation(len(world.repeats))
    columns = (world.repeats, world.recency, world.age, world.spend)
    turned = Purchases.of(*(column[order] for column in columns))
    assert fit_transactions(turned).logs == pytest.approx(fit_transactions(world).logs)
    assert fit_spend(turned).logs == pytest.approx(fit_spend(world).logs)
    assert alive(turned, fit_transactions(world)) == pytest.approx(alive(world, fit_transactions(world))[order])


def test_planted_parameters_are_found_within_their_errors() -> None:
    customers = drawn(60_000, seed=1)
    for fit, truth in (
        (fit_transactions(customers), [0.243, 0.793, 2.426, 30.9]),
        (fit_spend(customers), [6.25, 3.74, 15.44]),
    ):
        z = (fit.logs - np.log(truth)) / np.sqrt(np.diag(fit.covariance))
        assert np.abs(z).max() < 3.5


@pytest.mark.parametrize(
    ("x", "last", "age"), [(0, 0, 60), (1, 5, 60), (7, 100, 120), (500, 290, 300), (5000, 300, 300)]
)
def test_expected_transactions_are_the_integral_over_rate_and_chance_to_stop(
    world: Purchases, x: int, last: int, age: int
) -> None:
    """Given alive, the rate is gamma(r + x, alpha + T) and the chance to stop beta(a, b + x); in t days follow
    (1 - exp(-rate p t)) / p purchases on average. The rate is integrated by hand, p on a grid of its quantiles."""
    fit = fit_transactions(world)
    r, a, b, alpha = fit.of_arm(0)
    one = Purchases.of([x], [last], [age], [9.0])
    y = np.linspace(-80, 30, 200_001)  # logit of the chance to stop
    density = np.exp(stats.beta(a, b + x).logpdf(1 / (1 + np.exp(-y))) - y - 2 * np.log1p(np.exp(-y)))
    p = 1 / (1 + np.exp(-y))
    for days in (1.0, 180.0, 2000.0):
        purchases = -np.expm1(-(r + x) * np.log1p(p * days / (alpha + age))) / p
        truth = (purchases * density).sum() / density.sum()
        assert expected_transactions(one, fit, days) / alive(one, fit) == pytest.approx(truth, rel=1e-5)


def test_forecasts_are_what_simulated_customers_do() -> None:
    """One half of the shop is seen for 90 days, the other for 180: the first's forecast is the others' difference."""
    shop, ones, ages = World(r=1.2, a=1.0, b=2.5, alpha=20.0), np.ones(40_000), np.full(40_000, 90)
    early = shop.purchases(ages, (ones, ones), np.random.default_rng(1))
    late = shop.purchases(2 * ages, (ones, ones), np.random.default_rng(2))
    seen = Purchases.of(early[0], early[1], ages, early[2])
    forecast = expected_transactions(seen, fit_transactions(seen), 90.0)
    error = np.sqrt((late[0].var() + early[0].var()) / len(ages))
    assert forecast.mean() == pytest.approx(late[0].mean() - early[0].mean(), abs=4 * error)
    assert 4 * error < 0.1 * forecast.mean()


def test_the_formula_is_smooth_where_it_is_0_by_0(world: Purchases) -> None:
    """At a = 1 equation 10 divides by 0; what lies around it says what it must be."""
    fit = fit_transactions(world)
    ahead = [
        expected_transactions(world, replace(fit, logs=np.log([0.3, a, 2.5, 30.0])), 180.0).mean()
        for a in (0.99, 0.99991, 1.0, 1.00009, 1.01)
    ]
    assert ahead[2] == pytest.approx((ahead[0] + ahead[4]) / 2, rel=1e-4)
    assert ahead[1:4] == pytest.approx([ahead[2]] * 3, rel=1e-4)


@pytest.mark.parametrize("r", [0.3, 5.0, 1e5])
@pytest.mark.parametrize("rate", [0.03, 3.0])
def test_customers_who_stop_all_alike_have_a_forecast(world: Purchases, r: float, rate: float) -> None:
    """Of a and b without end the chance to stop is a / (a + b) for all, and the integral over it is gone."""
    alpha, stop, days = r / rate, 0.2, 900.0
    fit = replace(fit_transactions(world), logs=np.log([r, 1e7, 4e7, alpha]))
    x, age = np.array([0, 0, 4, 50]), np.array([0, 300, 60, 60])
    some = Purchases.of(x, [0, 0, 20, 59], age, [0, 0, 9.0, 9.0])
    truth = -np.expm1(-(r + x) * np.log1p(stop * days / (alpha + age))) / stop
    assert expected_transactions(some, fit, days) == pytest.approx(truth * alive(some, fit), rel=0.01)


def test_expected_spend_lies_between_the_customers_mean_and_the_shops(world: Purchases) -> None:
    fit = fit_spend(world)
    p, q, gamma = fit.of_arm(0)
    shop = p * gamma / (q - 1)
    found = expected_spend(Purchases.of([0, 1, 400], [0, 5, 100], [200, 200, 200], [0, 80.0, 80.0]), fit)
    assert found[0] == pytest.approx(shop)
    assert shop < found[1] < found[2] < 80
    assert found[2] == pytest.approx(80, rel=0.01)


def test_alive_is_certain_without_repeats_and_falls_with_silence(world: Purchases) -> None:
    fit = fit_transactions(world)
    found = alive(Purchases.of([0, 5, 5, 5, 500], [0, 100, 100, 100, 100], [300, 100, 150, 300, 400], [9.0] * 5), fit)
    assert found[0] == 1
    assert found[1] > found[2] > found[3] > found[4]
    assert found[4] == pytest.approx(0, abs=1e-12)


def test_the_value_of_an_arm_is_what_was_paid_and_what_is_expected(world: Purchases) -> None:
    transactions, spend = fit_transactions(world), fit_spend(world)
    ahead = expected_transactions(world, transactions, 182.0) * expected_spend(world, spend)
    found = value_by_arm(world, world.total, 182.0)
    assert found.estimates == pytest.approx([(world.total + ahead).mean()])


def test_the_error_of_a_value_is_that_of_its_bootstrap() -> None:
    """Customers drawn with replacement and given to arms anew, everything fitted anew each time."""
    rng = np.random.default_rng(5)
    shop = drawn(1500, seed=5, arm=np.arange(1500) % 10 < 3)
    found = value_by_arm(shop, shop.total, 182.0)
    again = []
    for _ in range(80):
        rows = rng.integers(0, 1500, 1500)
        columns = (shop.repeats, shop.recency, shop.age, shop.spend)
        redrawn = Purchases.of(*(column[rows] for column in columns), shop.arm)
        again.append(np.log(value_by_arm(redrawn, redrawn.total, 182.0).estimates))
    truth = np.cov(np.array(again).T)
    for contrast in np.array([[1, 0], [0, 1], [-1, 1]]):
        error = (contrast @ found.covariance @ contrast) ** 0.5
        assert error == pytest.approx((contrast @ truth @ contrast) ** 0.5, rel=0.3)


def test_an_experiment_without_an_effect_is_seldom_one() -> None:
    """A holdout of 5 %; more than 12 of 80 misses happen once in a thousand times at a rate of 6 %."""
    runs = np.array([compared(seed, 1500, 0.95, (1.0, 1.0)) for seed in range(80)])
    missed = np.abs(runs[:, 0] / runs[:, 1]) > 1.96
    assert 1 <= missed.sum() <= stats.binom.ppf(0.999, 80, 0.06)


@pytest.mark.parametrize("lift", [(1.5, 1.0), (1.0, 1.5)])
def test_a_planted_effect_on_rate_or_spend_is_found_within_its_interval(lift: tuple[float, float]) -> None:
    more, error, truth = compared(0, 40_000, 0.5, lift)
    assert more / error > 5
    assert abs(more - truth) < 3 * error


def test_one_test_answers_for_the_difference_and_for_the_ratio() -> None:
    shop = drawn(3000, seed=2, arm=np.arange(3000) % 3)
    found = value_by_arm(shop, shop.total, 182.0)
    assert found.covariance.shape == (3, 3)
    for arm, control in ((1, 0), (2, 0), (2, 1)):
        more, error = found.difference(arm, control)
        ratio, ratio_error = found.log_ratio(arm, control)
        assert more == pytest.approx(found.estimates[arm] - found.estimates[control])
        assert more / error == pytest.approx(ratio / ratio_error)
        assert found.difference(control, arm) == pytest.approx((-more, error))
    assert found.difference(0, 0) == (0, 0)


def test_another_currency_changes_the_money_and_not_the_test() -> None:
    shop = drawn(2000, seed=4, arm=np.arange(2000) % 2)
    cents = Purchases.of(shop.repeats, shop.recency, shop.age, 100 * shop.spend, shop.arm)
    one, other = value_by_arm(shop, shop.total, 90.0), value_by_arm(cents, cents.total, 90.0)
    assert other.estimates == pytest.approx(100 * one.estimates, rel=1e-6)
    assert other.covariance == pytest.approx(one.covariance, rel=1e-4)


def test_a_shop_that_nobody_leaves_is_fitted_too() -> None:
    """Purchases at one rate for all, and nobody stops: r and alpha have no finite best values, a is 0 at best."""
    rng = np.random.default_rng(6)
    age = np.full(800, 120)
    repeats = rng.poisson(3, 800)
    recency = np.array([np.floor(120 * rng.random(x).max()) if x else 0 for x in repeats])
    shop = Purchases.of(repeats, recency, age, rng.lognormal(3, 0.2, 800), np.arange(800) % 2)
    fit = fit_transactions(shop)
    assert np.isfinite(fit.covariance).all()
    assert expected_transactions(shop, fit, 120.0).mean() == pytest.approx(repeats.mean(), rel=0.1)
    found = value_by_arm(shop, shop.total, 120.0)
    assert 0 < found.difference(1, 0)[1] < found.estimates[0]


def test_repeats_on_the_first_day_leave_the_likelihood_a_bound() -> None:
    """At recency 0 a small alpha would be likelier without end."""
    shop = World(r=15.0, a=3.0, b=4.0, alpha=6.0)
    ages, ones = np.full(500, 40), np.ones(500)
    repeats, recency, spend = shop.purchases(ages, (ones, ones), np.random.default_rng(9))
    assert (np.rint(recency)[repeats > 0] == 0).mean() > 0.1
    fit = fit_transactions(Purchases.of(repeats, recency, ages, spend))
    r, _, _, alpha = fit.of_arm(0)
    assert r / alpha == pytest.approx(15 / 6, rel=0.25)


def columns(customers: int = 200, **changed: Any) -> dict[str, Any]:
    rows = np.arange(customers)
    given = {
        "repeats": rows % 4,
        "recency": np.where(rows % 4 > 0, rows % 50, 0),
        "age": np.full(customers, 60),
        "spend": 10.0 + rows % 7,
        "arm": rows % 2,
    }
    return given | changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"customers": 99}, "99 customers; lifetime value needs at least 100"),
        ({"repeats": np.zeros(200), "recency": np.zeros(200)}, "0 of 100 customers of arm 0 bought again"),
        ({"arm": np.where(np.arange(200) < 12, 1, 0)}, "9 of 12 customers of arm 1 bought again"),
        ({"arm": np.full(200, 1)}, "0 of 0 customers of arm 0 bought again"),
        ({"recency": np.full(200, 61.0)}, "200 of 200 customers have impossible counts or days"),
        ({"repeats": np.full(200, -1.0)}, "200 of 200 customers have impossible"),
        ({"age": np.full(200, np.nan)}, "200 of 200 customers have impossible"),
        ({"spend": np.full(200, -5.0)}, "150 of 150 customers with repeat purchases have a mean spend that is not > 0"),
        ({"spend": np.full(200, 5.0)}, "150 customers with repeat purchases all have the same mean spend"),
        ({"spend": np.ones(3)}, r"have \[200, 200, 200, 3, 200\] rows"),
        ({"arm": np.full(200, -1)}, "arm == -1"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        value_by_arm(Purchases.of(**columns(**changed)), np.ones(changed.get("customers", 200)), 90.0)
    assert "\n" not in str(told.value)


def test_spends_that_no_gamma_tells_apart_are_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an order brings varies, but not by customer: the likelihood is flat along a ridge."""
    rng, terms = np.random.default_rng(2), Money.terms
    looks: list[object] = []
    orders = rng.poisson(0.8, 2000)
    money = np.array([rng.integers(10, 60, many).mean() if many else 0.0 for many in orders])
    recency = np.where(orders > 0, rng.integers(1, 300, 2000), 0)
    alike = Purchases.of(orders, recency, np.full(2000, 365), money, rng.integers(0, 2, 2000))
    monkeypatch.setattr(Money, "terms", lambda *given: (looks.append(given), terms(*given))[1])
    with contextlib.suppress(ValueError):  # which it is hangs on the last digits
        fit_spend(alike)
    assert 0 < len(looks) < 300


def test_customers_who_are_all_the_same_are_refused() -> None:
    same = Purchases.of(np.full(200, 2), np.full(200, 9), np.full(200, 60), np.full(200, 9.0))
    with pytest.raises(ValueError, match="200 customers all have the same repeats, recency and age"):
        fit_transactions(same)


def test_spends_without_an_expectation_are_refused() -> None:
    rng = np.random.default_rng(8)
    shop = drawn(2000, seed=8)
    wild = Purchases.of(shop.repeats, shop.recency, shop.age, rng.pareto(0.5, 2000) + 0.1)
    with pytest.raises(ValueError, match="must be > 1"):
        expected_spend(wild, fit_spend(wild))


def test_realised_money_needs_every_customer(world: Purchases) -> None:
    with pytest.raises(ValueError, match="realised has 3 rows, purchases 4000"):
        value_by_arm(world, np.ones(3), 90.0)


def test_an_arm_that_is_worth_nothing_is_refused(world: Purchases) -> None:
    with pytest.raises(ValueError, match="arm 0 is worth -"):
        value_by_arm(world, np.full(len(world.arm), -1e6), 90.0)
