"""Ids that requests share are looked up once for each who asks, and are an array for whoever takes them for one."""

import numpy as np

from training.recommenders.base import Allowed, ItemFilter
from training.recommenders.listed import Listed
from training.recommenders.places import positions

ITEMS = np.array(["ale", "jam", "tea"])


class Asker:
    """Whoever asks."""


def test_what_was_made_of_them_is_made_once_for_each_who_asks_as_long_as_they_live() -> None:
    made: list[int] = []
    shared, askers = Listed(np.array(["tea", "ale"])), [Asker() for _ in range(9)]
    for number, asker in enumerate(askers * 2):
        assert shared.told(asker, lambda ids, number=number: made.append(number) or ids[0]) == "tea"
    assert made == list(range(9))
    del asker
    while askers:  # the number of one who is gone may be the next one's
        del askers[0]
        assert len(shared._made) == len(askers)
    assert shared.told(Asker(), len) == 2


def test_a_filter_means_the_same_by_shared_ids_and_by_an_array() -> None:
    ids = np.array(["tea", "ale", "a stranger of a longer name"])
    for name in ("allowed", "excluded"):
        plain, shared = ItemFilter(**{name: ids}), ItemFilter(**{name: Listed(ids)})
        np.testing.assert_array_equal(plain.mask(ITEMS, 2), shared.mask(ITEMS, 2))
        np.testing.assert_array_equal(*(np.sort(Allowed(rule, ITEMS, 2).refused) for rule in (plain, shared)))
        for one, other in zip(plain.places(ITEMS, 0), shared.places(ITEMS, 0), strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_id_longer_than_all_items_is_none_of_them() -> None:
    assert positions(ITEMS, np.array(["teapot", "tea", "jam jar"])).tolist() == [2]
