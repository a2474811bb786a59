"""How many customers brought how much: every one of them is in one bin, and the bins reach as far as the money."""

from typing import Any

import numpy as np
import pytest

from serving.experiments.spread import MOST, edges


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], [0]),
        ([20.0] * 9, [0]),
        (np.linspace(1, 100, 100), [0, 5, 10, 20, 50]),
        (np.geomspace(0.01, 1e6, 1000), [0, 0.1, 1, 10, 100, 1000, 10_000, 100_000]),
    ],
)
def test_the_edges_are_round_and_reach_as_far_as_the_money(values: Any, expected: list[float]) -> None:
    assert edges(np.asarray(values, float)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_there_are_never_too_many_nor_two_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = edges(np.exp(rng.normal(3, rng.uniform(0.1, 8), 500)))
    assert found[0] == 0
    assert len(found) <= MOST
    assert (np.diff(found) > 0).all()
