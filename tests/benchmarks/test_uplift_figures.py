"""What the benchmarks of uplift count: differences within noise count for nobody, and without peers nothing is said."""

import numpy as np
import pytest

from benchmarks import uplift_calibration, uplift_hillstrom, uplift_ihdp, uplift_simulated
from benchmarks.peers import FORESTS
from training.uplift import CANDIDATES

GIVEN = {"oracle": 1.0, "selector": 0.8, **dict.fromkeys(CANDIDATES, 0.5), **dict.fromkeys(FORESTS, 0.5)}


def world(noise: float = 0.0, **mean: float) -> dict[str, object]:
    """Twenty replications in which everyone earns about this much, with noise that is everyone's own."""
    rng, earned = np.random.default_rng(0), GIVEN | {name.replace("_", "-"): value for name, value in mean.items()}
    told = [{name: value + noise * rng.normal() for name, value in earned.items()} for _ in range(20)]
    return uplift_simulated.compared(told)


def test_a_regret_of_more_than_a_twentieth_of_the_oracle_counts_where_it_can_be_told_from_noise():
    assert uplift_simulated.counted({"a": world(noise=0.001, s_linear=0.84)})["worlds_within_regret"] == 1
    assert uplift_simulated.counted({"a": world(noise=0.001, s_linear=0.9)})["worlds_within_regret"] == 0
    assert uplift_simulated.counted({"a": world(noise=2.0, s_linear=0.9)})["worlds_within_regret"] == 1


def test_a_world_is_above_the_forests_only_above_both_and_below_them_when_below_one():
    worlds = {"a": world(noise=0.001), "b": world(noise=0.001, causal_forest=0.9), "c": world(noise=2.0)}
    found = uplift_simulated.counted(worlds)
    assert (found["worlds_above_forests"], found["worlds_below_forests"]) == (1, 1)


def test_without_peers_the_figures_against_them_are_null():
    alone = [{name: value for name, value in GIVEN.items() if name not in FORESTS}] * 2
    found = uplift_simulated.counted({"a": uplift_simulated.compared(alone)})
    assert found == {"worlds_within_regret": 1, "worlds_above_forests": None, "worlds_below_forests": None}
    assert set(uplift_hillstrom.counted({"a": {"best_peer": None}}).values()) == {None}
    assert set(uplift_ihdp.ratios({"selector": [1.0]}).values()) == {None}


@pytest.mark.parametrize(("said", "worse"), [("worse", 1), ("not distinguishable", 0), ("better", 0)])
def test_a_cell_counts_where_the_best_peer_is_beyond_noise(said, worse):
    cell = {"best_peer": "econml-dr", "selector_minus": {"econml-dr": {"verdict": said}}}
    assert uplift_hillstrom.counted({"a": cell})["significantly_worse"] == worse


def test_errors_are_compared_by_their_means_and_by_the_mean_of_their_ratios():
    found = uplift_ihdp.ratios({"selector": [1.0, 8.0], "econml-dr": [2.0, 4.0]})
    assert found == {"pehe_ratio": 1.5, "pehe_ratio_geometric": pytest.approx(1.0), "replications_above": 1}


@pytest.mark.parametrize(
    ("slopes", "calibrated"),
    [
        ([0.95, 0.97, 0.96], True),
        ([0.8, 0.81, 0.8], False),
        ([0.75, 0.85, 0.95], False),  # holds 1, but is wider than 0.4
        ([0.82, 0.9, 0.95], True),  # holds 1
        ([1.0, float("nan"), 1.0], False),
    ],
)
def test_a_world_is_calibrated_where_the_mean_slope_is_near_one_and_known_well(slopes, calibrated):
    assert uplift_calibration.calibration(slopes)["calibrated"] is calibrated
