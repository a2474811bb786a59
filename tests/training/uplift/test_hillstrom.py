"""The real randomised campaign: women's e-mail against none, visits, out of fold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from training.metrics.uplift import Trial, average, qini, slope
from training.pipelines.uplift_evaluation import predictions_out_of_fold
from training.uplift.selector import selected

NUMBERS = ("recency", "history", "mens", "womens", "newbie")
CATEGORIES = ("history_segment", "zip_code", "channel")


@pytest.fixture(scope="module")
def log(data_dir: Path) -> ExposureLog:
    raw = pd.read_parquet(data_dir / "uplift" / "hillstrom.parquet")
    raw = raw[raw["segment"].isin(["Womens E-Mail", "No E-Mail"])].reset_index(drop=True)
    frame = raw[[*NUMBERS]].astype(float).join(raw[[*CATEGORIES]].astype("category"))
    features = tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns)
    arm = np.where(raw["segment"] == "No E-Mail", "none", "womens").astype(str)
    exposures = Exposures(arm, np.full(len(raw), 0.5), np.ones(len(raw)))
    return ExposureLog("hillstrom", "file", FeatureTable(frame, features), exposures, raw[["visit"]].astype(float))


@pytest.mark.data
def test_learners_reach_the_known_figures_on_a_real_campaign(log: ExposureLog) -> None:
    names = ("t-linear", "dr-linear", "s-lightgbm", "response-linear", "constant")
    oof = predictions_out_of_fold(log, "visit", names, folds=5, seed=0)
    trial = Trial(oof.outcome, oof.arm == "womens", log.exposures.weight)
    # per customer of the log, of whom half were treated: the unit of the published figures
    figures = {name: qini(oof.prediction[name][:, 0], trial) * trial.treated.mean() for name in names}
    fitted = slope(oof.score[:, 0], oof.prediction["dr-linear"][:, 0], trial.weight)
    assert abs(average(trial).value - 0.04523) < 1e-5
    assert 2.7 < figures["t-linear"] < 4.5, figures
    assert 2.7 < figures["dr-linear"] < 4.5, figures
    assert 2.3 < figures["s-lightgbm"] < 4.3, figures
    assert figures["response-linear"] < 2.0, figures
    assert abs(figures["constant"]) < 1e-9, figures
    assert 0.7 < fitted.value < 1.3, fitted
    ours = selected(oof, names)[:, 0]
    assert qini(ours, trial) * trial.treated.mean() > max(figures.values()) - 0.43, figures  # one standard error
    assert 0.7 < slope(oof.score[:, 0], ours, trial.weight).value < 1.3
