"""Limits: a bucket per key, a second's requests deep."""

from datetime import datetime

import pytest

from features.keys import DECIDE, PUBLISHABLE, Key
from serving.http.errors import HttpError
from serving.http.limits import Limits


def key(name: str, role: str = DECIDE, per_second: int | None = None) -> Key:
    return Key(name, name, "shop", role, datetime(2026, 1, 1), per_second=per_second)


def taken(limits: Limits, one: Key, moment: float, tries: int) -> int:
    """How many of these requests pass."""
    return sum(passes(limits, one, moment) for _ in range(tries))


def passes(limits: Limits, one: Key, moment: float) -> bool:
    try:
        limits.take(one, moment)
    except HttpError as error:
        if (error.status, error.headers) != (429, {"retry-after": "1"}):
            raise
        return False
    return True


def test_a_key_asks_as_often_as_it_may_and_no_more() -> None:
    limits, slow = Limits(), key("slow", per_second=5)
    assert taken(limits, slow, 100.0, 20) == 5
    assert taken(limits, slow, 100.4, 20) == 2
    assert taken(limits, slow, 1000.0, 20) == 5  # what was not used is not kept for later


def test_another_key_has_a_bucket_of_its_own() -> None:
    limits = Limits()
    assert taken(limits, key("one", per_second=1), 0.0, 3) == 1
    assert taken(limits, key("two", per_second=1), 0.0, 3) == 1


@pytest.mark.parametrize(("role", "rate"), [(DECIDE, 1_000), (PUBLISHABLE, 100)])
def test_a_key_has_a_limit_where_nobody_said_one(role: str, rate: int) -> None:
    assert taken(Limits(), key("one", role), 0.0, 2_000) == rate
