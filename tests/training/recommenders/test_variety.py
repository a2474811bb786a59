"""Variety on twelve items of three tastes: who bought teas bought only teas, most of them the first."""

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders import RECOMMENDERS, known_recommender
from training.recommenders.base import ItemFilter
from training.recommenders.variety import marginal, pooled, recommend_varied

EVERYTHING = ItemFilter()
SMALL = {
    "als": {"threads": 1, "factors": 8, "regularization": 1.0},
    "ranker": {"threads": 1, "rounds": 5, "members": {"neighbours": {}}},
}
KNOWS = ("neighbours", "graph-filter", "ease", "als", "bpr", "softmax", "content", "ranker")


@pytest.fixture(scope="module")
def log():
    """60 customers, each with most of one taste's four items and one item of another; ann has some of every taste."""
    rng = np.random.default_rng(0)
    pairs = {(c, 4 * (c % 3) + place) for c in range(60) for place in range(4) if rng.random() < 0.8}
    pairs |= {(c, int(rng.integers(12))) for c in range(60)}
    customer, item = np.array(sorted(pairs), dtype=np.int32).T
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    names, items = np.array([f"c{c:02d}" for c in range(60)]), np.array([f"i{i:02d}" for i in range(12)])
    return Interactions(names, items, customer, item, ones, ones, never, never)


@pytest.fixture(scope="module", params=sorted(RECOMMENDERS))
def model(request, log):
    return known_recommender(request.param)(**SMALL.get(request.param, {})).fit(log)


def closeness(model, answer):
    return [float(model.alike(ids).sum()) for ids in answer.items]


def test_without_variety_the_answer_is_the_models_own(model, log):
    plain = model.recommend_for(log, 4, items=EVERYTHING, as_of=None)
    same = recommend_varied(model, log, 4, items=EVERYTHING, as_of=None, variety=0)
    assert [ids.tolist() for ids in same.items] == [ids.tolist() for ids in plain.items]


@pytest.mark.parametrize("variety", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 4, 12, 50])
def test_exactly_k_at_any_variety_and_the_best_stays_first(model, log, k, variety):
    items = ItemFilter(excluded=np.array(["i00", "i05"]))
    plain = model.recommend_for(log, k, items=items, as_of=None)
    answer = recommend_varied(model, log, k, items=items, as_of=None, variety=variety)
    for ids, scores, own in zip(answer.items, answer.scores, plain.items, strict=True):
        assert len(set(ids)) == len(ids) == min(k, 10)
        assert not {"i00", "i05"} & set(ids)
        assert ids[0] == own[0]
        assert len(scores) == len(ids)


@pytest.mark.parametrize("name", KNOWS)
def test_more_variety_makes_answers_less_alike(name, log):
    model = known_recommender(name)(**SMALL.get(name, {})).fit(log)
    answers = [recommend_varied(model, log, 4, items=EVERYTHING, as_of=None, variety=v) for v in (0, 0.5, 1)]
    means = [np.mean(closeness(model, answer)) for answer in answers]
    assert means[2] < means[0]
    assert means[1] <= means[0] + 1e-6


def test_a_score_goes_with_its_item(model, log):
    answer = recommend_varied(model, log.rows(["c00"]), 4, items=EVERYTHING, as_of=None, variety=1)
    everything = model.recommend_for(log.rows(["c00"]), 12, items=EVERYTHING, as_of=None)
    known = dict(zip(everything.items[0].tolist(), everything.scores[0].tolist(), strict=True))
    for item, score in zip(answer.items[0].tolist(), answer.scores[0].tolist(), strict=True):
        assert score == pytest.approx(known[item], rel=1e-4)


def test_likeness_is_symmetric_and_nothing_is_like_itself_or_a_stranger(model):
    ids = np.array(["i03", "no-such-item", "i00", "i07", "i01"])
    alike = model.alike(ids)
    np.testing.assert_array_equal(alike, alike.T)
    assert (alike >= 0).all()
    assert not alike.diagonal().any()
    assert not alike[1].any()
    np.testing.assert_allclose(model.alike(ids[::-1]), alike[::-1, ::-1], rtol=1e-5)
    assert model.alike(ids[:0]).shape == (0, 0)


def test_likeness_between_some_is_likeness_to_all(model):
    rows, columns = np.array([7, 2, 11]), np.array([3, 11, 0, 7])
    whole = np.stack([model.likeness(place)[columns] for place in rows.tolist()])
    np.testing.assert_allclose(model.likeness_between(rows, columns), whole, rtol=1e-5, atol=1e-6)
    assert model.likeness_between(rows[:0], columns).shape == (0, 4)


def test_the_formula_by_hand():
    """b is a twin of a, c like nobody: relevance 1, 2/3, 1/3. At .5 after a: b .333 - .5 < c .167; at .1: b .6 - .1."""
    alike = np.array([[0, 0.2, 0], [0.2, 0, 0], [0, 0, 0]], np.float32)
    assert marginal(alike, 3, 0.5).tolist() == [0, 2, 1]
    assert marginal(alike, 3, 0.1).tolist() == [0, 1, 2]
    assert marginal(alike, 2, 1.0).tolist() == [0, 2]


def test_what_the_model_has_no_opinion_on_is_no_variety(log):
    """c00's neighbours score what their customers bought; an item that nobody bought with it only fills."""
    model = known_recommender("neighbours")().fit(log)
    model.similarity_ = model.similarity_.multiply(np.add.outer(np.arange(12) // 4, -(np.arange(12) // 4)) == 0).tocsr()
    history = log.rows(["c00"])
    history = Interactions(**{name: getattr(history, name) for name in ("customers", "items")}, **pair(history, 1))
    answer = recommend_varied(model, history, 3, items=EVERYTHING, as_of=None, variety=1)
    assert (answer.scores[0] > 0).all()


def pair(history, count):
    names = ("customer", "item", "weight", "purchases", "first", "last")
    return {name: getattr(history, name)[:count] for name in names}


@pytest.mark.parametrize("variety", [-0.1, 1.1, float("nan")])
def test_a_variety_beyond_its_bounds_is_refused(log, variety):
    model = known_recommender("popularity")().fit(log)
    with pytest.raises(ValueError, match=r"variety == .*, must be from 0 to 1"):
        recommend_varied(model, log, 3, items=EVERYTHING, as_of=None, variety=variety)


def test_the_pool_is_bounded():
    assert [pooled(10, 0), pooled(10, 0.5), pooled(1000, 0.5)] == [10, 50, 1200]
