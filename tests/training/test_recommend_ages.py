"""Ages of items in the log, in groups. As of 1 March 2024:

tea      first event 2023-01-01   over a year
coffee   first event 2024-02-20   under 4 weeks     ann's; bob's was on the 21st
water    first event 2023-12-15   4 weeks to 3 months
juice    in no event              not seen before
"""

from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from training.pipelines.recommend_ages import AGES, UNSEEN, groups_of, recalls, shares

AS_OF = datetime.fromisoformat("2024-03-01")


@pytest.fixture
def log():
    customer, item = np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 0, 2], np.int32)
    first = np.array(["2024-02-20", "2023-01-01", "2024-02-21", "2023-12-15"], "M8[us]")
    one = np.ones(4, np.float32)
    items = np.array(["coffee", "tea", "water"])
    return Interactions(np.array(["ann", "bob"]), items, customer, item, one, one, first, first, AS_OF)


def ids(*each):
    return [np.array(some, dtype=np.str_) for some in each]


def test_an_item_is_as_old_as_its_first_event_of_anybody(log):
    assert [AGES[group] for group in groups_of(log, AS_OF)] == ["under 4 weeks", "over a year", "4 weeks to 3 months"]


def test_an_unknown_time_makes_no_item_older(log):
    log.first[0] = np.datetime64("NaT")
    assert AGES[groups_of(log, AS_OF)[0]] == "under 4 weeks"


def test_the_recall_of_an_age_counts_only_what_is_that_old_and_nobody_who_bought_none(log):
    answers, relevant = ids(["coffee"], ["juice", "tea"]), ids(["coffee", "tea", "water"], ["juice"])
    found = recalls(answers, relevant, log.items, groups_of(log, AS_OF))
    assert {age: row.tolist()[0] for age, row in found.items() if not np.isnan(row[0])} == {
        "under 4 weeks": 1.0, "over a year": 0.0, "4 weeks to 3 months": 0.0,
    }  # fmt: skip
    assert {age: row.tolist()[1] for age, row in found.items() if not np.isnan(row[1])} == {UNSEEN: 1.0}


def test_the_shares_of_all_ages_sum_to_one(log):
    found = shares(ids(["coffee", "juice"], ["tea", "coffee"]), log.items, groups_of(log, AS_OF))
    assert found == dict.fromkeys(AGES, 0.0) | {UNSEEN: 0.25, "under 4 weeks": 0.5, "over a year": 0.25}
    assert set(shares([], log.items, groups_of(log, AS_OF)).values()) == {0.0}


def test_an_age_begins_on_its_day(log):
    log.first[:] = np.datetime64(AS_OF) - np.array([28, 91, 28, 365]) * np.timedelta64(1, "D")
    assert [AGES[group] for group in groups_of(log, AS_OF)] == [
        "4 weeks to 3 months",
        "3 months to a year",
        "over a year",
    ]
