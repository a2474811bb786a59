"""What every recommender of the registry keeps, on logs small enough to know the answer."""

from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from features.catalog import Catalog
from features.interactions import Interactions
from training.recommenders import RECOMMENDERS, known_recommender
from training.recommenders.als import Als
from training.recommenders.base import ItemFilter

AS_OF = datetime.fromisoformat("2024-06-01")
PERSONAL = ("neighbours", "graph-filter", "ease", "als", "bpr", "softmax", "bm25", "content", "blend", "ranker")
MEMBERS = {"neighbours": {}, "als": {"factors": 16}, "repeat": {}}
SMALL = {
    "als": {"threads": 1, "factors": 16},
    "bpr": {"factors": 16, "learning_rate": 0.1},
    "content": {"width": 64},
    "blend": {"threads": 1, "members": MEMBERS},
    "ranker": {"threads": 1, "members": MEMBERS, "rounds": 20},
}
DRAWN = {"als", "bpr"}  # which customer gets which draw depends on their order
EVERYTHING = ItemFilter()


def interactions(rows, *, as_of=AS_OF):
    """Interactions of (customer, item, purchases, days before as_of of the first and the last)."""
    rows = sorted(rows)
    customers, customer = np.unique([row[0] for row in rows], return_inverse=True)
    items, item = np.unique([row[1] for row in rows], return_inverse=True)
    days = np.array([[row[3], row[4]] for row in rows], dtype="m8[D]")
    times = np.datetime64(as_of, "us") - days
    purchases = np.array([row[2] for row in rows], dtype=np.float32)
    weight = np.maximum(purchases, np.float32(0.1))
    ids = (customer.astype(np.int32), item.astype(np.int32))
    return Interactions(customers, items, *ids, weight, purchases, times[:, 0], times[:, 1], as_of)


def checkerboard(size=30):
    """Customer n bought every item of n's parity but item n: the one answer left is item n.

        i0 i1 i2 i3
    c0   ?  .  x  .
    c1   .  ?  .  x
    c2   x  .  ?  .
    """
    pairs = [(row, column) for row in range(size) for column in range(size) if row != column]
    return interactions([(f"c{r:03d}", f"i{c:03d}", 1, 9, 9) for r, c in pairs if r % 2 == c % 2])


def shop():
    """40 customers with tastes: six baskets of items, bought more often by those who like them; some only viewed."""
    rng = np.random.default_rng(0)
    rows = []
    for customer in range(40):
        liked = customer % 6
        for item in range(36):
            if rng.random() < (0.7 if item % 6 == liked else 0.05 + 0.1 * (item < 6)):
                purchases = int(rng.integers(0, 4))
                first, last = int(rng.integers(60, 90)), int(rng.integers(1, 59))
                rows.append((f"customer-{customer:02d}", f"item-{item:02d}", purchases, first, last))
    return interactions(rows)


def nobody(items=()):
    """One empty history."""
    ids = np.array(items, dtype=np.str_)
    none, never = np.empty(0, np.int32), np.empty(0, "M8[us]")
    weights = np.empty(0, np.float32)
    return Interactions(np.array(["new"]), ids, none, none, weights, weights, never, never, AS_OF)


def without(history, item):
    """The history without its pair of this item."""
    keep = history.items[history.item] != item
    names = ("customer", "item", "weight", "purchases", "first", "last")
    return replace(history, **{name: getattr(history, name)[keep] for name in names})


def same(ours, theirs):
    assert [ids.tolist() for ids in ours.items] == [ids.tolist() for ids in theirs.items]
    for one_score, other in zip(ours.scores, theirs.scores, strict=True):
        np.testing.assert_array_equal(one_score, other)


@pytest.fixture(scope="module")
def log():
    return shop()


@pytest.fixture(scope="module", params=sorted(RECOMMENDERS))
def model(request, log):
    return made(request.param).fit(log)


def made(name, **parameters):
    return known_recommender(name)(**SMALL.get(name, {}), **parameters)


@pytest.mark.parametrize("name", PERSONAL)
def test_the_checkerboard_is_completed(name):
    log = checkerboard()
    owned = [log.items[log.between(row, row + 1).item] for row in range(len(log.customers))]
    answer = made(name).fit(log).recommend_for(log, 1, items=ItemFilter(excluded_each=owned), as_of=AS_OF)
    assert [ids[0][1:] for ids in answer.items] == [customer[1:] for customer in log.customers]


