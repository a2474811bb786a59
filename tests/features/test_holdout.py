"""The global holdout: a hash of its own, in one function."""

from __future__ import annotations

import hashlib

import pytest

from features import holdout
from features.holdout import SALT, held_out


def by_hand(customer: str) -> float:
    return int(hashlib.sha256(f"global-holdout:{customer}".encode()).hexdigest()[:13], 16) / 2**52


def test_the_share_is_held_out_and_stays_when_it_grows() -> None:
    customers = [f"customer-{number}" for number in range(20_000)]
    small = {one for one in customers if held_out(one, 0.05)}
    large = {one for one in customers if held_out(one, 0.10)}
    assert small < large
    assert len(small) / 20_000 == pytest.approx(0.05, abs=0.0045)  # three standard errors of 20,000 draws
    assert small == {one for one in customers if by_hand(one) < 0.05}


def test_without_a_holdout_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout, "bucket", lambda *_: pytest.fail("a hash was computed"))
    assert not held_out("customer-21", 0.0)


def test_the_salt_is_fixed_for_ever() -> None:
    assert SALT == "global-holdout"
    assert by_hand("customer-21") == 0.008102757562508334
