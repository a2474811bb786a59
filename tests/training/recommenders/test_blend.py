"""Blend: ann bought tea twice; tea and milk go together, and so do coffee and cake, which everybody else buys."""

from dataclasses import replace

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.blend import Blend

ITEMS = np.array(["cake", "coffee", "milk", "tea"])
ROWS = {"ann": {"tea": 2}, "bob": {"tea": 1, "milk": 1}, **{f"c{n}": {"coffee": 1, "cake": 1} for n in range(4)}}
BOTH = {"neighbours": {}, "popularity": {}}


def log(rows):
    pairs = [(row, item, count) for row, some in enumerate(rows.values()) for item, count in sorted(some.items())]
    customer = np.array([pair[0] for pair in pairs], np.int32)
    item = np.searchsorted(ITEMS, [pair[1] for pair in pairs]).astype(np.int32)
    counts, never = np.array([pair[2] for pair in pairs], np.float32), np.full(len(pairs), "NaT", "M8[us]")
    return Interactions(np.array(list(rows)), ITEMS, customer, item, counts, counts, never, never)


LOG = log(ROWS)


def answer(**parameters):
    """What ann is recommended beside tea."""
    model = Blend(members=BOTH, **parameters).fit(LOG)
    rankings = model.recommend_for(LOG.rows(["ann"]), 3, items=ItemFilter(excluded=np.array(["tea"])), as_of=None)
    return rankings, model.reasons(LOG.rows(["ann"]), rankings, as_of=None)[0]


def test_the_weights_decide_which_member_is_heard():
    (personal, why), (popular, _) = answer(weights={"neighbours": 9}), answer(weights={"popularity": 9})
    assert (personal.items[0][0], why[0].kind, why[0].cites) == ("milk", "customers_also", ("tea",))
    assert popular.items[0].tolist() == ["cake", "coffee", "milk"]


def test_only_the_ratio_of_the_weights_counts():
    once, tenfold = (answer(weights={"neighbours": 2 * by, "popularity": 3 * by})[0] for by in (1, 10))
    assert once.items[0].tolist() == tenfold.items[0].tolist()
    np.testing.assert_allclose(10 * once.scores[0], tenfold.scores[0], rtol=1e-5)


def test_a_members_unit_does_not_count():
    """Four times the weights of the log are four times the scores of neighbours, and shares of its best as before."""
    larger = replace(LOG, weight=4 * LOG.weight)
    history, items = LOG.rows(["ann"]), ItemFilter()
    scores = [Blend(members=BOTH).fit(one).recommend_for(history, 4, items=items, as_of=None) for one in (LOG, larger)]
    assert scores[0].items[0].tolist() == scores[1].items[0].tolist()
    np.testing.assert_allclose(scores[0].scores[0], scores[1].scores[0], rtol=1e-5)


def test_a_member_that_compares_customers_does_so_in_a_blend_beside_them():
    """Bob, who bought tea as ann did, bought milk."""
    alone = Blend(members={"tifu": {"k": 2}, "repeat": {}}).fit(LOG)
    ann, milk = LOG.rows(["ann"]), ITEMS.tolist().index("milk")
    beside = alone.beside(LOG)
    assert beside.scores(ann, None)[0, milk] > 0
    assert alone.scores(ann, None)[0, milk] == 0


def test_every_member_has_a_folder_of_its_own(tmp_path):
    Blend(members={"near": {"model": "neighbours", "own": 1.0}, "popularity": {}}).fit(LOG).save(tmp_path)
    assert sorted(path.name for path in (tmp_path / "members").iterdir()) == ["near", "popularity"]
    assert Blend.load(tmp_path).members_["near"].own == 1.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"members": {}}, "members == {}, a blend needs at least one"),
        ({"weights": {"als": 1.0}}, r"weights name \['als'\]; the members are \['neighbours', 'popularity'\]"),
        ({"weights": {"popularity": 0}}, "weight == 0 of member 'popularity', must be a finite number > 0"),
        ({"members": {"../als": {"model": "als"}}}, r"member '\.\./als' names a folder, must be letters"),
        ({"members": {"neighbors": {}}}, "recommender 'neighbors' is not known; did you mean 'neighbours'"),
    ],
)
def test_what_cannot_be_blended_is_refused_in_one_line(parameters, message):
    with pytest.raises(ValueError, match=message):
        Blend(**{"members": BOTH} | parameters).fit(LOG)
