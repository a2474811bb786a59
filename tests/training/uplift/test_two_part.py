"""Revenue, of which most is 0 and a few large amounts are much of the rest."""

import numpy as np
import pytest

from features.exposures import Exposures
from tests.training.uplift.test_learners import customers, given
from training.uplift import LEARNERS
from training.uplift.bases import Matrix
from training.uplift.candidates import CANDIDATES, TWO_PART, suited
from training.uplift.out_of_fold import OutOfFold, out_of_fold
from training.uplift.selector import Selector

ROWS = 8000


def revenue(exposures: Exposures, high: Matrix, seed: int = 3) -> Matrix:
    """One in ten buys, with the offer three in ten of the upper half; 20 on average, heavy-tailed."""
    rng = np.random.default_rng(seed)
    bought = rng.random(ROWS) < 0.1 + 0.2 * (exposures.arm == "a") * high
    return np.asarray(bought * 20 * np.exp(1.3 * rng.normal(size=ROWS) - 1.3**2 / 2), dtype=np.float64)


@pytest.fixture(scope="module")
def found() -> tuple[OutOfFold, Matrix]:
    table, exposures = customers(rows=ROWS), given(("a", "none"), rows=ROWS)
    high = (table.frame["spend"].to_numpy() > 0).astype(np.float64)
    return out_of_fold(tuple(CANDIDATES), table, exposures, revenue(exposures, high), folds=5, seed=0), high


@pytest.mark.parametrize("name", TWO_PART)
def test_a_planted_effect_on_who_buys_is_recovered(name: str) -> None:
    table, exposures = customers(rows=ROWS), given(("a", "none"), rows=ROWS)
    high = table.frame["spend"].to_numpy() > 0
    y = revenue(exposures, high)
    effect = LEARNERS[name]().fit(table, exposures, y).effect(table).effect[:, 0]
    more = 0.2 * y[y > 0].mean()
    assert effect[high].mean() == pytest.approx(more, rel=0.25)
    assert effect[~high].mean() == pytest.approx(0.0, abs=0.25 * more)


def test_only_amounts_that_are_mostly_0_have_two_parts() -> None:
    amounts = np.array([0, 0, 0, 3.5])
    assert set(TWO_PART) <= set(suited(list(CANDIDATES), amounts))
    for others in (amounts > 0, amounts.round(), amounts + 1, -amounts, np.array([0, 1.5, 2.5, 3.5])):
        assert suited(["t-linear", *TWO_PART], others.astype(np.float64)) == ["t-linear"]


def test_a_large_amount_counts_as_five_usual_ones(found: tuple[OutOfFold, Matrix]) -> None:
    oof, _ = found
    assert oof.steady.std() < 0.8 * oof.score.std()
    assert oof.steady.mean() == pytest.approx(oof.score.mean(), abs=3 * oof.score.std() / ROWS**0.5)


def test_amounts_without_a_tail_count_as_they_are() -> None:
    table, exposures = customers(), given(("a", "none"))
    y = 10 + np.random.default_rng(1).normal(size=len(table))
    oof = out_of_fold(("constant", "t-linear"), table, exposures, y, folds=5, seed=0)
    np.testing.assert_allclose(oof.steady, oof.score)


def test_the_selector_weighs_them_for_revenue(found: tuple[OutOfFold, Matrix]) -> None:
    oof, high = found
    table, exposures = customers(rows=ROWS), given(("a", "none"), rows=ROWS)
    model = Selector().learn(oof, table, exposures)
    effect = model.effect(table).effect[:, 0]
    assert model.weights()["a"].keys() & set(TWO_PART)
    assert effect[high > 0].mean() - effect[high == 0].mean() == pytest.approx(4.0, abs=1.5)
