"""A split that is off is told, a right one is left in peace, and people where none should be are an alarm."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom, binomtest, chisquare, multinomial
from statsmodels.stats.multitest import multipletests

from serving.experiments.ratio import FACTOR, PRIORS, RATIO_ALPHA, cells, chi_square, holm, log_bayes_factor, watch

HALVES = {"control": 0.5, "test": 0.5}
HOLDOUT = {"control": 0.05, "test": 0.95}


def test_chi_square_by_hand() -> None:
    # 100^2 / 10,000 + 100^2 / 10,000 = 2
    found = chi_square({"control": 10_100, "test": 9_900}, HALVES)
    assert found.p_value == pytest.approx(math.erfc(1.0))  # chi-square with 1 degree: erfc(sqrt(2 / 2))
    assert found.expected == {"control": 10_000, "test": 10_000}
    assert not found.alarm
    assert found.why == ""


@given(
    st.lists(st.integers(20_000, 22_000), min_size=3, max_size=3), st.lists(st.integers(1, 4), min_size=3, max_size=3)
)
@settings(max_examples=40, deadline=None)
def test_where_many_are_expected_it_is_scipys(counts: list[int], shares: list[int]) -> None:
    expected = [sum(counts) * share / sum(shares) for share in shares]
    found = chi_square(*(dict(zip("abc", each, strict=True)) for each in (counts, shares)))
    assert found.p_value == pytest.approx(chisquare(counts, expected).pvalue, abs=1e-300)


def test_an_alarm_says_which_arm_is_off() -> None:
    found = chi_square({"control": 5_400, "test": 4_600}, HALVES)
    assert found.alarm
    assert "arm 'control' has 5,400 customers, 5,000 planned" in found.why


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.5, "c": 0.0}, {"a": 0.5, "b": 0.5}])
def test_people_in_an_arm_that_should_have_none_are_an_alarm_of_their_own(shares: dict[str, float]) -> None:
    found = chi_square({"a": 5_000, "b": 5_000, "c": 1}, shares)
    assert found.alarm
    assert found.p_value == 1.0  # the others are as planned
    assert found.why == "arm 'c' has share 0 and 1 customer"
    assert watch({"mon": {"a": 10, "b": 10}, "tue": {"a": 9, "b": 9, "c": 1}}, shares).since == "tue"


def test_a_split_that_is_better_than_chance_is_no_evidence_for_anything() -> None:
    assert watch({"mon": {"control": 50, "test": 50}}, HALVES).p_value == 1.0
    assert watch({}, HALVES).p_value == 1.0


def test_an_empty_arm_of_share_0_and_a_day_without_customers_are_no_alarm() -> None:
    found = cells({"mon": {"a": 5_000, "b": 5_000, "c": 0}, "tue": {}}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert [(row.p_value, row.alarm, row.strangers) for row in found] == [(1.0, False, {}), (1.0, False, {})]


def test_a_small_cell_of_a_holdout_is_tested_exactly() -> None:
    """Chi-square would alarm at 3 of 10 in the holdout, p = 0.0003; that is seen in one cell of 87."""
    counts = {"control": 3, "test": 7}
    assert chisquare([3, 7], [0.5, 9.5]).pvalue < RATIO_ALPHA
    assert chi_square(counts, HOLDOUT).p_value == pytest.approx(float(binom.sf(2, 10, 0.05)))
    assert not chi_square(counts, HOLDOUT).alarm


@pytest.mark.parametrize("total", [12, 300, 9_900, 10_100])
def test_cells_of_a_holdout_alarm_at_most_about_as_often_as_they_say(total: int) -> None:
    """The exact probability of an alarm, over all counts that can be."""
    control = np.arange(total + 1)
    chance = binom.pmf(control, total, 0.05)
    likely = control[chance > 1e-9]
    alarms = [chi_square({"control": int(n), "test": total - int(n)}, HOLDOUT).alarm for n in likely]
    assert chance[likely][alarms].sum() < 1.3 * RATIO_ALPHA


def test_small_cells_of_three_arms_are_tested_arm_by_arm() -> None:
    counts, shares = {"a": 30, "b": 5, "c": 65}, {"a": 0.2, "b": 0.1, "c": 0.7}
    each = [binomtest(counts[arm], 100, shares[arm]).pvalue for arm in counts]
    assert chi_square(counts, shares).p_value == pytest.approx(3 * min(each))


@pytest.mark.parametrize("many", [1, 2, 40])
def test_adjusted_p_values_are_those_of_statsmodels(many: int) -> None:
    p_values = np.random.default_rng(7).random(many) ** 3
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_one_bad_day_is_found_among_many_and_the_others_stay_quiet() -> None:
    rng = np.random.default_rng(4)
    days = {
        f"day {day}": dict(zip(HALVES, rng.multinomial(2_000, [0.5, 0.5]).tolist(), strict=True)) for day in range(28)
    }
    days["day 9"] = {"control": 1_150, "test": 850}
    rows = cells(days, HALVES)
    assert [row.cell for row in rows if row.alarm] == ["day 9"]
    assert [row.cell for row in rows] == list(days)
    assert all(row.adjusted >= row.p_value for row in rows)


def test_the_bayes_factor_of_two_arms_by_integration() -> None:
    def of(firm: float) -> float:
        likelihood = quad(
            lambda p: binom.pmf(70, 100, p) * beta.pdf(p, firm * 0.6, firm * 0.4), 0, 1, points=[0.6, 0.7]
        )
        return likelihood[0] / binom.pmf(70, 100, 0.6)

    expected = sum(weight * of(firm) for firm, weight in PRIORS)
    assert math.exp(log_bayes_factor(np.array([70, 30]), np.array([3, 2]))) == pytest.approx(expected, rel=1e-6)


def test_under_the_plan_the_bayes_factor_is_1_in_the_mean() -> None:
    """Over everything that 40 customers in three unequal arms can be: what makes it a martingale."""
    shares = np.array([0.05, 0.25, 0.7])
    counts = np.array([(a, b, 40 - a - b) for a, b in product(range(41), repeat=2) if a + b <= 40])
    assert multinomial.pmf(counts, 40, shares) @ np.exp(log_bayes_factor(counts, shares)) == pytest.approx(1.0)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.05, 0.95], [0.1, 0.2, 0.3, 0.4]])
def test_a_right_split_alarms_in_at_most_one_test_of_a_hundred(shares: list[float]) -> None:
    counts = np.random.default_rng(5).multinomial(7_000, shares, (3_000, 28)).cumsum(axis=1)
    alarms = (log_bayes_factor(counts, np.array(shares)) > math.log(FACTOR)).any(axis=1)
    assert binomtest(int(alarms.sum()), len(alarms)).proportion_ci(0.99).low < 0.01


@pytest.mark.parametrize(
    ("customers", "drawn", "planned"),
    [(7_000, [0.506, 0.494], [0.5, 0.5]), (7_000, [0.054, 0.946], [0.05, 0.95]), (40, [0.6, 0.4], [0.5, 0.5])],
)
def test_a_wrong_split_is_found_within_a_month(customers: int, drawn: list[float], planned: list[float]) -> None:
    """Half a point of many customers, a holdout that leaks, and a gross error of few."""
    counts = np.random.default_rng(6).multinomial(customers, drawn, (1_000, 28)).cumsum(axis=1)
    alarms = (log_bayes_factor(counts, np.array(planned)) > math.log(FACTOR)).any(axis=1)
    assert alarms.mean() > 0.95


def test_an_alarm_stays_when_later_days_are_as_planned() -> None:
    days = {"mon": {"control": 2_000, "test": 1_000}} | {f"day {day}": {"control": 0, "test": 500} for day in range(2)}
    found = watch(days, HALVES)
    assert found.since == "mon"
    assert found.log_factors["day 1"] < math.log(FACTOR) < found.log_factors["mon"]
    assert found.p_value == pytest.approx(math.exp(-found.log_factors["mon"]))


def test_before_the_first_day_nothing_is_said() -> None:
    assert (watch({}, HALVES).since, watch({}, HALVES).p_value) == (None, 1.0)
    assert log_bayes_factor(np.zeros((1, 2)), np.array([0.5, 0.5]))[0] == pytest.approx(0.0)


@pytest.mark.parametrize("shares", [{"a": -0.1, "b": 1.1}, {"a": 0.0}, {}])
def test_shares_that_cannot_be_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be >= 0 and not all 0"):
        chi_square({"a": 1}, shares)
    with pytest.raises(ValueError, match="must be >= 0 and not all 0"):
        watch({"mon": {"a": 1}}, shares)
