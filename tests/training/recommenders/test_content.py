"""New items: teas are bought with teas, mugs with mugs; `tea-new` and `mug-new` entered the catalogue today.

item      name             category  price      ann, an even customer, buys teas; an odd one mugs
tea-0..5  Green tea n      drinks    4          tea-new  White tea       drinks   5
mug-0..5  Large mug n      kitchen   12         mug-new  Small mug       kitchen  NaN
"""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.catalog import Catalog
from features.events import Events
from features.interactions import PAIR, Interactions
from features.sources.simulator.shop import Shop
from features.sources.simulator.world import SHOP
from features.sources.simulator.write import read
from features.workspace import InteractionSettings
from training.intervals import mean_interval
from training.metrics import ranking
from training.pipelines.recommend_evaluation import trial
from training.recommenders.base import ItemFilter
from training.recommenders.blend import Blend
from training.recommenders.content import Content

ITEMS = np.array(sorted(f"{kind}-{number}" for kind in ("tea", "mug") for number in range(6)))
EVERYTHING = ItemFilter()


def catalog(extra=(), **columns):
    kind = [item.partition("-")[0] for item in ITEMS]
    rows = [
        {"item": item, "name": f"Green tea {item[-1]}", "category": "drinks", "price": 4.0}
        if of == "tea"
        else {"item": item, "name": f"Large mug {item[-1]}", "category": "kitchen", "price": 12.0}
        for item, of in zip(ITEMS, kind, strict=True)
    ]
    return Catalog.of(pd.DataFrame([*rows, *extra]).assign(**columns))


NEW = (
    {"item": "tea-new", "name": "White tea", "category": "drinks", "price": 5.0},
    {"item": "mug-new", "name": "Small mug", "category": "kitchen", "price": np.nan},
)


def shop():
    rng = np.random.default_rng(0)
    even = np.arange(40)[:, None] % 2 == 0
    customer, item = np.nonzero(rng.random((40, 12)) < np.where(even == np.char.startswith(ITEMS, "tea"), 0.8, 0.03))
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    names = np.array([f"c{row:02d}" for row in range(40)])
    pairs = (customer.astype(np.int32), item.astype(np.int32), ones, ones, never, never)
    return Interactions(names, ITEMS, *pairs, catalog=catalog())


LOG = shop()
FITTED = Content(width=128).fit(LOG)


def test_a_new_item_is_recommended_to_those_who_buy_its_like():
    model, new = FITTED.admit(catalog(NEW)), ItemFilter(allowed=np.array(["tea-new", "mug-new"]))
    answer = model.recommend_for(LOG, 1, items=new, as_of=None)
    right = [ids[0] == ("tea-new", "mug-new")[row % 2] for row, ids in enumerate(answer.items)]
    assert np.mean(right) > 0.9
    assert {reason[0].kind for reason in model.reasons(LOG, answer, as_of=None)} == {"because_you_bought"}


def test_admitting_changes_no_answer_about_the_items_that_were_known():
    admitted, old = FITTED.admit(catalog(NEW)), ItemFilter(allowed=ITEMS)
    before, after = (model.recommend_for(LOG, 12, items=old, as_of=None) for model in (FITTED, admitted))
    assert [ids.tolist() for ids in before.items] == [ids.tolist() for ids in after.items]
    assert FITTED.items_.tolist() == ITEMS.tolist()
    assert admitted.items_.tolist() == sorted([*ITEMS.tolist(), "mug-new", "tea-new"])


def test_a_new_item_that_no_history_speaks_for_is_said_to_be_new():
    members = {"neighbours": {}, "content": {"width": 128}}
    for fitted in (FITTED, Blend(members=members, threads=1).fit(LOG)):
        model, nobody = fitted.admit(catalog(NEW)), LOG.rows(["nobody"])
        answer = model.recommend_for(nobody, 14, items=EVERYTHING, as_of=None)
        (reasons,) = model.reasons(nobody, answer, as_of=None)
        said = dict(zip(answer.items[0].tolist(), [reason.kind for reason in reasons], strict=True))
        assert said == dict.fromkeys(ITEMS.tolist(), "popular") | {"tea-new": "new", "mug-new": "new"}
        cart = model.complete(["no such item"], 14, items=EVERYTHING)
        kinds = {item: reason.kind for item, reason in zip(cart.items[0], model.goes_with([], cart), strict=True)}
        assert kinds == said


def test_a_new_item_may_be_in_the_history_and_be_asked_about():
    model = FITTED.admit(catalog(NEW))
    assert model.similar("tea-new", 3, items=EVERYTHING).items[0][0].startswith("tea")
    history = replace(
        LOG.between(0, 1),
        items=np.array(["mug-new"]),
        lines=None,
        **{name: getattr(LOG, name)[:1] for name in PAIR} | {"item": np.zeros(1, np.int32)},
    )
    assert model.recommend_for(history, 1, items=ItemFilter(allowed=ITEMS), as_of=None).items[0][0].startswith("mug")


