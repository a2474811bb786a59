"""The checks of a log: 2,000 customers with a spend, an arm by a coin, one in five of whom buys."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import tt_ind_solve_power

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from training.metrics.uplift import Trial
from training.pipelines.uplift import judged, lines
from training.pipelines.uplift_checks import smallest_effect

ROWS = 2000


def found(bought: float = 0.2, chance: Any = 0.5, *, known: bool = True, **columns: Any) -> dict[str, Any]:
    """The evaluation; a column is a function of `spend`, `given` and `bought`."""
    rng = np.random.default_rng(0)
    spend = rng.normal(size=ROWS)
    p = chance(spend) if callable(chance) else np.full(ROWS, chance)
    given, outcome = rng.random(ROWS) < p, (rng.random(ROWS) < bought).astype(float)
    log = {"spend": spend, "given": given, "bought": outcome}
    frame = pd.DataFrame({"spend": spend} | {name: make(log) for name, make in columns.items()})
    table = FeatureTable(frame, tuple(Feature(name, "own", "number", f"{name}.") for name in frame.columns))
    probability = np.where(given, p, 1 - p) if known else np.full(ROWS, np.nan)
    exposures = Exposures(np.where(given, "a", "none"), probability, np.ones(ROWS))
    campaign = ExposureLog("test", "here", table, exposures, pd.DataFrame({"visit": outcome}))
    return judged(campaign, "visit", ["t-linear"], folds=3, seed=0).evaluation


def test_a_fair_log_brings_no_warning() -> None:
    assert found()["checks"]["a"]["warnings"] == []


def test_a_feature_from_after_the_offer_is_named() -> None:
    told = found(receipt=lambda log: log["bought"] * 9 + log["spend"] / 9)["checks"]["a"]
    assert (told["telling"], told["different"]) == (["receipt"], [])
    assert told["warnings"][0].startswith("a: receipt says the outcome nearly perfectly")
    told = found(opened=lambda log: log["given"] * 0.3 + log["spend"])["checks"]["a"]
    assert (told["telling"], told["different"]) == ([], ["opened"])


def test_arms_that_were_not_drawn_by_chance_are_not_held_to_it() -> None:
    assert found(chance=lambda spend: 1 / (1 + np.exp(-spend)), known=False)["checks"]["a"]["different"] == []


@pytest.mark.parametrize("known", [True, False])
def test_customers_without_an_alternative_are_counted_and_a_small_holdout_has_one(known: bool) -> None:
    told = found(chance=lambda spend: 1 / (1 + np.exp(-4 * spend)), known=known)["checks"]["a"]
    assert 0.15 < told["without_overlap"] < 0.45
    assert "could hardly have been in another arm" in told["warnings"][0]
    assert found(chance=0.95)["checks"]["a"]["without_overlap"] == 0


def test_too_few_outcomes_are_told_with_the_smallest_effect_that_would_show() -> None:
    evaluation = found(bought=0.02)
    told = evaluation["checks"]["a"]
    assert told["few_outcomes"] == ["none", "a"]
    assert "Fewer than 100 rows with visit in: none, a. The smallest effect" in told["warnings"][0]
    assert lines(evaluation)[0] == f"warning: {told['warnings'][0]}"


def test_the_smallest_effect_is_that_of_a_power_calculation() -> None:
    rng = np.random.default_rng(1)
    trial = Trial(rng.normal(0, 3, 4000), np.arange(4000) < 1000, np.ones(4000))
    expected = tt_ind_solve_power(nobs1=1000, alpha=0.05, power=0.8, ratio=3) * trial.outcome.std(ddof=1)
    assert smallest_effect(trial) == pytest.approx(expected, rel=0.005)
