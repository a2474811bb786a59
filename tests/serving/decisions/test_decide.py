"""Decide: what a slot shows the customers of the small shop, and what its one row holds.

`hero` has a content for tea drinkers (they ordered green tea), one for those of Lyon with an offer, one for the rest;
its holdout is a fifth. c000 agreed, c055 did not.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chisquare

from features.codes import load_codes
from features.consent import Basis, grant, withdraw
from features.events import IDENTIFIED, VIEWED, Event
from features.history import record
from features.offers import Offer
from features.workspace import OfferSettings, Workspace
from serving.content.elements import held_out
from serving.decisions.assign import assign
from serving.decisions.decide import decide
from serving.decisions.explain import explain
from serving.decisions.journal import find
from serving.decisions.limits import UsedUpError, take
from serving.decisions.requests import AssignRequest, DecideRequest
from serving.decisions.state import State
from serving.experiments.definitions import Experiment, Shows
from serving.http.answers import Asked, decided

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HERO = """\
kind: landing
holdout: 0.2
items: {k: 2}
elements:
  headline: {default: Welcome}
  text: {default: "{% for item in items %}{{ item.name }} {% endfor %}"}
  image: {default: shop.jpg}
contents:
  - key: tea
    audience: {event: Order Completed, where: {item: green}}
    items: {k: 2, include_bought: never}
    elements:
      headline:
        - {key: leaf, text: A new leaf, share: 0.5}
        - {key: name, text: "{{ traits.first }}, a new leaf", share: 0.3}
      text:
        - {key: first, text: "Try {{ items[0].name }}", share: 0.6}
      image:
        - {key: item, text: "{{ items[0].image }}"}
  - key: lyon
    audience: {trait: city, is: Lyon}
    offers: [coupon, mail]
    elements:
      headline: [{key: code, text: "{% if offer.code %}Take {{ offer.code }}{% else %}Bonjour{% endif %}"}]
  - key: rest
    items: {k: 1}
    elements:
      headline: [{key: hello, text: "{{ traits.last_source | default: 'no source' }} {{ stage | default: '-' }}"}]
"""
LETTER = """\
kind: email
purpose: marketing
elements: {subject: {default: News}}
contents: [{key: all, elements: {subject: [{key: own, text: For you}]}}]
"""
BESIDE = """\
kind: web
elements: {head: {default: More}}
contents:
  - {key: item, audience: {trait: likes, is: similar}, items: {route: similar, k: 2}}
  - {key: cart, items: {route: basket, k: 2}}
"""


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small shop with these slots, to write into."""
    folder: Path = tmp_path_factory.mktemp("slots") / "shop"
    shutil.copytree(untouched.folder, folder)
    shutil.rmtree(folder / "slots")
    (folder / "slots").mkdir()
    for name, text in {"hero": HERO, "letter": LETTER, "beside": BESIDE}.items():
        (folder / "slots" / f"{name}.yaml").write_text(text)
    return Workspace.open(folder)


@pytest.fixture
def state(own: Workspace) -> Iterator[State]:
    state = State.of(own)
    yield state
    assert state.journal is not None
    state.journal.close()


def ask(state: State, slot: str, customer: str | None = None, **said: Any) -> tuple[Any, dict[str, Any]]:
    return decide(state, DecideRequest(slot=slot, customer=customer, **said), "d", NOW)


def seen(customer: str, *, held: bool = False) -> str:
    """An id that begins so, and is held out of `hero` or not."""
    return next(one for n in range(1000) if held_out("hero", 0.2, one := f"{customer}-{n}") is held)


def agrees(state: State, *customers: str, purpose: str = "personalisation") -> None:
    assert state.ledger is not None
    grant(state.ledger, customers, Basis((purpose,), "a box"), source="banner", time=datetime(2026, 1, 1))


def happens(state: State, name: str, minute: int = 0, **said: Any) -> None:
    assert state.ledger is not None
    time = NOW - timedelta(hours=1) + timedelta(minutes=minute)
    said["properties"] = json.dumps(said.pop("properties")) if "properties" in said else None
    record(state.ledger, [Event("sdk", f"{name}-{minute}-{sorted(said.items())}", name, time, time, **said)])


