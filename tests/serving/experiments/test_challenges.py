"""The key of a challenger's test tells all of the test, so that its report can be made once it has ended."""

import pytest

from serving.experiments.challenges import ended, experiment_of, key_of
from training.release import Challenger


@pytest.mark.parametrize("share", [0.3, 0.05, 0.0001, 0.00001, 0.000025])
def test_a_key_tells_its_test(share: float) -> None:
    told = Challenger("5", share, "3")
    assert ended(key_of("recommender", told)) == experiment_of("recommender", told)


@pytest.mark.parametrize("share", ["0", "0.50", "0.0", "1.5", "1e5", "1e-5", "0e-05", ".5", "0.5\n", "0.5e", ""])
def test_a_key_that_no_test_had_tells_none(share: str) -> None:
    assert ended(f"recommender-5-beside-3-{share}") is None


@pytest.mark.parametrize("version", ["", "0", "05", "\u0665", "9" * 400])
def test_what_is_no_version_is_no_key(version: str) -> None:
    assert ended(f"recommender-{version}-beside-3-0.5") is None
    assert ended(f"recommender-5-beside-{version}-0.5") is None


def test_a_share_of_many_digits_is_no_key() -> None:
    assert ended(f"recommender-5-beside-3-0.{'1' * 400}") is None
