"""The selector in worlds whose effects are known: they follow spend, jump above a spend, or are the same for all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.exposures import Exposures
from features.table import Feature, FeatureTable
from training.uplift import rows
from training.uplift.bases import Matrix
from training.uplift.out_of_fold import out_of_fold
from training.uplift.selector import Selector, selected

LINEAR = ("s-linear", "t-linear", "dr-linear", "r-linear")
SOME = (*LINEAR, "s-lightgbm", "t-lightgbm", "dr-lightgbm", "class-lightgbm", "response-linear", "constant")
WORLDS: dict[str, Callable[[Matrix], Matrix]] = {
    "linear": lambda X: 0.5 + 0.5 * X[:, 0],
    "jump": lambda X: 1.5 * ((X[:, 0] > 0.5) & (X[:, 1] > -0.5)),
    "constant": lambda X: np.full(len(X), 0.6),
}
COST = 0.4


def features(seed: int, rows: int) -> tuple[FeatureTable, Matrix]:
    X = np.random.default_rng(seed).normal(size=(rows, 4))
    frame = pd.DataFrame(X, columns=["spend", "age", "visits", "days"])
    return FeatureTable(frame, tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns)), X


def campaign(world: str, seed: int, rows: int) -> tuple[FeatureTable, Exposures, Matrix, Matrix]:
    """The log, and the true effect of each row."""
    table, X = features(seed, rows)
    rng = np.random.default_rng(1000 + seed)
    given = rng.random(rows) < 0.5
    truth = WORLDS[world](X)
    outcome = X[:, 1] + rng.normal(size=rows) + given * truth
    return table, Exposures(np.where(given, "a", "none"), np.full(rows, 0.5), np.ones(rows)), outcome, truth


@pytest.mark.parametrize("world", WORLDS)
def test_choosing_by_it_is_worth_as_much_as_choosing_by_the_best_candidate(world: str) -> None:
    lost = []
    for seed in range(3):
        table, exposures, outcome, truth = campaign(world, seed, 2000)
        oof = out_of_fold(SOME, table, exposures, outcome, folds=5, seed=0)
        everything = oof.prediction | {"selector": selected(oof, SOME)}
        value = {name: ((truth - COST) * (effect[:, 0] > COST)).mean() for name, effect in everything.items()}
        best = max(value[name] for name in SOME)
        lost.append((best - value["selector"]) / np.maximum(truth - COST, 0).mean())
    assert np.mean(lost) < 0.05, lost


@pytest.mark.parametrize("world", ["linear", "jump"])
def test_effects_of_new_customers_are_calibrated(world: str) -> None:
    model = Selector(candidates=SOME).fit(*campaign(world, 0, 3000)[:3])
    new, X = features(99, 4000)
    effect = model.effect(new).effect[:, 0]
    assert np.polyfit(effect, WORLDS[world](X), 1)[0] == pytest.approx(1, abs=0.25)
    assert abs(effect.mean() - WORLDS[world](X).mean()) < 0.12


def test_a_large_log_is_dealt_in_three_folds_and_stays_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LARGE", 1500)
    table, exposures, outcome, _truth = campaign("linear", 0, 3000)
    found = out_of_fold(LINEAR, table, exposures, outcome, folds=5, seed=0)
    assert set(found.fold) == {0, 1, 2}
    new, X = features(99, 4000)
    effect = Selector(candidates=LINEAR).learn(found, table, exposures).effect(new).effect[:, 0]
    assert np.polyfit(effect, WORLDS["linear"](X), 1)[0] == pytest.approx(1, abs=0.25)
    assert out_of_fold(("constant",), table, exposures, outcome, folds=2, seed=0).fold.max() == 1


def test_a_constant_effect_is_nearly_the_same_for_all() -> None:
    effects = [Selector(candidates=LINEAR).fit(*campaign("constant", n, 1500)[:3]) for n in range(4)]
    new, _ = features(99, 1000)
    assert np.mean([model.effect(new).effect.std() for model in effects]) < 0.05


def test_intervals_hold_the_true_effect_about_as_often_as_they_say() -> None:
    new, X = features(99, 500)
    held, average = [], []
    for seed in range(25):
        found = Selector(candidates=LINEAR).fit(*campaign("linear", seed, 1000)[:3]).effect(new)
        distance = np.abs(found.effect[:, 0] - WORLDS["linear"](X)) / found.standard_error[:, 0]
        held.append((distance < 1.96).mean())
        average.append(np.isfinite(found.standard_error).all())
    assert all(average)
    assert 0.88 < np.mean(held) < 0.995, np.mean(held)


def test_each_offer_has_its_own_weights_and_one_that_does_nothing_is_shrunk() -> None:
    table, X = features(0, 4000)
    rng = np.random.default_rng(5)
    arm = rng.choice(np.array(["deep", "idle", "none"]), 4000)
    outcome = rng.normal(size=4000) + (arm == "deep") * WORLDS["jump"](X)
    model = Selector(candidates=SOME).fit(table, Exposures(arm, np.full(4000, 1 / 3), np.ones(4000)), outcome)
    found = model.effect(table)
    assert found.offers == ("deep", "idle")
    assert np.corrcoef(found.effect[:, 0], WORLDS["jump"](X))[0, 1] > 0.85
    assert found.effect[:, 1].std() < 0.1 < found.effect[:, 0].std()
    assert set(model.weights()) == {"deep", "idle"}


def test_it_comes_back_as_it_was_saved_with_only_the_candidates_that_weigh(tmp_path: Path) -> None:
    table, exposures, outcome, _ = campaign("jump", 0, 2000)
    model = Selector(seed=2, candidates=SOME).fit(table, exposures, outcome)
    model.save(tmp_path)
    loaded = Selector.load(tmp_path)
    np.testing.assert_array_equal(loaded.effect(table).effect, model.effect(table).effect)
    np.testing.assert_array_equal(loaded.effect(table).standard_error, model.effect(table).standard_error)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted(loaded.models_)
    assert loaded.weights() == model.weights()
    assert (loaded.seed, loaded.candidates) == (2, SOME)


def test_the_same_rows_and_seed_give_the_same_effects() -> None:
    table, exposures, outcome, _ = campaign("linear", 0, 800)
    first, second = (Selector(seed=1, candidates=SOME).fit(table, exposures, outcome).effect(table) for _ in range(2))
    np.testing.assert_array_equal(first.effect, second.effect)


def test_an_arm_too_small_for_the_folds_is_refused_in_one_line() -> None:
    table, exposures, outcome, _ = campaign("linear", 0, 110)
    with pytest.raises(ValueError, match=r"110 customers in 5 folds: arm '.*' has \d+ rows, must be >= 50"):
        Selector(candidates=LINEAR).fit(table, exposures, outcome)
