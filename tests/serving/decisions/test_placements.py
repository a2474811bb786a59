"""What a request for items may say, and what its placement says for it, in the small shop: teas, coffees, neighbours.

c000, c002, ... bought teas, c001, c003, ... coffees; the catalogue has all of them, `oolong` is out of stock.
"""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.assignment import bucket
from features.slots import Wanted
from features.workspace import Workspace
from serving.decisions.recommend import basket, light, recommend, similar
from serving.decisions.requests import BasketRequest, DecideRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from serving.decisions.wanted import items_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEAS, COFFEES = {"black", "green", "white"}, {"java", "mocha", "robusta"}
CATALOG = "item,name,category,price,stock\n" + "".join(
    f"{item},{item.title()},{category},{price},{stock}\n"
    for item, category, price, stock in [
        ("black", "tea", 2, ""), ("green", "tea", 4, ""), ("oolong", "tea", 5, 0), ("white", "tea", 9, ""),
        ("java", "coffee", 3, ""), ("mocha", "coffee", 6, 9), ("robusta", "coffee", 8, ""), ("cup", "kitchen", 7, 3),
    ]
)  # fmt: skip
PLACEMENTS = """\
placements:
  home: {k: 2, filter: {item: price, at_most: 6}, exclude: [black], include_bought: never}
  page: {k: 3, steps: [similar, popular-in-category]}
  visit: {steps: [session]}
  cheap: {k: 3, boost: [{where: {item: price, at_most: 3}, by: 3}], include_bought: mixed}
  promoted: {k: 3, pinned: [{key: cups, items: [oolong, cup], positions: [2], share: 0.5}]}
  best-coffee: {k: 2, pinned: [{key: coffee, where: {item: category, is: coffee}, positions: [1]}]}
"""


@pytest.fixture(scope="module")
def home(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("placed") / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "catalog.csv").write_text(CATALOG)
    (folder / "placements.yaml").write_text(PLACEMENTS)
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def state(home: Workspace) -> State:
    return State.read(home)


def ask(state: State, decision_id: str = "d", **body: Any) -> tuple[Any, dict[str, Any]]:
    return recommend(state, RecommendRequest(**body), decision_id, NOW)


def items(state: State, **body: Any) -> list[str]:
    return [one["item"] for one in ask(state, **body)[1]["items"]]


def steps(answer: dict[str, Any]) -> dict[str, str]:
    return {one["item"]: one["step"] for one in answer["items"]}


def test_a_placement_says_what_the_request_does_not(state: State) -> None:
    decision, answer = ask(state, customer="c001", placement="home")
    assert [one["item"] for one in answer["items"]] == items(
        state, customer="c001", k=2, filter={"item": "price", "at_most": 6}, exclude=["black"], include_bought="never"
    )
    said = decision.context
    assert (said["placement"], said["k"], said["include_bought"], said["exclude"]) == ("home", 2, "never", ("black",))
    assert len(items(state, customer="c001", placement="home", k=1)) == 1


def test_what_the_request_says_goes_before_it_nothing_too(state: State) -> None:
    assert "black" in items(state, customer="c000", placement="home", exclude=[], k=9)
    assert "white" in items(state, customer="c001", placement="home", filter=None, k=9)


@pytest.mark.parametrize(("key", "near"), [("hoem", "did you mean 'home'"), ("zzz", "known are ['home'")])
def test_an_unknown_placement_is_refused_by_name(state: State, key: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"^placement == '{key}', there is none in placements.yaml; ") as error:
        ask(state, placement=key)
    assert near in str(error.value)
    with pytest.raises(ValueError, match="placement == "):
        basket(state, BasketRequest(cart=["green"], placement=key), "d", NOW)
    with pytest.raises(ValueError, match="placement == "):
        similar(state, SimilarRequest(item="green", placement=key), "d", NOW)


def test_a_slot_takes_what_it_does_not_say_from_its_placement(state: State) -> None:
    asked = DecideRequest(slot="any", customer="c001", item="green", cart=["java"])
    for wanted, k in ((Wanted(placement="home"), 2), (Wanted(placement="home", k=1), 1)):
        for route in ("recommend", "similar", "basket"):
            one = wanted.model_copy(update={"route": route})
            part = items_of(state, one, asked, "d", NOW, default=False)
            assert part.decision is not None
            assert (len(part.chosen), part.decision.context["placement"]) == (k, "home")
            assert "item:black" not in part.chosen


def test_baskets_and_similar_items_take_what_concerns_them(state: State) -> None:
    answer = basket(state, BasketRequest(cart=["green"], placement="home"), "d", NOW)[1]
    assert [one["item"] for one in answer["items"]] == ["mocha", "java"] or len(answer["items"]) == 2
    assert not {one["item"] for one in answer["items"]} & {"green", "black", "white", "robusta", "oolong"}
    assert len(similar(state, SimilarRequest(item="green", placement="page"), "d", NOW)[1]["items"]) == 3


