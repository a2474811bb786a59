"""Softmax on choices that a softmax drew: 300 customers, 40 items, two tastes; everybody looks some 30 times."""

from dataclasses import replace

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.softmax import Softmax, probabilities, solved

ITEMS = np.array([f"item-{item:02d}" for item in range(40)])
NOW = np.datetime64("2024-06-01", "us")


def truth(seed=0, customers=300):
    """The probabilities of every customer's choices."""
    rng = np.random.default_rng(seed)
    tastes, items = rng.normal(size=(customers, 2)), 1.3 * np.random.default_rng(9).normal(size=(40, 2))
    return probabilities(tastes, np.random.default_rng(8).normal(size=40), items)


def drawn(chances, seed=0, looks=30):
    """How often each was chosen, as weights; all of it 100 days ago."""
    counts = np.random.default_rng(seed).multinomial(looks, chances)
    customer, item = np.nonzero(counts)
    weight = counts[customer, item].astype(np.float32)
    then = np.full(len(item), NOW - np.timedelta64(100, "D"))
    names = np.array([f"c{row:03d}" for row in range(len(chances))])
    ids = customer.astype(np.int32), item.astype(np.int32)
    return Interactions(names, ITEMS, *ids, weight, 0 * weight, then, then, NOW.item())


@pytest.fixture(scope="module")
def log():
    return drawn(truth())


@pytest.fixture(scope="module")
def model(log):
    return Softmax(factors=2, regularization=2.0, damping=1.0).fit(log)


def surprise(chances, given):
    """What the given probabilities lack of the true ones, in nats a choice."""
    return float((chances * np.log(chances / given)).sum(axis=1).mean())


def test_planted_tastes_are_recovered_of_customers_that_it_never_saw(model):
    chances = truth(seed=1)
    given = model.scores(drawn(chances, seed=1), None)
    popular = np.broadcast_to(model.popularity_ / model.popularity_.sum(), given.shape)
    assert surprise(chances, given) < 0.15 * surprise(chances, popular)


def test_scores_are_probabilities_of_one_choice_and_none_without_a_history(model, log):
    np.testing.assert_allclose(model.scores(log, None).sum(axis=1), 1, rtol=1e-5)
    assert not model.scores(log.rows(["nobody"]), None).any()


def test_the_fold_in_is_the_customer_that_the_fit_ends_with(log):
    """Where the fit stands still, the customers solved in turn with the items are those solved from nothing."""
    fitted = Softmax(factors=2, regularization=2.0, iterations=60).fit(log)
    counts, near = fitted._counts(log), fitted.factors_[fitted.places_]
    folded = fitted._customers(counts)
    customers = folded.copy()
    fitted._turn(counts, customers, near)
    np.testing.assert_allclose(customers, folded, atol=1e-3)
    chosen = counts.toarray() - counts.sum(axis=1).A * probabilities(folded, fitted.bias_, near)
    np.testing.assert_allclose(chosen @ near, 2.0 * folded, atol=0.02)  # the gradient is 0 there


def test_a_step_that_would_be_too_long_is_cut():
    """One choice of the rarest item a thousand times, hardly held back: an uncut step leaves the numbers."""
    factors = np.array([[8.0], [0.0], [-8.0]], np.float32)
    counts = drawn(np.array([[0.0, 0.0, 1.0] + 37 * [0.0]]), looks=1000).matrix[:, :3]
    bias = np.array([0.0, 0.0, -12.0], np.float32)
    found = solved(counts, bias, factors, 1e-2, np.zeros((1, 1), np.float32), 30)
    slope = 1000 * (-8.0 - probabilities(found, bias, factors) @ factors[:, 0]) - 1e-2 * found[:, 0]
    assert abs(float(slope[0])) < 1e-2


def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_the_pairs(log, model, tmp_path):
    turned = np.random.default_rng(3).permutation(len(log))
    names = ("customer", "item", "weight", "purchases", "first", "last")
    permuted = replace(log, **{name: getattr(log, name)[turned] for name in names})
    again = Softmax(factors=2, regularization=2.0, damping=1.0)
    for name, one in (("first", log), ("second", log), ("permuted", permuted)):
        again.fit(one).save(tmp_path / name)
    first, second, other = ((tmp_path / name / "arrays.npz").read_bytes() for name in ("first", "second", "permuted"))
    assert first == second == other


def test_what_is_chosen_more_lately_is_scored_higher_while_tastes_stay(log):
    """What everybody chose of item-00 is of yesterday, all else of 100 days ago."""
    fresh = np.where(log.item == 0, NOW - np.timedelta64(1, "D"), log.last)
    risen = replace(log, last=fresh)
    late, ever = (Softmax(factors=2, half_life_days=days).fit(risen) for days in (30.0, None))
    np.testing.assert_array_equal(late.factors_, ever.factors_)
    ours, theirs = (one.scores(risen, None) for one in (late, ever))
    assert (ours[:, 0] > 1.5 * theirs[:, 0]).mean() > 0.9


def test_of_a_larger_catalogue_the_densest_items_have_scores_and_the_others_none(log):
    few = Softmax(factors=2, densest=10).fit(log)
    buyers = np.bincount(log.item, minlength=40)
    assert set(np.flatnonzero(few.scores(log, None).any(axis=0))) == set(np.argsort(-buyers, kind="stable")[:10])