@pytest.mark.parametrize("k", [1, 7, 36, 500])
def test_exactly_k_while_k_are_allowed(model, log, k):
    answer = model.recommend_for(log, k, items=EVERYTHING, as_of=AS_OF)
    assert {len(ids) for ids in answer.items} == {min(k, len(log.items))}
    for ids, scores in zip(answer.items, answer.scores, strict=True):
        assert len(set(ids)) == len(ids)
        assert np.all(np.diff(scores) <= 0)
        assert np.isfinite(scores).all()


def test_no_filter_is_broken_and_none_shortens_the_answer(model, log):
    rng = np.random.default_rng(1)
    rows = len(log.customers)
    each = [rng.choice(log.items, rng.integers(0, 30), replace=False) for _ in range(rows)]
    needed = [rng.choice(log.items, 20, replace=False) for _ in range(rows)]
    allowed, excluded = rng.choice(log.items, 25, replace=False), np.array(["item-03", "never-heard-of"])
    items = ItemFilter(allowed, excluded, each, needed)
    answer = model.recommend_for(log, 10, items=items, as_of=AS_OF)
    for row, ids in enumerate(answer.items):
        permitted = (set(allowed) & set(needed[row])) - set(excluded) - set(each[row])
        assert set(ids) <= permitted
        assert len(ids) == min(10, len(permitted))


def test_a_batch_answers_like_one_by_one(model, log):
    batch = model.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF)
    reasons = model.reasons(log, batch, as_of=AS_OF)
    for row in range(len(log.customers)):
        alone = model.recommend_for(log.between(row, row + 1), 10, items=EVERYTHING, as_of=AS_OF)
        assert batch.items[row].tolist() == alone.items[0].tolist()
        np.testing.assert_allclose(batch.scores[row], alone.scores[0], rtol=1e-4, atol=1e-6)
        assert reasons[row] == model.reasons(log.between(row, row + 1), alone, as_of=AS_OF)[0]


def test_parts_of_a_large_batch_answer_like_the_whole(model, log, monkeypatch):
    everyone = log.rows([*log.customers, "nobody-knows-me"])
    each = [log.items[row % 36 : row % 36 + 3] for row in range(len(everyone.customers))]
    items = ItemFilter(excluded_each=each)
    whole = model.recommend_for(everyone, 5, items=items, as_of=AS_OF)
    monkeypatch.setattr("training.recommenders.topk.CELLS", 36 * 7)
    parts = model.recommend_for(everyone, 5, items=items, as_of=AS_OF)
    assert [ids.tolist() for ids in whole.items] == [ids.tolist() for ids in parts.items]


def test_an_empty_history_is_answered_by_popularity(model, log):
    popular = RECOMMENDERS["popularity"]().fit(log)
    answer = model.recommend_for(nobody(), 10, items=EVERYTHING, as_of=AS_OF)
    assert (
        answer.items[0].tolist() == popular.recommend_for(nobody(), 10, items=EVERYTHING, as_of=None).items[0].tolist()
    )
    assert {reason.kind for reason in model.reasons(nobody(), answer, as_of=AS_OF)[0]} == {"popular"}


def test_unknown_items_of_a_history_are_ignored(model, log):
    history = log.between(3, 4)
    items = np.array(sorted([*log.items.tolist(), "aaa", "item-05-b", "zzz"]))
    places = np.searchsorted(items, history.items).astype(np.int32)
    stranger = np.searchsorted(items, np.array(["aaa", "zzz"])).astype(np.int32)
    item = np.concatenate([stranger[:1], places[history.item], stranger[1:]])
    padded = {
        name: np.concatenate([getattr(history, name)[:1], getattr(history, name), getattr(history, name)[:1]])
        for name in ("customer", "weight", "purchases", "first", "last")
    }
    wider = replace(history, items=items, item=item, **padded)
    same(
        model.recommend_for(wider, 10, items=EVERYTHING, as_of=AS_OF),
        model.recommend_for(history, 10, items=EVERYTHING, as_of=AS_OF),
    )


