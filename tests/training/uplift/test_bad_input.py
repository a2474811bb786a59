"""Bad input to `attune train uplift`: one clear line, or a model with finite effects and a warning.

800 customers with a spend and a town; the arm is drawn by a coin, one in three buys.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from training.pipelines.uplift import Judged, judged
from training.uplift import CANDIDATES

ROWS = 800
Columns = dict[str, np.ndarray]


def columns() -> Columns:
    rng = np.random.default_rng(0)
    return {
        "spend": rng.normal(size=ROWS),
        "town": rng.choice(np.array(["Bonn", "Köln"], dtype=object), ROWS),
        "arm": rng.choice(np.array(["a", "none"]), ROWS),
        "probability": np.full(ROWS, 0.5),
        "visit": (rng.random(ROWS) < 0.3).astype(float),
    }


def trained(change: Callable[[Columns], object]) -> Judged:
    """What comes of the log after this change."""
    given = columns()
    change(given)
    frame = pd.DataFrame({"spend": given["spend"], "town": pd.Categorical(given["town"])})
    table = FeatureTable(frame, tuple(Feature(name, "own", "", f"{name}.") for name in frame.columns))
    exposures = Exposures(given["arm"], given["probability"], np.ones(ROWS))
    log = ExposureLog("spring", "here", table, exposures, pd.DataFrame({"visit": given["visit"]}))
    return judged(log, "visit", list(CANDIDATES), folds=2, seed=0)


def warned(found: Judged) -> str:
    return "\n".join(found.evaluation["checks"]["a"]["warnings"])


def arm(given: Columns, name: str, count: int) -> None:
    """So many rows of this arm, the others are of the other one."""
    given["arm"][:] = {"a": "none", "none": "a"}[name]
    given["arm"][:count] = name


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda given: arm(given, "none", 0), "arm 'none' has 0 rows, must be >= 50 to learn an effect"),
        (lambda given: arm(given, "a", 0), r"no row has an offer, arms == \['none'\]"),
        (lambda given: arm(given, "none", 3), "arm 'none' has 3 rows, must be >= 50 to learn an effect"),
        (lambda given: given["visit"].fill(0), "all 800 outcomes are 0; at least one must differ"),
        (lambda given: given["probability"].put(7, 0.0), r"probability == 0.0 in 1 rows, must be > 0 and <= 1"),
        (lambda given: given["probability"].put([7, 9], 1.5), r"probability == 1.5 in 2 rows, must be > 0 and <= 1"),
    ],
)
def test_what_no_effect_can_be_learned_from_is_one_line_that_names_the_log(
    change: Callable[[Columns], object], line: str
) -> None:
    with pytest.raises(ValueError, match=f"^log 'spring': {line}") as caught:
        trained(change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "none"])
def test_an_arm_with_no_outcome_is_learned_from_and_warned_of(name: str) -> None:
    found = trained(lambda given: np.copyto(given["visit"], 0.0, where=given["arm"] == name))
    assert np.isfinite(found.oof.prediction["chosen"]).all()
    assert np.sign(found.evaluation["offers"]["a"]["average"]["value"]) == (1 if name == "none" else -1)
    assert f"Fewer than 100 rows with visit in: {name}." in warned(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given["spend"].fill(7.0),
        lambda given: given["spend"].fill(np.nan),
        lambda given: given["spend"].put(range(0, ROWS, 2), np.nan),
        lambda given: given["spend"].put([3, 4], [np.inf, -np.inf]),
        lambda given: given["town"].fill("Bonn"),
        lambda given: given["town"].fill(None),
        lambda given: given["town"].put(range(0, ROWS, 3), None),
    ],
    ids=["constant", "all NaN", "half NaN", "infinite", "one town", "no town", "a third without a town"],
)
def test_a_feature_that_says_little_or_nothing_gives_finite_effects(change: Callable[[Columns], object]) -> None:
    found = trained(change)
    assert all(np.isfinite(effects).all() for effects in found.oof.prediction.values())
    assert np.isfinite(found.model.effect(strange()).effect).all()


def strange() -> FeatureTable:
    """A town that training never saw, and nothing known at all."""
    frame = pd.DataFrame({"spend": [1.0, np.nan], "town": pd.Categorical(["Ulm", None])})
    return FeatureTable(frame, tuple(Feature(name, "own", "", f"{name}.") for name in frame.columns))


def test_a_probability_of_one_means_that_nobody_had_an_alternative() -> None:
    assert "100% of the customers could hardly have been" in warned(trained(lambda given: given["probability"].fill(1)))