def test_a_saved_model_admits_like_the_one_that_was_fitted(tmp_path):
    FITTED.save(tmp_path)
    ours, theirs = (model.admit(catalog(NEW)) for model in (FITTED, Content.load(tmp_path)))
    np.testing.assert_array_equal(ours.directions_, theirs.directions_)


@pytest.mark.parametrize(
    "other",
    [
        {"item": "x", "name": None, "category": None, "price": np.nan},  # of which nothing is known
        {"item": "x", "name": "", "category": "new one", "price": np.inf},
        {"item": "x", "name": "White tea", "category": "drinks", "price": -1e30},
    ],
)
def test_an_item_with_poor_attributes_is_answered_all_the_same(other):
    model = FITTED.admit(catalog([other]))
    answer = model.recommend_for(LOG, 13, items=EVERYTHING, as_of=None)
    assert {len(ids) for ids in answer.items} == {13}
    assert all(np.isfinite(scores).all() for scores in answer.scores)


def test_a_catalogue_that_lacks_items_of_the_log_or_columns_of_the_fit_works():
    fewer = Catalog.of(catalog().frame.reset_index().iloc[::2])
    model = Content(width=128).fit(replace(LOG, catalog=fewer))
    bare = Catalog.of(pd.DataFrame({"item": ["tea-new"], "name": ["White tea"]}))
    assert "tea-new" in model.admit(bare).items_
    assert FITTED.admit(fewer) is FITTED


def test_own_columns_tell_items_apart():
    """Name, category and price are alike; only the shop's own columns say which is a tea."""
    alike = {"name": "Thing", "category": "all", "price": 1.0}
    kinds = [item.partition("-")[0] for item in ITEMS]
    rows = {"volume": [float(kind == "tea") for kind in kinds], "made_of": [f"{kind} stuff" for kind in kinds]}
    for column, values in rows.items():
        known = Catalog.of(pd.DataFrame({"item": ITEMS, **alike, column: values}))
        new = [{"item": f"{kind}-new", **alike, column: values[kinds.index(kind)]} for kind in ("tea", "mug")]
        model = Content(width=128).fit(replace(LOG, catalog=known)).admit(Catalog.of(pd.DataFrame(new)))
        only = ItemFilter(allowed=np.array(["tea-new", "mug-new"]))
        answer = model.recommend_for(LOG, 1, items=only, as_of=None).items
        assert np.mean([ids[0] == ("tea-new", "mug-new")[row % 2] for row, ids in enumerate(answer)]) > 0.9


def test_a_blend_knows_the_new_items_that_one_member_knows(tmp_path):
    members = {"neighbours": {}, "content": {"width": 128}}
    fitted = Blend(members=members, threads=1).fit(LOG)
    fitted.save(tmp_path)
    for blend in (fitted.admit(catalog(NEW)), Blend.load(tmp_path).admit(catalog(NEW))):
        answer = blend.recommend_for(LOG.rows(["c00"]), 14, items=EVERYTHING, as_of=None)
        assert set(answer.items[0]) == {*ITEMS, "tea-new", "mug-new"}
        reasons = dict(zip(answer.items[0], blend.reasons(LOG.rows(["c00"]), answer, as_of=None)[0], strict=True))
        assert reasons["tea-new"].kind == "because_you_bought"
        assert blend.similar("tea-new", 1, items=EVERYTHING).items[0][0].startswith("tea")


def test_new_items_of_a_simulated_shop_are_recommended_better_than_by_chance():
    """A fifth of the items is taken out of the log; how many of those bought later are among ten of them?"""
    until = datetime.fromisoformat("2026-01-01")
    start, simulated = until - timedelta(days=28), Shop(SHOP, 5, until, 180)
    events = Events.of(read(simulated, 1000).events)
    whole = Interactions.build(events, start, InteractionSettings())
    new = np.sort(np.random.default_rng(0).choice(whole.items, len(whole.items) // 5, replace=False))
    old, known = np.isin(whole.items, new, invert=True), Catalog.of(simulated.items.catalog())
    kept, place = old[whole.item], np.cumsum(old, dtype=np.int32) - np.int32(1)
    pairs = {name: getattr(whole, name)[kept] for name in PAIR} | {"item": place[whole.item[kept]]}
    log = replace(whole, items=whole.items[old], catalog=known, **pairs)
    judged = trial(events, whole, start, until, np.random.default_rng(0))
    relevant = [np.intersect1d(items, new) for items in judged.relevant]
    model, k = Content().fit(log).admit(known), len(new) // 10
    answer = model.recommend_for(log.rows(judged.customers), k, items=ItemFilter(allowed=new), as_of=start).items
    sizes = ranking.sizes(relevant)
    recall = ranking.recall(ranking.hits(answer, relevant, k), np.maximum(sizes, 1))[sizes > 0]
    assert mean_interval(recall, np.random.default_rng(0)).lower > k / len(new)