def buyers(*, held: bool) -> list[str]:
    """Tea drinkers who bought green tea, agreed, and are held out or not."""
    return [one for n in range(0, 50, 2) if n % 3 != 1 and held_out("hero", 0.2, one := f"c{n:03}") is held]


def test_the_first_audience_that_holds_decides_and_the_row_says_all_of_it(state: State) -> None:
    customer = buyers(held=False)[0]
    decision, answer = ask(state, "hero", customer)
    assert (answer["content"], answer["held_out"]) == ("tea", False)
    assert answer["reason"].startswith("tea: 1 x Order Completed where item 'green' is at least 1")
    assert [one["item"] for one in answer["items"]] == [
        key.removeprefix("item:") for key in decision.chosen if key.startswith("item:")
    ]
    variants = {name: one["variant"] for name, one in answer["elements"].items()}
    assert set(decision.chosen) >= {"content:tea", *(f"{name}:{variant}" for name, variant in variants.items())}
    chances = {option.key: option.probability for option in decision.options}
    assert chances["content:tea"] == pytest.approx(0.8)
    assert chances["content:default"] == pytest.approx(0.2)
    parts = [0.8, *(one["probability"] for one in answer["elements"].values())]
    assert decision.probability == answer["probability"] == pytest.approx(math.prod(parts))
    assert decision.policy == "content"
    assert all(option.score is not None for option in decision.options if option.key.startswith("item:"))


def test_a_text_that_cannot_be_rendered_gives_the_default_of_its_element_and_says_so(state: State) -> None:
    _, answer = ask(state, "hero", buyers(held=False)[0])
    assert answer["elements"]["image"]["text"] == "shop.jpg"  # no item has an image
    assert "image:item: items.image is undefined; its default is shown" in answer["fallback"]
    found = [ask(state, "hero", one)[1] for one in buyers(held=False)]
    named = next(one for one in found if one["elements"]["headline"]["variant"] == "name")
    assert named["elements"]["headline"]["text"] == "Welcome"
    assert "headline:name: traits.first is undefined" in named["fallback"]


def test_the_defaults_of_a_content_with_items_speak_of_them(state: State) -> None:
    found = [ask(state, "hero", one)[1] for one in buyers(held=False)]
    default = next(one for one in found if one["elements"]["text"]["variant"] == "default")
    assert default["elements"]["text"]["text"].split() == " ".join(one["name"] for one in default["items"]).split()


def test_who_is_held_out_sees_the_default_whatever_they_are(state: State) -> None:
    decision, answer = ask(state, "hero", buyers(held=True)[0])
    assert (answer["content"], answer["held_out"], answer["fallback"]) == ("default", True, None)
    assert answer["elements"]["headline"] == {"text": "Welcome", "variant": "default", "probability": 1.0}
    assert answer["probability"] == pytest.approx(0.2)
    assert answer["reason"].startswith("kept out to measure tea: ")
    assert decision.context["held_out_of"] == "tea"
    assert [one["reason"]["kind"] for one in answer["items"]] == ["popular"] * 2


@pytest.mark.parametrize(
    ("customer", "said"),
    [
        ("c055", "the customer has not agreed to personalisation"),
        ("never-heard-of", "the customer has not agreed to personalisation"),
        (None, "no customer and no anonymous id were given"),
    ],
)
def test_whom_nothing_may_be_asked_gets_the_default_and_is_told(state: State, customer: str | None, said: str) -> None:
    decision, answer = ask(state, "hero", customer)
    assert (answer["content"], answer["probability"]) == ("default", 1.0)
    assert answer["fallback"] == f"the default content: {said}"
    assert decision.context["given"] == {}
    assert len(answer["items"]) == 2


def test_consent_is_that_of_the_slots_purpose_and_ends_with_it(state: State) -> None:
    assert ask(state, "letter", "c002")[1]["content"] == "default"
    agrees(state, "c002", purpose="marketing")
    assert ask(state, "letter", "c002")[1]["elements"]["subject"]["text"] == "For you"
    assert state.ledger is not None
    withdraw(state.ledger, "c002", ["marketing"], source="page", time=datetime(2026, 2, 1))
    assert "has not agreed to marketing" in ask(state, "letter", "c002")[1]["fallback"]