def test_what_is_loaded_answers_like_what_was_saved(model, log, tmp_path):
    model.save(tmp_path)
    loaded = type(model).load(tmp_path)
    ours, theirs = (one.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF) for one in (model, loaded))
    same(ours, theirs)
    assert model.reasons(log, ours, as_of=AS_OF) == loaded.reasons(log, theirs, as_of=AS_OF)
    same(model.similar("item-07", 5, items=EVERYTHING), loaded.similar("item-07", 5, items=EVERYTHING))


def test_the_chance_of_a_repeat_is_known_of_every_item_and_kept(model, log, tmp_path):
    ids = np.array(["no-such-item", *log.items, "zzz"])
    chance = model.chance_of_repeat(ids)
    assert (chance[1:-1] > 0).all()
    assert (chance[1:-1] <= 1).all()
    assert chance[[0, -1]].tolist() == [0, 0]
    model.save(tmp_path)
    np.testing.assert_array_equal(type(model).load(tmp_path).chance_of_repeat(ids), chance)
    assert len(model.chance_of_repeat(ids[:0])) == 0


def test_saved_files_name_no_customer_and_hold_no_pickle(model, tmp_path):
    model.save(tmp_path)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                texts = [text for array in arrays.values() if array.dtype.kind == "U" for text in array.ravel()]
                assert all(array.dtype.kind != "O" for array in arrays.values())
                assert not any(40 in array.shape for array in arrays.values()), "an array with one row per customer"
        else:
            texts = [path.read_text()]
        assert not any("customer-" in text for text in texts)


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_the_same_log_and_seed_give_the_same_bits_on_one_thread(name, log, tmp_path):
    for folder in ("first", "second"):
        made(name).fit(log).save(tmp_path / folder)
    kept = [path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        if path.suffix != ".npz":
            assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes()
            continue
        with np.load(tmp_path / "first" / path) as first, np.load(tmp_path / "second" / path) as second:
            for array in first:
                np.testing.assert_array_equal(first[array], second[array])


@pytest.mark.parametrize("name", sorted(set(RECOMMENDERS) - DRAWN))
def test_customers_names_and_order_do_not_matter(name, log):
    turned = np.lexsort((log.item, -log.customer))
    names = ("item", "weight", "purchases", "first", "last")
    customer = (len(log.customers) - 1 - log.customer)[turned].astype(np.int32)
    mirrored = replace(log, customer=customer, **{field: getattr(log, field)[turned] for field in names})
    models = made(name).fit(log), made(name).fit(mirrored)
    ours, theirs = (one.recommend_for(log, 5, items=EVERYTHING, as_of=AS_OF) for one in models)
    for mine, other in zip(ours.scores, theirs.scores, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_the_order_of_the_pairs_does_not_matter(model, log):
    shuffled = np.random.default_rng(2).permutation(len(log))
    names = ("customer", "item", "weight", "purchases", "first", "last")
    permuted = replace(log, **{field: getattr(log, field)[shuffled] for field in names})
    again = made(model.name).fit(permuted)
    ours, theirs = (one.recommend_for(log, 5, items=EVERYTHING, as_of=AS_OF) for one in (model, again))
    for mine, other in zip(ours.scores, theirs.scores, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_deleting_a_cited_item_changes_the_reason_or_the_item(model, log):
    checked = 0
    for row in range(len(log.customers)):
        history = log.between(row, row + 1)
        answer = model.recommend_for(history, 3, items=EVERYTHING, as_of=AS_OF)
        for item, reason in zip(answer.items[0], model.reasons(history, answer, as_of=AS_OF)[0], strict=True):
            for cited in reason.cites:
                assert cited in history.items[history.item], "a reason cites what is not in the history"
                less = without(history, cited)
                after = model.recommend_for(less, 36, items=EVERYTHING, as_of=AS_OF)
                place = after.items[0].tolist().index(item)
                assert model.reasons(less, after, as_of=AS_OF)[0][place] != reason
                checked += 1
    assert checked or model.name == "popularity"


def test_only_bought_items_are_said_to_be_bought(model, log):
    answer = model.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF)
    kinds = set()
    for row, reasons in enumerate(model.reasons(log, answer, as_of=AS_OF)):
        history = log.between(row, row + 1)
        bought = set(history.items[history.item[history.purchases > 0]])
        for reason in reasons:
            kinds.add(reason.kind)
            if reason.kind in {"because_you_bought", "customers_also", "buy_again", "due_again"}:
                assert reason.cites
                assert set(reason.cites) <= bought
            elif reason.kind == "because_you_viewed":
                assert reason.cites
                assert not set(reason.cites) & bought
    assert kinds <= {"because_you_bought", "customers_also", "because_you_viewed", "buy_again", "due_again", "popular"}


@pytest.mark.parametrize("rule", ["allowed", "excluded", "excluded_each", "required_each"])
def test_ids_that_are_named_twice_count_once(model, log, rule):
    asked = [*log.customers[:3], *log.customers[:3]]
    once = log.items[3:20]

    def answered(ids):
        items = ItemFilter(**{rule: [ids] * len(asked) if rule.endswith("_each") else ids})
        return model.recommend_for(log.rows(asked), 10, items=items, as_of=AS_OF)

    found = answered(np.repeat(once, 2))
    same(found, answered(once))
    assert [ids.tolist() for ids in found.items[:3]] == [ids.tolist() for ids in found.items[3:]]


def test_similar_items_leave_the_item_out_and_obey_the_filter(model, log):
    (ids,) = model.similar("item-07", 5, items=ItemFilter(excluded=np.array(["item-01"]))).items
    assert len(ids) == 5
    assert not {"item-07", "item-01"} & set(ids)
    assert len(model.similar("no-such-item", 5, items=EVERYTHING).items[0]) == 0


@pytest.mark.parametrize("cart", [["item-07"], ["item-07", "item-01", "item-07", "no-such-item"], ["no-such-item"], []])
def test_a_cart_is_completed_by_exactly_k_others_under_the_filter(model, cart):
    for k in (1, 5, 500):
        answer = model.complete(cart, k, items=ItemFilter(excluded=np.array(["item-02"])))
        (ids,), (scores,) = answer.items, answer.scores
        allowed = 36 - len({"item-02", *cart} - {"no-such-item"})
        assert len(set(ids)) == len(ids) == min(k, allowed)
        assert not {"item-02", *cart} & set(ids)
        assert np.all(np.diff(scores) <= 0)
        for score, reason in zip(scores, model.goes_with(cart, answer), strict=True):
            assert reason.kind == ("goes_with" if score > 0 else "popular")
            assert set(reason.cites) <= set(cart)


def test_what_completes_a_cart_scores_the_likeness_that_its_reason_cites(model):
    cart = ["item-02", "item-07", "item-21"]
    answer = model.complete(cart, 33, items=EVERYTHING)
    places = [np.searchsorted(model.items_, ids) for ids in (cart, answer.items[0])]
    near = np.maximum(model.likeness_between(*places), 0)
    np.testing.assert_allclose(np.maximum(answer.scores[0], 0), near.sum(axis=0), rtol=1e-4, atol=1e-6)
    for terms, reason in zip(near.T, model.goes_with(cart, answer), strict=True):
        assert reason.cites[:1] == ((cart[int(np.argmax(terms))],) if terms.max() > 0 else ())


def test_taking_a_cited_item_out_of_the_cart_changes_the_reason(model):
    cart = ["item-07", "item-02", "item-21"]
    answer = model.complete(cart, 33, items=EVERYTHING)
    for item, reason in zip(answer.items[0].tolist(), model.goes_with(cart, answer), strict=True):
        for cited in reason.cites:
            less = [other for other in cart if other != cited]
            after = model.complete(less, 36, items=EVERYTHING)
            place = after.items[0].tolist().index(item)
            assert model.goes_with(less, after)[place] != reason


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_a_second_fit_knows_nothing_of_the_first(name, log):
    first = checkerboard()
    model = made(name).fit(first)
    model.recommend_for(first, 3, items=EVERYTHING, as_of=AS_OF)
    model.similar("i002", 3, items=EVERYTHING)
    again, fresh = model.fit(log), made(name).fit(log)
    asked = {"k": 5, "items": EVERYTHING}
    same(again.recommend_for(log, **asked, as_of=AS_OF), fresh.recommend_for(log, **asked, as_of=AS_OF))
    same(again.similar("item-07", **asked), fresh.similar("item-07", **asked))


@pytest.mark.parametrize("name", PERSONAL)
def test_a_cart_of_one_is_completed_like_the_item(name, log):
    model = made(name).fit(log)
    same(model.complete(["item-07"], 5, items=EVERYTHING), model.similar("item-07", 5, items=EVERYTHING))


@pytest.mark.parametrize("name", PERSONAL)
def test_a_cart_is_completed_by_what_is_bought_with_it(name):
    """On the checkerboard even items are bought with even ones."""
    answer = made(name).fit(checkerboard()).complete(["i002", "i008", "i014"], 5, items=EVERYTHING)
    assert {int(item[1:]) % 2 for item in answer.items[0]} == {0}


@pytest.mark.parametrize("name", PERSONAL)
def test_similar_items_share_the_taste(name, log):
    (ids,) = made(name).fit(log).similar("item-07", 3, items=EVERYTHING).items
    assert {int(item[-2:]) % 6 for item in ids} == {1}


def test_a_catalogue_is_admitted_by_another_model_that_answers_what_was_known_alike(model, log):
    before = dict(vars(model))
    catalog = Catalog.of(pd.DataFrame({"item": [*log.items[:9], "item-99"], "name": "Thing", "price": np.nan}))
    admitted, known = model.admit(catalog), ItemFilter(allowed=log.items)
    same(*(one.recommend_for(log, 36, items=known, as_of=AS_OF) for one in (model, admitted)))
    answer = admitted.recommend_for(log, 50, items=EVERYTHING, as_of=AS_OF)
    assert {tuple(sorted(ids)) for ids in answer.items} == {tuple(admitted.items_)}
    assert all(vars(model)[name] is value for name, value in before.items())


def test_beside_customers_answers_another_model_of_which_no_more_is_saved(model, log, tmp_path):
    alone, before = model.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF), dict(vars(model))
    beside = model.beside(log)
    assert type(beside) is type(model)
    answer = beside.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF)
    assert {len(ids) for ids in answer.items} == {10}
    assert [len(reasons) for reasons in beside.reasons(log, answer, as_of=AS_OF)] == [10] * len(log.customers)
    assert all(vars(model)[name] is value for name, value in before.items())
    same(model.recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF), alone)
    beside.save(tmp_path)
    same(type(model).load(tmp_path).recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF), alone)