def test_each_item_says_which_step_found_it(state: State) -> None:
    decision, answer = ask(state, customer="c000", k=9)
    assert {steps(answer)[one] for one in TEAS & set(steps(answer))} == {"personal"}
    assert {steps(answer)[one] for one in COFFEES} == {"popular"}
    assert decision.context["steps"] == {"personal": len(TEAS & set(steps(answer))), "popular": 3}
    assert answer["fallback"] is None
    assert set(steps(ask(state, customer="nobody")[1]).values()) == {"popular"}


def test_the_page_and_the_cart_are_not_recommended_and_say_what_goes_with_them(state: State) -> None:
    page = {"items": ["green"], "cart": ["java"], "device": "phone", "source": "mail"}
    decision, answer = ask(state, context=page, k=9)
    assert set(steps(answer)) == (TEAS | COFFEES) - {"green", "java"}
    assert set(steps(answer).values()) == {"session"}
    assert answer["fallback"] == "no customer and no history were given: what this visit says"
    assert decision.context["context"] == page
    assert steps(ask(state, context=page, k=9, placement="page")[1])["black"] == "similar"


def test_a_page_of_an_item_that_nothing_goes_with_is_answered_in_its_category(state: State) -> None:
    page = {"items": ["oolong-of-last-year"]}
    assert ask(state, context=page, placement="page")[1]["fallback"] is None
    bare = replace(state, catalog=replace(state.catalog, frame=state.catalog.frame.rename(index={"cup": "thing"})))
    frame = bare.catalog.frame.assign(category=bare.catalog.frame["category"].replace("kitchen", "coffee"))
    answer = ask(
        replace(state, catalog=replace(state.catalog, frame=frame)), context={"items": ["thing"]}, placement="page"
    )[1]
    assert steps(answer) == dict.fromkeys(sorted(COFFEES, key=list(steps(answer)).index), "popular-in-category")


def test_a_chain_without_a_page_says_so_and_is_popular(state: State) -> None:
    answer = ask(state, placement="page", customer="c000")[1]
    assert answer["fallback"] == "no items on the page or in the cart were given: what is popular"
    assert set(steps(answer).values()) == {"popular"}


def test_a_visitor_who_did_not_agree_is_answered_by_the_page_alone(state: State) -> None:
    answer = ask(state, anonymous="device", context={"items": ["mocha"]}, k=2)[1]
    assert set(steps(answer)) <= COFFEES
    assert answer["fallback"] == "the visitor has not agreed to personalisation: what this visit says"


def test_a_boost_moves_items_by_their_place_and_says_so(state: State) -> None:
    plain, moved = (list(steps(ask(state, k=6, **more)[1])) for more in ({}, {"placement": "cheap"}))
    by = dict.fromkeys(plain, 1) | {"black": 3, "java": 3}
    assert moved == sorted(plain, key=lambda one: -by[one] * (1 - plain.index(one) / 6))
    assert moved != plain
    for one in ask(state, k=6, placement="cheap")[1]["items"]:
        assert one["reason"].get("boosted", 1) == by[one["item"]]
        assert ("put forward" in one["reason"]["text"]) == (by[one["item"]] == 3)
    dear = [{"where": {"item": "price", "at_least": 8}, "by": 0.01}]
    assert set(items(state, k=6, boost=dear)[-2:]) == {"white", "robusta"}


def test_a_boost_leaves_what_the_model_has_no_opinion_on_behind(state: State) -> None:
    found = items(state, customer="c000", k=9, boost=[{"where": {"item": "category", "is": "coffee"}, "by": 100}])
    assert set(found[:-3]) <= TEAS
    assert set(found[-3:]) == COFFEES


def test_a_boost_or_a_promotion_by_what_the_catalogue_does_not_have_is_refused(state: State) -> None:
    red = {"item": "colour", "is": "red"}
    for asked in ({"boost": [{"where": red, "by": 2.0}]}, {"pinned": [{"key": "k", "where": red}]}):
        with pytest.raises(ValueError, match="the catalogue has no attribute 'colour'"):
            ask(state, **asked)
        with pytest.raises(ValueError, match="the catalogue has no attribute 'colour'"):
            similar(state, SimilarRequest(item="green", **asked), "d", NOW)


def test_a_boost_never_brings_what_is_not_allowed(state: State) -> None:
    wanted = [{"where": {"item": "item", "in": ["oolong", "green"]}, "by": 100}]
    assert not {"oolong", "green"} & set(items(state, customer="c001", k=9, boost=wanted, exclude=["green"]))


def test_a_promotion_is_shown_to_its_share_with_the_probability_of_what_was_shown(state: State) -> None:
    seen = 0
    for number in range(60):
        customer = f"c{number:03}"
        decision, answer = ask(state, customer=customer, placement="promoted")
        drawn = bucket("pinned:cups", customer) < 0.5
        names = [one["item"] for one in answer["items"]]
        assert (names[1] == "cup") == drawn  # oolong is out of stock, so the second of them
        assert decision.probability == answer["probability"] == 0.5
        assert decision.context["pinned"] == {"cups": drawn}
        if drawn:
            assert answer["items"][1]["reason"] == {
                "kind": "pinned",
                "text": "promoted by the shop",
                "cites": [],
                "pinned": "cups",
            }
            assert answer["items"][1]["step"] == "pinned"
        seen += drawn
        assert len(set(names)) == 3
        assert [one for one in names if one != "cup"] == items(state, customer=customer, k=3)[: 3 - drawn]
    assert 0 < seen < 60


