"""The contract of an uplift learner, run over the registry.

The log: buyers with one number, one category; an offer adds its effect x (1 + spend) / 2: .9 of it to the
upper half by spend, .1 to the lower, half of it on average.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.exposures import Exposures
from features.table import Feature, FeatureTable
from training.uplift import BASELINES, LEARNERS
from training.uplift.bases import Matrix
from training.uplift.candidates import TWO_PART

ROWS = 3000
every_learner = pytest.mark.parametrize("name", LEARNERS)
# two parts see only whether there is an outcome: here there always is one, test_two_part.py has what they are for
ranking_learner = pytest.mark.parametrize("name", [name for name in LEARNERS if name not in {*BASELINES, *TWO_PART}])


def table_of(frame: pd.DataFrame) -> FeatureTable:
    features = tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns)
    return FeatureTable(frame.reset_index(drop=True), features)


def customers(seed: int = 0, rows: int = ROWS) -> FeatureTable:
    rng = np.random.default_rng(seed)
    town = pd.Categorical(rng.choice(["Bonn", "Köln"], rows), categories=["Bonn", "Köln"])
    return table_of(pd.DataFrame({"spend": rng.normal(size=rows), "age": rng.normal(50, 9, rows), "town": town}))


def given(arms: tuple[str, ...], seed: int = 1, rows: int = ROWS) -> Exposures:
    arm = np.random.default_rng(seed).choice(np.array(arms), rows)
    return Exposures(arm.astype(np.str_), np.full(rows, 1 / len(arms)), np.ones(rows))


def planted(table: FeatureTable, exposures: Exposures, effects: dict[str, float], seed: int = 2) -> Matrix:
    spend = table.frame["spend"].to_numpy()
    noise = np.random.default_rng(seed).normal(size=len(table))
    gain = sum(effect * (exposures.arm == arm) for arm, effect in effects.items())
    return np.asarray(10 + spend + noise + gain * (1 + spend) / 2, dtype=np.float64)


@ranking_learner
def test_a_planted_effect_is_recovered(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    model = LEARNERS[name]().fit(table, exposures, planted(table, exposures, {"a": 2.0}))
    new = customers(seed=9)
    effect = model.effect(new).effect[:, 0]
    high = new.frame["spend"].to_numpy() > 0
    assert abs(effect[high].mean() - 1.8) < 0.35
    assert abs(effect[~high].mean() - 0.2) < 0.35


@ranking_learner
def test_a_planted_effect_on_a_binary_outcome_is_recovered(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    lift = 0.4 * (exposures.arm == "a") * (table.frame["spend"].to_numpy() > 0)
    outcome = (np.random.default_rng(5).random(ROWS) < 0.2 + lift).astype(float)
    effect = LEARNERS[name]().fit(table, exposures, outcome).effect(table).effect[:, 0]
    high = table.frame["spend"].to_numpy() > 0
    assert abs(effect[high].mean() - 0.4) < 0.1
    assert abs(effect[~high].mean()) < 0.1


@ranking_learner
def test_a_planted_effect_on_a_count_is_recovered(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    lift = 0.8 * (exposures.arm == "a") * (table.frame["spend"].to_numpy() > 0)
    outcome = np.random.default_rng(5).poisson(0.6 + lift).astype(float)
    effect = LEARNERS[name]().fit(table, exposures, outcome).effect(table).effect[:, 0]
    high = table.frame["spend"].to_numpy() > 0
    assert abs(effect[high].mean() - 0.8) < 0.2
    assert abs(effect[~high].mean()) < 0.2


@every_learner
def test_two_equal_arms_have_no_effect(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    effect = LEARNERS[name]().fit(table, exposures, planted(table, exposures, {})).effect(table).effect
    assert abs(effect.mean()) < 0.12
    assert effect.std() < 0.3


@every_learner
def test_a_saved_model_answers_the_same_and_an_answer_does_not_change_it(name: str, tmp_path: Path) -> None:
    table, exposures = customers(), given(("a", "none"))
    model = LEARNERS[name](seed=3).fit(table, exposures, planted(table, exposures, {"a": 2.0}))
    model.save(tmp_path / "first")
    before = model.effect(table)
    model.save(tmp_path / "second")
    loaded = LEARNERS[name].load(tmp_path / "first").effect(table)
    for path in (tmp_path / "first").rglob("*.*"):
        if path.suffix != ".npz":
            assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()
    np.testing.assert_array_equal(before.effect, model.effect(table).effect)
    np.testing.assert_array_equal(loaded.effect, before.effect)
    np.testing.assert_array_equal(loaded.standard_error, before.standard_error)
    assert not list(tmp_path.rglob("*.pkl"))


@every_learner
def test_permuted_rows_give_the_same_model(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    outcome = planted(table, exposures, {"a": 2.0})
    order = np.random.default_rng(4).permutation(ROWS)
    model = LEARNERS[name]().fit(table, exposures, outcome)
    permuted = LEARNERS[name]().fit(table.take(order), exposures.take(order), outcome[order])
    np.testing.assert_allclose(model.effect(table).effect, permuted.effect(table).effect, atol=1e-6)


@every_learner
def test_an_unseen_category_and_unknown_numbers_get_a_finite_effect(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    frame = table.frame.copy()
    frame.loc[:300, "age"] = np.nan
    model = LEARNERS[name]().fit(table_of(frame), exposures, planted(table, exposures, {"a": 2.0}))
    town = pd.Categorical(["Ulm", None])
    strange = table_of(pd.DataFrame({"spend": [np.nan, 1.0], "age": [50.0, np.nan], "town": town}))
    assert np.isfinite(model.effect(strange).effect).all()


@ranking_learner
def test_two_offers_have_their_own_effects(name: str) -> None:
    table, exposures = customers(rows=6000), given(("a", "b", "none"), rows=6000)
    outcome = planted(table, exposures, {"a": 2.0, "b": -1.0})
    effects = LEARNERS[name]().fit(table, exposures, outcome).effect(table)
    high = table.frame["spend"].to_numpy() > 0
    assert effects.offers == ("a", "b")
    np.testing.assert_allclose(effects.effect[high].mean(axis=0), [1.8, -0.9], atol=0.35)


@every_learner
@pytest.mark.parametrize(
    ("arms", "outcome", "line"),
    [
        (["a"] * 400, np.ones(400), r"arm 'none' has 0 rows, must be >= 50"),
        (["a"] * 397 + ["none"] * 3, np.ones(400), r"arm 'none' has 3 rows, must be >= 50"),
        (["none"] * 400, np.ones(400), r"no row has an offer"),
        (["a", "none"] * 200, np.zeros(400), r"all 400 outcomes are 0"),
        (["a", "none"] * 200, np.full(400, np.nan), r"400 outcomes are not numbers"),
    ],
)
def test_a_log_without_an_answer_is_refused_in_one_line(name: str, arms: list[str], outcome: Matrix, line: str) -> None:
    exposures = Exposures(np.array(arms), np.full(400, 0.5), np.ones(400))
    with pytest.raises(ValueError, match=line) as caught:
        LEARNERS[name]().fit(customers(rows=400), exposures, outcome)
    assert "\n" not in str(caught.value)


@every_learner
def test_other_columns_than_in_training_are_refused_in_one_line(name: str) -> None:
    table, exposures = customers(), given(("a", "none"))
    model = LEARNERS[name]().fit(table, exposures, planted(table, exposures, {"a": 2.0}))
    with pytest.raises(ValueError, match=r"lacks the columns \['town'\]"):
        model.effect(table_of(table.frame.drop(columns="town")))


@pytest.mark.parametrize("name", ["t-linear", "dr-linear", "r-linear", "class-linear", "constant"])
def test_the_standard_error_is_that_of_the_effect_over_repeated_logs(name: str) -> None:
    table = customers(rows=800)
    found = []
    for seed in range(40):
        exposures = given(("a", "none"), seed=100 + seed, rows=800)
        outcome = planted(table, exposures, {}, seed=200 + seed)
        found.append(LEARNERS[name]().fit(table, exposures, outcome).effect(table))
    spread = np.std([one.effect[:, 0] for one in found], axis=0).mean()
    claimed = np.mean([one.standard_error[:, 0] for one in found])
    assert 0.75 < claimed / spread < 1.33


def confounded(known: bool) -> tuple[FeatureTable, Exposures, Matrix]:
    """Who spends much is given the offer more often; it changes what those with less spend buy, by 1 on average."""
    table = customers(rows=6000)
    spend = table.frame["spend"].to_numpy()
    chance = 1 / (1 + np.exp(-spend))
    offered = np.random.default_rng(8).random(6000) < chance
    probability = np.where(offered, chance, 1 - chance) if known else np.full(6000, np.nan)
    exposures = Exposures(np.where(offered, "a", "none").astype(np.str_), probability, np.ones(6000))
    return table, exposures, planted(table, exposures, {"a": 2.0}) - spend * 2 * offered


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ["dr-linear", "r-linear", "r-lightgbm", "class-linear", "class-lightgbm"])
def test_customers_are_ranked_right_where_treatment_followed_the_features(name: str, known: bool) -> None:
    table, exposures, outcome = confounded(known)
    spend, offered = table.frame["spend"].to_numpy(), exposures.arm == "a"
    naive = np.polyfit(spend, outcome * (2 * offered - 1), 1)[0]
    assert naive > 0  # the class transformation without probabilities: the wrong way round
    effect = LEARNERS[name]().fit(table, exposures, outcome).effect(table).effect[:, 0]
    assert np.corrcoef(effect, -spend)[0, 1] > 0.6
    assert abs(effect.mean() - 1) < 0.25


@pytest.mark.parametrize("name", ["dr-linear", "r-linear", "selector"])
def test_unknown_probabilities_are_estimated_where_treatment_followed_the_features(name: str) -> None:
    table = customers(rows=6000)
    spend = table.frame["spend"].to_numpy()
    offered = np.random.default_rng(8).random(6000) < 1 / (1 + np.exp(-spend))
    exposures = Exposures(np.where(offered, "a", "none").astype(np.str_), np.full(6000, np.nan), np.ones(6000))
    outcome = planted(table, exposures, {"a": 2.0})
    assert outcome[offered].mean() - outcome[~offered].mean() > 1.6  # the naive difference; the truth is 1
    assert abs(LEARNERS[name]().fit(table, exposures, outcome).effect(table).effect.mean() - 1) < 0.15


@every_learner
def test_an_impossible_probability_is_refused_in_one_line(name: str) -> None:
    exposures = Exposures(np.array(["a", "none"] * 200), np.repeat([0.0, 0.5], 200), np.ones(400))
    with pytest.raises(ValueError, match="in 200 rows, must be > 0 and <= 1"):
        LEARNERS[name]().fit(customers(rows=400), exposures, np.ones(400))


def test_weights_count_as_repeated_rows() -> None:
    table, exposures = customers(rows=600), given(("a", "none"), rows=600)
    outcome = planted(table, exposures, {"a": 2.0})
    weighted = Exposures(exposures.arm, exposures.probability, np.where(np.arange(600) < 200, 2.0, 1.0))
    again = np.concatenate([np.arange(600), np.arange(200)])
    one = LEARNERS["constant"]().fit(table, weighted, outcome).effect(table).effect
    two = LEARNERS["constant"]().fit(table.take(again), exposures.take(again), outcome[again]).effect(table).effect
    np.testing.assert_allclose(one, two)