def test_a_ranker_is_taught_and_answers_by_members_beside_the_customers():
    """The answer left is one that the customer never bought: only by other customers does the member know it."""
    log = checkerboard(60)
    owned = [log.items[log.between(row, row + 1).item] for row in range(len(log.customers))]
    alone = known_recommender("ranker")(members={"tifu": {"k": 10}}, threads=1, rounds=20).fit(log)
    answers = [
        one.recommend_for(log, 1, items=ItemFilter(excluded_each=owned), as_of=AS_OF)
        for one in (alone, alone.beside(log))
    ]
    found = [[ids[0][1:] == name[1:] for ids, name in zip(one.items, log.customers, strict=True)] for one in answers]
    assert alone.trees_.models
    assert sum(found[0]) < 3
    assert all(found[1])


def test_many_threads_get_the_answers_of_one(model, log):
    expected = [model.recommend_for(log.between(row, row + 1), 10, items=EVERYTHING, as_of=AS_OF) for row in range(20)]
    before = dict(vars(model))
    wrong = []

    def ask():
        for row, right in enumerate(expected):
            got = model.recommend_for(log.between(row, row + 1), 10, items=EVERYTHING, as_of=AS_OF)
            model.reasons(log.between(row, row + 1), got, as_of=AS_OF)
            if got.items[0].tolist() != right.items[0].tolist():
                wrong.append(row)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(vars(model)[name] is value for name, value in before.items()), "answering changed the model"


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_one_customer_or_one_item_is_enough(name):
    lonely = interactions([("ann", "tea", 2, 30, 3), ("ann", "jam", 1, 9, 9)])
    single = interactions([("ann", "tea", 2, 30, 3), ("bob", "tea", 1, 9, 9)])
    past = interactions([("ann", "tea", 1, 30, 30)], as_of=AS_OF - timedelta(days=28))
    both = replace(interactions([("ann", "tea", 2, 58, 3)]), earlier=past)
    for log in (lonely, single, both):
        answer = made(name).fit(log).recommend_for(log, 10, items=EVERYTHING, as_of=AS_OF)
        assert {len(ids) for ids in answer.items} == {len(log.items)}


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_an_empty_log_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="hold no pair"):
        made(name).fit(nobody(["tea"]))


