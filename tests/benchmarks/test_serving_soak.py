"""Two minutes of `python -m benchmarks serving-soak` with a small shop; `.ci/run` runs it, alone."""

from pathlib import Path

import pytest

from benchmarks.postgresql import NEEDED, binaries
from benchmarks.serving_soak import soaked

SECONDS = 120.0


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason=NEEDED)
def test_nothing_fails_while_releases_are_swapped_and_postgresql_is_restarted(tmp_path: Path) -> None:
    found = soaked(tmp_path, items=500, customers=2_000, seconds=SECONDS, seed=0)
    assert found["failed"] == 0
    assert found["fallback_share"] <= 0.01
    assert found["rss_growth_mb"] <= 50
    assert found["decisions_lost"] == 0
    assert (found["restarts"], found["versions"]) == (2, 3)
    assert found["fallbacks"] > 0  # PostgreSQL was away
    assert found["events"] > 0