def test_what_just_happened_is_in_the_conditions_and_in_the_texts(state: State) -> None:
    customer = seen("new")
    agrees(state, customer)
    assert ask(state, "hero", customer)[1]["elements"]["headline"]["text"] == "no source -"
    happens(state, VIEWED, customer=customer, item="mocha", properties={"context": {"campaign": {"source": "mail"}}})
    decision, answer = ask(state, "hero", customer)
    assert answer["elements"]["headline"]["text"] == "mail -"
    assert decision.context["given"] == {"traits": {"last_source": "mail"}}
    happens(state, IDENTIFIED, 1, customer=customer, properties={"city": "Lyon"})
    assert ask(state, "hero", customer)[1]["content"] == "lyon"
    assert ask(state, "hero", buyers(held=False)[0])[1]["content"] == "tea"  # from the history, with its stage
    assert "hero/" not in str(answer)


def test_a_visitor_is_known_by_the_device_alone(state: State) -> None:
    device = seen("device")
    assert "the visitor has not agreed" in ask(state, "hero", anonymous=device)[1]["fallback"]
    agrees(state, device)
    happens(state, VIEWED, 2, anonymous=device, item="mocha", properties={"context": {"campaign": {"source": "ad"}}})
    decision, answer = ask(state, "hero", anonymous=device)
    assert answer["elements"]["headline"]["text"] == "ad -"
    assert decision.customer == device  # an erasure of the device finds it
    assert ask(state, "hero", anonymous=device)[1]["elements"] == answer["elements"]


def test_a_merged_customer_sees_the_same_whichever_id_is_given(state: State) -> None:
    customer = seen("merged")
    happens(state, "Alias", 3, customer=customer, properties={"previous_id": f"{customer}-before"})
    agrees(state, customer, f"{customer}-before")
    one, other = (ask(state, "hero", who)[1]["elements"] for who in (customer, f"{customer}-before"))
    assert one == other


def test_items_of_the_page_are_asked_for_and_said_where_they_are_lacking(state: State) -> None:
    agrees(state, "shopper")
    assert [key for key in ask(state, "beside", "shopper", cart=["mocha"])[0].chosen if key.startswith("item:")]
    assert "item:mocha" not in ask(state, "beside", "shopper", cart=["mocha"])[0].chosen
    assert "no cart was given for basket items" in ask(state, "beside", "shopper")[1]["fallback"]
    happens(state, IDENTIFIED, 4, customer="shopper", properties={"likes": "similar"})
    assert [one["item"] for one in ask(state, "beside", "shopper", item="green")[1]["items"]] != ["green"]


def test_content_is_shown_with_what_is_counted_where_there_is_no_release(state: State) -> None:
    bare = replace(state, recommender=None, uplift=None)
    _, answer = ask(bare, "hero", buyers(held=False)[0])
    assert (answer["content"], answer["model"]) == ("tea", None)
    assert {one["step"] for one in answer["items"]} == {"popular"}
    assert "no recommender is released; run `attune promote recommender latest`: what is popular" in answer["fallback"]


def lyonnais(state: State, count: int) -> list[str]:
    customers = [one for n in range(3 * count) if not held_out("hero", 0.2, one := f"lyon-{n}")][:count]
    agrees(state, *customers)
    for number, customer in enumerate(customers):
        happens(state, IDENTIFIED, number % 50, customer=customer, properties={"city": "Lyon"})
    return customers