def test_k_of_0_is_refused(model, log):
    with pytest.raises(ValueError, match="k == 0, must be at least 1"):
        model.recommend_for(log, 0, items=EVERYTHING, as_of=AS_OF)
    for asked in (model.similar, lambda _, k, **rest: model.complete(["item-07"], k, **rest)):
        with pytest.raises(ValueError, match="k == 0, must be at least 1"):
            asked("item-07", 0, items=EVERYTHING)


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    with pytest.raises(ValueError, match="recommender 'neighbors' is not known; did you mean 'neighbours'"):
        known_recommender("neighbors")


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1, 0])
@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_a_weight_that_is_no_number_above_0_is_refused_in_one_line(name, weight, log):
    weights = log.weight.copy()
    weights[5] = weight
    with pytest.raises(ValueError, match=r"weight == .* of item '.*', must be a finite number > 0 \(1 such\)$"):
        made(name).fit(replace(log, weight=weights))


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_an_item_that_nobody_bought_is_answered_last(name, log):
    wider = replace(log, items=np.append("item-", log.items), item=log.item + np.int32(1))  # ties would put it first
    answer = made(name).fit(wider).recommend_for(wider, len(wider.items), items=EVERYTHING, as_of=AS_OF)
    assert {ids[-1] for ids in answer.items} == {"item-"}
    assert all(np.isfinite(scores).all() for scores in answer.scores)


