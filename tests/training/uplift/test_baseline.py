"""Baseline: what is expected without an offer, learned from those who got none; kept as files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.exposures import Exposures
from features.table import Feature, FeatureTable
from training.uplift.baseline import Baseline


def table(tenure: np.ndarray) -> FeatureTable:
    described = (Feature("tenure", "own", "count", "Known for long."),)
    return FeatureTable(pd.DataFrame({"tenure": tenure}), described)


def learned(*, money: bool = False) -> Baseline:
    """Half of those with tenure buy without an offer and a tenth of the others; with one everybody does."""
    rng = np.random.default_rng(0)
    tenure = rng.integers(0, 2, 4000).astype(float)
    arm = rng.choice(np.array(["none", "mail"]), 4000)
    bought = (rng.random(4000) < np.where(arm == "mail", 1.0, 0.1 + 0.4 * tenure)).astype(float)
    return Baseline().fit(
        table(tenure), Exposures(arm, np.full(4000, 0.5), np.ones(4000)), bought * (30 if money else 1)
    )


def test_the_outcome_without_an_offer_is_recovered_whatever_the_offer_does() -> None:
    assert learned().expected(table(np.array([0.0, 1.0]))) == pytest.approx([0.1, 0.5], abs=0.04)


def test_an_outcome_that_is_no_chance_has_no_ceiling() -> None:
    found = learned(money=True)
    assert (learned().ceiling_, found.ceiling_) == (1.0, float("inf"))
    assert found.expected(table(np.array([1.0]))) == pytest.approx([15], abs=1.5)


def test_what_is_saved_answers_alike(tmp_path: Path) -> None:
    model = learned()
    model.save(tmp_path)
    some = table(np.array([0.0, 1.0, np.nan]))
    np.testing.assert_array_equal(Baseline.load(tmp_path).expected(some), model.expected(some))
