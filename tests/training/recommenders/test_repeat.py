"""Repeat: tea is bought every 30 days, soap every 10; ann is due for one and not for the other."""

from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.cycles import chance_of_repeat, cycles
from training.recommenders.repeat import Repeat, due

AS_OF = datetime.fromisoformat("2024-06-01")


def bought(rows):
    """Interactions of (customer, item, purchases, days before AS_OF of the first and the last)."""
    rows = sorted(rows)
    customers, customer = np.unique([row[0] for row in rows], return_inverse=True)
    items, item = np.unique([row[1] for row in rows], return_inverse=True)
    times = np.datetime64(AS_OF, "us") - np.array([row[3:] for row in rows], dtype="m8[D]")
    purchases = np.array([row[2] for row in rows], dtype=np.float32)
    places = (customer.astype(np.int32), item.astype(np.int32))
    return Interactions(customers, items, *places, purchases, purchases, times[:, 0], times[:, 1], AS_OF)


def regulars(count=400):
    return [
        row
        for n in range(count)
        for row in ((f"r{n:03d}", "tea", 4, 95, 5), (f"r{n:03d}", "soap", 4, 35, 5), (f"r{n:03d}", "sofa", 1, 50, 50))
    ]


def test_cycles_are_the_mean_gap_between_purchases():
    log = bought(regulars())
    found = dict(zip(log.items.tolist(), cycles(log).tolist(), strict=True))
    assert found["tea"] == pytest.approx(30, rel=0.02)
    assert found["soap"] == pytest.approx(10, rel=0.02)


def test_an_item_that_nobody_buys_again_has_a_small_chance():
    log = bought(regulars())
    found = dict(zip(log.items.tolist(), chance_of_repeat(log).tolist(), strict=True))
    assert found["sofa"] < 0.05
    assert found["tea"] > 0.95


def test_what_is_due_comes_first_and_a_sofa_is_not_bought_again():
    model = Repeat().fit(bought(regulars()))
    ann = bought([("ann", "sofa", 1, 40, 40), ("ann", "soap", 2, 80, 60), ("ann", "tea", 2, 60, 30)])
    answer = model.recommend_for(ann, 3, items=ItemFilter(), as_of=AS_OF)
    assert answer.items[0].tolist() == ["tea", "soap", "sofa"]


def test_only_what_is_due_is_said_to_be_due():
    """Tea lasts 30 days, soap 10: tea bought 20 days ago is not due yet, soap bought as long ago is."""
    model = Repeat().fit(bought(regulars()))

    def said(days, as_of=AS_OF):
        ann = bought([("ann", "soap", 1, days, days), ("ann", "tea", 1, days, days)])
        answer = model.recommend_for(ann, 2, items=ItemFilter(), as_of=as_of)
        kinds = [reason.kind for reason in model.reasons(ann, answer, as_of=as_of)[0]]
        return dict(zip(answer.items[0].tolist(), kinds, strict=True))

    assert said(20) == {"soap": "due_again", "tea": "buy_again"}
    assert said(29) == {"soap": "due_again", "tea": "due_again"}
    assert said(29, as_of=None) == {"soap": "buy_again", "tea": "buy_again"}


def test_due_peaks_after_one_cycle_and_never_ends():
    elapsed = np.array([0, 0.5, 1.0, 2.0, 1000.0])
    assert due(elapsed, 0.5).tolist() == pytest.approx([0.5, 0.75, 1.0, 0.5, 0.001])


def test_without_times_frequency_decides():
    log = bought(regulars())
    never = np.full(len(log), "NaT", "M8[us]")
    timeless = Interactions(log.customers, log.items, log.customer, log.item, log.weight, log.purchases, never, never)
    answer = Repeat().fit(timeless).recommend_for(timeless.rows(["r000"]), 3, items=ItemFilter(), as_of=AS_OF)
    assert answer.items[0].tolist() == ["soap", "tea", "sofa"]