@pytest.mark.parametrize("rule", ["allowed", "excluded", "excluded_each", "required_each"])
def test_a_filter_that_leaves_nothing_gives_an_empty_answer_per_customer(model, log, rule):
    none, each = log.items[:0], [log.items] * len(log.customers)
    rules = {"allowed": none, "excluded": log.items, "excluded_each": each, "required_each": [none] * len(each)}
    answer = model.recommend_for(log, 10, items=ItemFilter(**{rule: rules[rule]}), as_of=AS_OF)
    assert [len(ids) for ids in answer.items] == [0] * len(log.customers)
    assert model.reasons(log, answer, as_of=AS_OF) == [[]] * len(log.customers)


def test_one_history_is_answered_by_pruning_like_in_a_batch(log, monkeypatch):
    fitted, each = made("als").fit(log), [log.items[row % 9 :: 3] for row in range(len(log.customers))]
    batch = fitted.recommend_for(log, 30, items=ItemFilter(excluded_each=each), as_of=AS_OF)
    monkeypatch.setattr("training.recommenders.factor_scorer.SMALL", 0)
    for row in range(len(log.customers)):
        only = ItemFilter(excluded_each=[each[row]])
        alone = fitted.recommend_for(log.between(row, row + 1), 30, items=only, as_of=AS_OF)
        assert alone.items[0].tolist() == batch.items[row].tolist()
        np.testing.assert_allclose(alone.scores[0], batch.scores[row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", ["allowed", "excluded", "excluded_each", "required_each"])
@pytest.mark.parametrize(
    "limits", [{"FEW": 10**6}, {"LARGE": 0}, {"HEAD": 40}, {"HEAD": 40, "SPARED": 0}, {"HEAD": 10**6}]
)
def test_many_histories_are_answered_by_pruning_like_by_the_product(log, monkeypatch, rule, limits):
    fitted, every = made("als").fit(log), log.items[::3]
    each = [log.items[row % 9 :: 3] for row in range(len(log.customers))]
    items = ItemFilter(**{rule: each if rule.endswith("_each") else every})
    batch = fitted.recommend_for(log, 30, items=items, as_of=AS_OF)
    for name, limit in {"SMALL": 0, **limits}.items():
        monkeypatch.setattr(f"training.recommenders.factor_scorer.{name}", limit)
    monkeypatch.setattr(Als, "scores", None)  # the product is not asked for
    pruned = fitted.recommend_for(log, 30, items=items, as_of=AS_OF)
    assert [ids.tolist() for ids in pruned.items] == [ids.tolist() for ids in batch.items]
    np.testing.assert_allclose(np.concatenate(pruned.scores), np.concatenate(batch.scores), rtol=1e-4, atol=1e-6)
