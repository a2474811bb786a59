"""Popularity with a half-life of its own: ten bought coffee 100 days ago, three bought tea yesterday."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.popularity import Popularity

AS_OF = datetime.fromisoformat("2024-06-01")
DAYS = np.array([100] * 10 + [1] * 3)
LOG = Interactions(
    np.array([f"c{row:02d}" for row in range(13)]),
    np.array(["coffee", "tea"]),
    np.arange(13, dtype=np.int32),
    (DAYS == 1).astype(np.int32),
    *[np.ones(13, np.float32)] * 2,
    *[np.datetime64(AS_OF, "us") - DAYS.astype("m8[D]")] * 2,
    AS_OF,
)


def first(log, half_life_days):
    model = Popularity(half_life_days).fit(log)
    return str(model.recommend_for(log.between(0, 1), 1, items=ItemFilter(), as_of=AS_OF).items[0][0])


def test_a_short_half_life_prefers_what_is_bought_now():
    assert (first(LOG, None), first(LOG, 1000.0), first(LOG, 20.0)) == ("coffee", "coffee", "tea")


def test_the_weight_halves_every_half_life():
    model = Popularity(33.0).fit(LOG)
    np.testing.assert_allclose(model.popularity_[1] / model.popularity_[0], 3 / 10 * 2 ** (99 / 33), rtol=1e-5)


def test_a_log_without_times_is_counted_as_it_is():
    never = np.full(13, "NaT", "M8[us]")
    assert first(replace(LOG, first=never, last=never), 1.0) == "coffee"
    assert first(replace(LOG, as_of=None), 1.0) == "coffee"


def test_baskets_of_nobody_decay_too():
    old = replace(LOG, last=np.full(13, np.datetime64("2020-01-01"), "M8[us]"))
    assert first(replace(LOG, baskets=replace(old, item=np.zeros(13, np.int32))), 20.0) == "tea"


@pytest.mark.parametrize("half_life", [0, -1.0])
def test_a_half_life_of_0_is_refused(half_life):
    with pytest.raises(ValueError, match=r"half_life_days == .*, must be > 0 \(popularity\)"):
        Popularity(half_life).fit(LOG)
