"""What may be answered of what was bought before.

Everybody buys tea again and again, and one sofa; ann bought both, and nobody yet the lamp.
"""

from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.bought import allowed
from training.recommenders.popularity import Popularity

ITEMS = np.array(["lamp", "sofa", "tea"])


def log(tea: float = 4) -> Interactions:
    """100 customers with a sofa and this many teas; the first ten have a lamp."""
    rows = [
        (n, item, bought) for n in range(100) for item, bought in ((0, 1.0 * (n < 10)), (1, 1.0), (2, tea)) if bought
    ]
    customer, item, purchases = (np.array(column) for column in zip(*rows, strict=True))
    never = np.full(len(rows), "NaT", "M8[us]")
    names = np.array([f"c{n:02d}" for n in range(100)])
    weight = purchases.astype(np.float32)
    ids = (customer.astype(np.int32), item.astype(np.int32))
    return Interactions(names, ITEMS, *ids, weight, weight, never, never, datetime.fromisoformat("2024-06-01"))


@pytest.mark.parametrize(
    ("mode", "shown"), [("never", {"lamp"}), ("only", {"sofa", "tea"}), ("mixed", {"lamp", "tea"})]
)
def test_a_mode_says_what_of_the_bought_is_shown(mode, shown):
    model, ann = Popularity().fit(log()), log().rows(["c99"])
    answer = model.recommend_for(ann, 10, items=allowed(mode, ann.bought, model), as_of=None)
    assert set(answer.items[0]) == shown


def test_what_is_replenishable_is_learned():
    """Tea that everybody bought once only is as durable as a sofa."""
    model, ann = Popularity().fit(log(tea=1)), log().rows(["c99"])
    answer = model.recommend_for(ann, 10, items=allowed("mixed", ann.bought, model), as_of=None)
    assert set(answer.items[0]) == {"lamp"}


def test_what_was_only_viewed_is_not_bought():
    viewed = log(tea=4)
    viewed.purchases[viewed.item == 2] = 0
    assert [ids.tolist() for ids in viewed.rows(["c00", "c99", "nobody"]).bought] == [["lamp", "sofa"], ["sofa"], []]


def test_a_filter_of_the_shop_holds_in_every_mode():
    model, ann = Popularity().fit(log()), log().rows(["c99"])
    for mode in ("never", "only", "mixed"):
        each = allowed(mode, ann.bought, model)
        items = ItemFilter(np.array(["tea"]), None, each.excluded_each, each.required_each)
        assert set(model.recommend_for(ann, 10, items=items, as_of=None).items[0]) <= {"tea"}
