"""The order by score answers what a look at every item answers, under every filter."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.recommenders import by_score
from training.recommenders.base import ItemFilter
from training.recommenders.by_score import ByScore
from training.recommenders.listed import Listed
from training.recommenders.topk import best


@st.composite
def questions(draw):
    """Scores with many ties, a zero of either sign among them; a filter of each kind, or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 200))
    items = np.array([f"{number:03d}" for number in range(count)], np.str_)
    scores = (rng.integers(-3, 4, count) * rng.choice([0.25, -0.0], count)).astype(np.float32)

    def some():
        return np.append(rng.choice(items, rng.integers(0, count + 1)) if count else items, "a stranger")

    def maybe(make):
        return make() if draw(st.booleans()) else None

    def shared():
        return Listed(some()) if draw(st.booleans()) else some()

    only = ItemFilter(maybe(shared), maybe(shared), maybe(lambda: [some()]), maybe(lambda: [some()]))
    return items, scores, only, draw(st.integers(1, 220))


@settings(deadline=None, max_examples=300)
@given(questions(), st.integers(1, 50))
def test_it_equals_a_look_at_every_item(question, first):
    items, scores, only, k = question
    before, by_score.FIRST = by_score.FIRST, first
    order = ByScore(items, scores)
    answers = [order.best(k, only) for _ in range(2)]  # by what was made for the first, too
    by_score.FIRST = before
    expected = best(items, scores, only.mask(items, 1)[0], k)
    for found, values in answers:
        assert found.tolist() == expected[0].tolist()
        np.testing.assert_array_equal(values, expected[1])


@pytest.mark.parametrize("name", ["allowed", "excluded"])
def test_an_answer_costs_what_is_answered(name):
    """Half of a million items are out: a mask of them takes milliseconds."""
    items = np.array([f"{number:07d}" for number in range(1_000_000)])
    order = ByScore(items, np.linspace(1, -1, len(items), dtype=np.float32))
    only = ItemFilter(**{name: Listed(items[::2])}, excluded_each=[items[:40]])
    found, _ = order.best(10, only)
    assert found.tolist() == items[40 + (name == "excluded") :: 2][:10].tolist()
    started = time.thread_time()
    for _ in range(50):
        order.best(10, only)
    assert time.thread_time() - started < 0.1
