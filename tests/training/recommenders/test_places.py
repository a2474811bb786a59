"""Where ids stand among sorted ones: the lookup that models, filters and guards share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.located import located
from training.recommenders.places import joined, pairs, positions, shared

ids = st.lists(st.text("ab", min_size=1, max_size=4), max_size=20)
numbers = st.sets(st.integers(0, 30)).map(lambda some: np.array(sorted(some), np.intp))


@given(ids, ids)
def test_each_id_is_found_where_it_stands_and_no_other_is(known, wanted):
    """Ids longer than all that are known would, cut to their width, be taken for others."""
    items, asked = np.unique(np.array(known, np.str_)), np.array(wanted, np.str_)
    found, there = located(items, asked)
    assert there.tolist() == [one in known for one in wanted]
    assert items[found[there]].tolist() == positions_of(items, asked) == [one for one in wanted if one in known]


def positions_of(items, asked):
    return items[positions(items, asked)].tolist()


@given(ids, st.lists(ids, max_size=4))
def test_pairs_are_the_positions_of_each_row(known, each):
    items = np.unique(np.array(known, np.str_))
    rows, places = pairs(items, [np.array(some, np.str_) for some in each])
    for number, some in enumerate(each):
        assert places[rows == number].tolist() == positions(items, np.array(some, np.str_)).tolist()


@given(numbers, numbers)
def test_places_are_joined_and_shared_as_sets_are(one, other):
    assert joined(one, other).tolist() == np.union1d(one, other).tolist()
    assert shared(one, other).tolist() == np.intersect1d(one, other).tolist()
