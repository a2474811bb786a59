"""The pipeline from a log to a registered model; the log: 1,200 customers, the offer helps those with spend > 0."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklift.models import ClassTransformation, SoloModel, TwoModels

from features.consent import Basis, grant
from features.exposures import ExposureLog, Exposures
from features.ledger import Ledger
from features.table import Feature, FeatureTable
from features.workspace import Settings, Workspace, create
from training import tracking
from training.pipelines.uplift import allowed, judged, lines, save_effects, save_evidence, train
from training.pipelines.uplift_evaluation import CHOSEN
from training.promotion import promote
from training.score import score
from training.uplift import COMPARED
from training.uplift.bases import ROUNDS, tree_parameters
from training.uplift.selector import selected

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def campaign(effect: float, *, ids: bool = True, rows: int = 1200) -> ExposureLog:
    rng = np.random.default_rng(0)
    spend = rng.normal(size=rows)
    arm = rng.choice(np.array(["a", "none"]), rows)
    sales = -spend + rng.normal(size=rows) + effect * (arm == "a") * (spend > 0)
    customers = np.array([f"c{n // 2}" for n in range(rows)], dtype=object) if ids else None
    table = FeatureTable(pd.DataFrame({"spend": spend}), (Feature("spend", "own", "EUR", "Spend."),), customers)
    exposures = Exposures(arm, np.full(rows, 0.5), np.ones(rows))
    return ExposureLog("test", "here", table, exposures, pd.DataFrame({"revenue": sales}))


def test_the_evidence_is_complete_and_names_no_customer_in_the_aggregates(tmp_path: Path) -> None:
    log = campaign(2.0)
    found = judged(log, "revenue", ["t-linear", "dr-linear"], folds=3, seed=0)
    save_evidence(found, log, tmp_path)
    save_effects(found, log, tmp_path)
    kept = np.load(tmp_path / "oof.npz")
    effects = np.load(tmp_path / "effects.npz")
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert kept["prediction:t-linear"].shape == kept["prediction:chosen"].shape == (1200, 1)
    assert np.isfinite(kept["prediction:chosen"]).all()
    assert effects["customers"].tolist() == sorted(set(log.table.customers))
    assert evaluation["verdict"].startswith("better than")
    assert "c17" not in (tmp_path / "evaluation.json").read_text()
    assert any("t-linear" in line for line in lines(found.evaluation))


def test_a_campaign_without_effect_is_not_distinguishable() -> None:
    found = judged(campaign(0.0), "revenue", ["t-linear", "dr-linear"], folds=3, seed=0)
    assert found.evaluation["verdict"] == "not distinguishable"


def test_rows_of_a_customer_share_a_fold_and_what_is_judged_was_learned_without_it() -> None:
    log = campaign(2.0)
    oof = judged(log, "revenue", ["t-linear", "s-lightgbm"], folds=3, seed=0).oof
    assert (oof.fold[0::2] == oof.fold[1::2]).all()
    names = [name for name in oof.prediction if name != CHOSEN]
    mine = oof.fold == 0
    other = replace(oof, score=np.where(mine[:, None], -9 * oof.score, oof.score))
    before, after = selected(oof, names)[mine], selected(other, names)[mine]
    np.testing.assert_allclose(after - after.mean(), before - before.mean(), atol=1e-12)
    np.testing.assert_array_equal(selected(oof, names), oof.prediction[CHOSEN])


def test_one_learner_alone_is_what_is_judged_and_registered() -> None:
    found = judged(campaign(2.0), "revenue", ["t-linear"], folds=3, seed=0)
    assert found.evaluation["chosen_learner"] == found.model.name == "t-linear"
    np.testing.assert_array_equal(found.oof.prediction[CHOSEN], found.oof.prediction["t-linear"])


def test_what_each_learner_weighs_is_kept_and_told() -> None:
    found = judged(campaign(2.0), "revenue", ["t-linear", "t-lightgbm"], folds=3, seed=0)
    weights = found.evaluation["weights"]["a"]
    assert 0.5 < sum(weights.values()) < 1.5
    assert any(line.startswith("  weights: t-") for line in lines(found.evaluation))


def visits() -> ExposureLog:
    log = campaign(2.0)
    return replace(log, outcomes=pd.DataFrame({"visit": (log.outcomes["revenue"] > 0).astype(float)}))


def test_models_of_scikit_uplift_are_judged_in_the_same_folds_and_never_weighed_nor_kept(tmp_path: Path) -> None:
    log, names = visits(), ["t-linear", "dr-linear"]
    alone = judged(log, "visit", names, folds=3, seed=0)
    beside = judged(log, "visit", names, folds=3, seed=0, compare=tuple(COMPARED))
    assert {*COMPARED, *names} < set(beside.evaluation["offers"]["a"]["learners"])
    qini = {name: one["qini"] for name, one in beside.evaluation["offers"]["a"]["learners"].items()}
    assert all(qini[name] > 0.5 * qini["t-linear"] > 0 for name in COMPARED)  # spend says who gains
    assert beside.evaluation["weights"] == alone.evaluation["weights"]
    np.testing.assert_array_equal(beside.oof.prediction[CHOSEN], alone.oof.prediction[CHOSEN])
    save_evidence(beside, log, tmp_path)
    assert not any("sklift" in path.name for path in tmp_path.rglob("*"))
    assert any("  sklift-solo " in line for line in lines(beside.evaluation))


def test_a_model_of_scikit_uplift_answers_as_that_library_does() -> None:
    log = visits()
    table, y, arm = log.table, log.outcomes["visit"].to_numpy(), log.exposures.arm
    X = table.frame.to_numpy(float)
    base = {**tree_parameters(1200, "binary", 0), "n_estimators": ROUNDS}
    for name, model in (
        ("sklift-solo", SoloModel(LGBMClassifier(**base))),
        ("sklift-class", ClassTransformation(LGBMClassifier(**base))),
        ("sklift-two-models", TwoModels(LGBMClassifier(**base), LGBMClassifier(**base))),
    ):
        expected = model.fit(X, y.astype(int), (arm == "a").astype(int)).predict(X)
        found = COMPARED[name](seed=0).fit(table, log.exposures, y).effect(table)
        np.testing.assert_allclose(found.effect[:, 0], expected, atol=1e-12)


def test_a_model_of_scikit_uplift_cannot_be_trained_alone_and_needs_an_outcome_of_0_and_1() -> None:
    with pytest.raises(ValueError, match=r"learner == 'sklift-solo', must be one of"):
        judged(visits(), "visit", ["sklift-solo"], folds=3, seed=0)
    with pytest.raises(ValueError, match=r"compare == 'solo', must be one of \['sklift-solo', .* \(uplift.compare\)"):
        judged(visits(), "visit", ["t-linear"], folds=3, seed=0, compare=("solo",))
    with pytest.raises(ValueError, match=r"compare == \['sklift-solo'\] needs an outcome of 0 and 1"):
        judged(campaign(2.0), "revenue", ["t-linear"], folds=3, seed=0, compare=("sklift-solo",))


def test_an_unknown_outcome_or_learner_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"outcome == 'visit', must be one of \['revenue'\]"):
        judged(campaign(1.0), "visit", ["t-linear"], folds=3, seed=0)
    with pytest.raises(ValueError, match=r"learner == 'tee'"):
        judged(campaign(1.0), "revenue", ["tee"], folds=3, seed=0)


def test_customers_without_consent_are_left_out_and_counted(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(name="shop"))
    with pytest.raises(ValueError, match="600 of 600 customers left out"):
        allowed(campaign(1.0), workspace, NOW)
    log, line = allowed(campaign(1.0, ids=False), workspace, NOW)
    assert len(log.table) == 1200
    assert "nobody left out" in line


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_the_same_campaign_again_is_the_same_version_and_another_customer_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    workspace, log = create(tmp_path / "shop"), campaign(2.0)
    again = [train(workspace, log, "revenue", ["t-linear"], seed=0)[1] for _ in range(2)]
    assert [(one.version, one.again) for one in again] == [(1, False), (1, True)]
    assert log.table.customers is not None
    log.table.customers[0] = "somebody else"  # the model is the same, the effects that are served are not
    assert train(workspace, log, "revenue", ["t-linear"], seed=0)[1].version == 2
    assert [version.version for version in tracking.versions("uplift")] == [2, 1]
    assert len(list(workspace.runs.iterdir())) == 2
    elsewhere = train(create(tmp_path / "other"), log, "revenue", ["t-linear"], seed=0)[1]
    assert (elsewhere.version, elsewhere.again) == (3, False)  # its customers' parts are not there yet


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("ids", "customers"), [(False, [str(row) for row in range(1200)]), (True, ["c1", "c7"])])
def test_scores_are_of_every_row_without_ids_and_only_of_those_who_agreed_with_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: bool, customers: list[str]
) -> None:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    workspace, log = create(tmp_path / "shop"), campaign(2.0, ids=ids)
    train(workspace, log, "revenue", ["t-linear", "r-linear"], seed=0)  # the selector is what is promoted and read
    promote(workspace, "uplift", "1")
    basis = Basis(("personalisation",), "test")
    grant(Ledger.at(workspace.ledger), ["c1", "c7"], basis, source="test", time=NOW)
    said, _ = score(workspace, "uplift", tmp_path / "effects.csv", as_of=NOW)
    assert pd.read_csv(tmp_path / "effects.csv", dtype=str)["customer"].tolist() == customers
    told = "consent: 598 of 600 customers left out" if ids else "`customer` is the row's position in it, from 0"
    assert told in said
