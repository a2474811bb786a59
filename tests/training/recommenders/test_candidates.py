"""Candidates of members whose scores are given: each member's best that it has an opinion on and that are allowed.

               a    b    c    d
ann   first    3    2    0    2     c: no opinion; b before d: a tie
      second  -1    5    4    9
bob   first    1    1    1    1
      second   0    0    0    0     no opinion on anything
"""

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.candidates import candidates

FIRST = np.array([[3, 2, 0, 2], [1, 1, 1, 1]], np.float32)
SECOND = np.array([[-1, 5, 4, 9], [0, 0, 0, 0]], np.float32)
NOBODY = np.empty(0, np.int32)
NEVER = np.empty(0, "M8[us]")


class Given:
    def __init__(self, scores):
        self.given = scores

    def scores(self, histories, as_of):
        return self.given


def found(each, allowed=None, **given):
    rows = len(next(iter(given.values())))
    numbers = NOBODY.astype(np.float32)
    names = [np.arange(size).astype(np.str_) for size in next(iter(given.values())).shape]
    histories = Interactions(*names, NOBODY, NOBODY, numbers, numbers, NEVER, NEVER)
    allowed = np.ones((rows, len(names[1])), bool) if allowed is None else allowed
    return candidates({name: Given(scores) for name, scores in given.items()}, histories, allowed, each, None)


def pairs(each, allowed=None, **given):
    one = found(each, allowed, **given)
    return list(zip(one.row.tolist(), one.item.tolist(), strict=True))


def test_the_best_of_every_member_are_candidates_where_it_has_an_opinion():
    assert pairs(2, first=FIRST, second=SECOND) == [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1)]
    assert pairs(9, second=SECOND) == [(0, 1), (0, 2), (0, 3)]


def test_what_is_not_allowed_is_no_candidate_and_takes_no_place():
    allowed = np.array([[False, True, True, True], [True, True, True, False]])
    assert pairs(1, allowed, first=FIRST, second=SECOND) == [(0, 1), (0, 3), (1, 0)]


def test_a_candidate_carries_its_score_its_share_of_the_best_and_its_place():
    one = found(2, first=FIRST, second=SECOND)
    columns = {name: values.tolist()[:3] for name, values in one.columns.items()}
    assert columns["first.score"] == [3, 2, 2]
    assert columns["first.share"] == pytest.approx([1, 2 / 3, 2 / 3])
    assert columns["first.place"] == [0, 1, 2]  # the third is the second member's: its place here is `each`
    assert columns["second.place"] == [2, 1, 0]


def test_of_many_items_the_same_are_found_as_by_sorting_them_all():
    scores = np.random.default_rng(2).integers(-3, 50, (6, 5000)).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :40]
    one = found(40, member=scores)
    assert [row.tolist() for row in np.sort(order, axis=1)] == one.item.reshape(6, 40).tolist()
    assert (np.take_along_axis(order, one.columns["member.place"].reshape(6, 40).astype(int), 1)).tolist() == (
        one.item.reshape(6, 40).tolist()
    )
