"""Features of a request that training never saw get a decision, or one line that names them.

The model of these tests knows `spend`, a number, and `town`, Bonn or Köln; the offer `coupon` helps in Bonn.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.exposures import Exposures
from features.table import Feature, FeatureTable
from serving.decisions.offers import select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from training.uplift import CANDIDATES
from training.uplift.baseline import Baseline

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEARNERS = ("t-linear", "t-lightgbm")


def learned(state: State, learner: str) -> State:
    rng = np.random.default_rng(0)
    town, arm = rng.choice(["Bonn", "Köln"], 800), rng.choice(np.array(["none", "coupon"]), 800)
    frame = pd.DataFrame({"spend": rng.normal(size=800), "town": pd.Categorical(town)})
    table = FeatureTable(frame, tuple(Feature(name, "own", "", f"{name}.") for name in frame.columns))
    outcome = (rng.random(800) < 0.2 + 0.5 * ((town == "Bonn") & (arm == "coupon"))).astype(float)
    exposures = Exposures(arm, np.full(800, 0.5), np.ones(800))
    assert state.uplift is not None
    model, baseline = CANDIDATES[learner]().fit(table, exposures, outcome), Baseline().fit(table, exposures, outcome)
    return replace(state, uplift=replace(state.uplift, uplift=model, baseline=baseline))


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    "features",
    [
        {"spend": 1.0, "town": "Atlantis"},
        {"spend": None, "town": None},
        {"spend": 1e15, "town": "Bonn"},
        {"spend": 1.0, "town": 7.0},
    ],
    ids=str,
)
def test_what_training_never_saw_gets_a_decision_all_the_same(
    features: dict[str, float | str | None], learner: str, state: State
) -> None:
    decision, answer = select(learned(state, learner), OfferRequest(features=features, offers=["coupon"]), "d", NOW)
    scores = {option.key: option.score for option in decision.options if option.eligible}
    assert np.isfinite(list(scores.values())).all()
    assert set(scores) == {"nothing", "coupon"}
    assert answer["fallback"] is None


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    ("features", "line"),
    [
        ({"spend": 1.0}, r"lacks the columns \['town'\]"),
        ({"spend": "much", "town": "Bonn"}, r"spend == 'much'.* number"),
    ],
    ids=str,
)
def test_features_that_cannot_be_read_are_named_in_one_line(
    features: dict[str, float | str | None], line: str, learner: str, state: State
) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        select(learned(state, learner), OfferRequest(features=features), "d", NOW)
    assert "\n" not in str(caught.value)
