"""Page Engaged: milliseconds become seconds, at most half an hour; what cannot be is no time."""

import pytest

from features.sources.engaged import MOST, seconds
from features.sources.products import columns
from features.workspace import Settings


@pytest.mark.parametrize(
    ("told", "found"),
    [(1500, 1.5), (90 * 60_000, MOST), (0, None), (-5, None), ("1500", None), (True, None), (float("nan"), None)],
)
def test_the_seconds_of_a_page(told: object, found: float | None) -> None:
    assert seconds({"engaged_ms": told}) == found
    (row,) = columns("Page Engaged", {"engaged_ms": told}, Settings(name="shop"))
    assert row["quantity"] == found
    assert row["properties"] == {"engaged_ms": told}


def test_a_page_that_tells_nothing() -> None:
    assert seconds({}) is None