def test_filters_stock_and_the_page_hold_for_promotions_too(state: State) -> None:
    told = [{"key": "k", "items": ["oolong", "cup", "no such item"], "positions": [1, 2, 3]}]
    assert items(state, customer="c000", k=2, pinned=told)[0] == "cup"
    for more in ({"exclude": ["cup"]}, {"filter": {"item": "price", "at_most": 6}}, {"context": {"cart": ["cup"]}}):
        decision, answer = ask(state, customer="c000", k=4, pinned=told, **more)
        assert not {"oolong", "cup", "no such item"} & set(steps(answer))
        assert (decision.probability, decision.context["pinned"]) == (1.0, {"k": False})
    only = items(state, customer="c000", pinned=told, include_bought="only", k=9)
    assert set(only) <= TEAS


def test_the_best_of_a_condition_is_promoted_for_each_customer(state: State) -> None:
    answer = ask(state, customer="c000", placement="best-coffee")[1]
    assert answer["items"][0]["item"] in COFFEES
    assert answer["items"][0]["step"] == "pinned"
    mine = ask(state, customer="c001", placement="best-coffee")[1]["items"][0]["item"]
    assert mine == items(state, customer="c001", k=1, filter={"item": "category", "is": "coffee"})[0]


def test_nobody_in_particular_draws_by_the_decision(state: State) -> None:
    shown = [ask(state, f"d{number}", placement="promoted")[0].context["pinned"]["cups"] for number in range(60)]
    assert 10 < sum(shown) < 50
    assert len({ask(state, "d1", placement="promoted")[0].chosen for _ in range(3)}) == 1


def test_a_release_that_is_missing_or_refused_leaves_what_is_counted(state: State) -> None:
    bare = replace(state, recommender=None)
    decision, answer = ask(bare, customer="c000", k=9, exclude=["green"])
    assert (decision.model, answer["model_version"]) == (None, None)
    assert answer["fallback"] == "no recommender is released; run `attune promote recommender latest`: what is popular"
    assert set(steps(answer)) <= {*TEAS, *COFFEES, "cup"} - {"green"}
    refused = replace(bare, refused={"recommender": "model.npz: checksum"})
    assert "the recommender is refused (model.npz: checksum): what is popular" in str(ask(refused)[1]["fallback"])
    for told in (
        basket(bare, BasketRequest(cart=["green"]), "d", NOW)[1],
        similar(bare, SimilarRequest(item="green"), "d", NOW)[1],
    ):
        assert "no recommender is released" in told["fallback"]
        assert {one["step"] for one in told["items"]} == {"popular"}
        assert "green" not in {one["item"] for one in told["items"]}


def test_what_was_bought_stays_out_without_a_model_where_that_was_asked(home: Workspace, state: State) -> None:
    bare = State.rules(home)
    answer = ask(bare, history=["green", "java"], include_bought="never", k=9)[1]
    assert not {"green", "java", "oolong"} & set(steps(answer))
    assert {one["item"] for one in answer["items"] if one["reason"]["kind"] == "popular"} == (TEAS | COFFEES) - {
        "green",
        "java",
    }
    assert answer["items"][-1]["item"] == "cup"  # nobody bought it: the catalogue has it
    assert answer["items"][-1]["reason"]["text"] == "in the shop"
    assert set(items(bare, history=["green", "java"], include_bought="only")) == {"green", "java"}


def test_where_nothing_is_known_the_answer_is_empty_and_says_why(tmp_path: Path) -> None:
    from features.workspace import create

    answer = ask(State.rules(create(tmp_path / "shop")), customer="c000")[1]
    assert (answer["items"], answer["reason"]) == ([], "no item is known: import a log or a catalogue")
    assert "no recommender is released" in answer["fallback"]


def test_a_placement_of_plain_items_is_as_light_as_a_request(state: State) -> None:
    class Fast:
        quick = True

    fast = replace(state, recommender=replace(state.recommender, recommender=Fast()))
    ask(state, placement="home")  # its filter is known from now on
    assert light(fast, RecommendRequest(placement="home"))
    for heavy in ({"placement": "promoted"}, {"placement": "hoem"}, {"context": {"items": ["green"]}}):
        assert not light(fast, RecommendRequest(**heavy))


def test_a_wrong_placement_stops_the_workspace_from_being_read(home: Workspace, tmp_path: Path) -> None:
    shutil.copytree(home.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("ledger.db-*"))
    file = tmp_path / "shop" / "placements.yaml"
    before = Workspace.open(tmp_path / "shop").hash
    file.write_text("placements: {home: {filter: {item: colour, is: red}}}")
    with pytest.raises(ValueError, match="placement 'home': the catalogue has no attribute 'colour'"):
        State.rules(Workspace.open(tmp_path / "shop"))
    assert Workspace.open(tmp_path / "shop").hash != before