def test_an_offer_is_drawn_with_its_probability_which_is_part_of_the_whole(state: State) -> None:
    (customer,) = lyonnais(state, 1)
    settings = state.settings.model_copy(update={"offers": OfferSettings(exploration=0.5, holdout=0)})
    drawn = [
        decide(replace(state, settings=settings), DecideRequest(slot="hero", customer=customer), f"d{n}", NOW)[0]
        for n in range(600)
    ]
    chances = {one.key: one.probability or 0.0 for one in drawn[0].options if one.key.startswith("offer:")}
    assert set(chances) == {"offer:nothing", "offer:coupon", "offer:mail"}
    counts = [sum(key in one.chosen for one in drawn) for key in chances]
    assert chisquare(counts, [chance * 600 for chance in chances.values()]).pvalue > 0.001
    for one in drawn[:20]:
        (key,) = (key for key in one.chosen if key.startswith("offer:"))
        assert one.probability == pytest.approx(0.8 * chances[key])


def coupons(state: State, own: Workspace, *codes: str) -> State:
    """The state, as if `coupon` were the best for everybody and had these codes too."""
    (own.folder / "codes").mkdir(exist_ok=True)
    (own.folder / "codes" / "coupon.txt").write_text("\n".join(codes))
    offers = (Offer(key="coupon", name="10 % off", value=500.0, codes="codes/coupon.txt"), state.offers[1])
    assert state.ledger is not None
    load_codes(state.ledger, own.folder, offers)
    settings = state.settings.model_copy(update={"offers": OfferSettings(policy="greedy", holdout=0)})
    return replace(state, offers=offers, settings=settings)


def hero(state: State, customer: str) -> dict[str, Any]:
    return decided(state, Asked("decide", decide, DecideRequest(slot="hero", customer=customer)), NOW)


def test_codes_are_in_the_text_and_never_given_twice(state: State, own: Workspace) -> None:
    rich, customers = coupons(state, own, "one", "two", "three", "four"), lyonnais(state, 6)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda customer: hero(rich, customer), customers))
    given = [one for one in answers if one["offer"] == "coupon"]
    assert sorted(one["code"] for one in given) == ["four", "one", "three", "two"]
    assert [one["elements"]["headline"]["text"] for one in given] == [f"Take {one['code']}" for one in given]
    assert all("no code is left" in one["fallback"] for one in answers if one["offer"] != "coupon")
    again = next(customer for customer, one in zip(customers, answers, strict=True) if one is given[0])
    assert hero(rich, again)["code"] == given[0]["code"]


def test_a_code_that_was_given_to_another_meanwhile_is_in_no_text(state: State, own: Workspace) -> None:
    first, second = lyonnais(state, 8)[6:]
    rich = coupons(state, own, "left", "right")
    stale, _ = decide(rich, DecideRequest(slot="hero", customer=first), "d", NOW)
    assert hero(rich, second)["code"] == stale.context["code"]
    assert rich.ledger is not None
    with pytest.raises(UsedUpError, match="to another meanwhile"), rich.ledger.write() as connection:
        take(connection, rich, stale)
    assert hero(rich, first)["code"] in {"left", "right"} - {stale.context["code"]}


def test_the_row_is_journalled_explained_and_kept_for_a_retry(state: State, own: Workspace) -> None:
    body = DecideRequest(slot="hero", customer=buyers(held=False)[0])
    first = decided(state, Asked("decide", decide, body, "k1"), NOW)
    assert decided(state, Asked("decide", decide, body, "k1"), NOW + timedelta(days=1)) == first
    assert state.ledger is not None
    row = find(own.state / "journal", state.ledger, first["decision_id"])
    assert row is not None
    assert (row["kind"], row["probability"], row["context"]["slot"]) == ("decide", first["probability"], "hero")
    lines = "\n".join(explain(own, first["decision_id"]))
    assert "content:tea" in lines
    assert "headline:" in lines


def test_a_decision_is_drawn_again_from_its_id(state: State) -> None:
    one, other = (ask(state, "hero", buyers(held=False)[1]) for _ in range(2))
    assert one == other


def test_an_experiment_of_a_slot_is_not_assigned_beside_it(state: State) -> None:
    experiment = Experiment(key="worth", arms={"held_out": 0.2, "shown": 0.8}, shows=Shows(slot="hero"))
    with pytest.raises(ValueError, match="is drawn by the slot 'hero'; POST /v1/decide shows it"):
        assign(replace(state, experiments={"worth": experiment}), "worth", AssignRequest(customer="c000"), "d", NOW)
