"""What is recommended over HTTP, in a kitchen shop with goods that are bought again.

Everybody bought tea every ten days and a kettle once; the even customers honey every ten days, the odd ones jam. Ten
customers bought a mug. c000 to c189 agreed to personalisation, the others did not.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, VIEWED, Event, Events
from features.history import append
from features.interactions import Interactions
from features.ledger import Ledger
from features.workspace import InteractionSettings, Workspace, create
from serving.decisions.journal import find
from training.recommenders.neighbours import Neighbours
from training.recommenders.repeat import Repeat
from training.release import point, save_model, write_release

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
CUSTOMERS = [f"c{number:03}" for number in range(200)]
EVERYTHING = {"honey", "jam", "kettle", "mug", "spoon", "tea"}
CATALOG = "item,name,category,price,stock\ntea,Green tea,tea,4.0,\nspoon,Spoon,kitchen,2.0,5\n"


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace of the docstring, with a release of neighbours."""
    return opened(tmp_path_factory.mktemp("kitchen") / "shop", Neighbours())


def opened(folder: Path, model: Neighbours | Repeat) -> Workspace:
    """The workspace of the docstring, with a release of this model."""
    workspace = create(folder)
    (workspace.folder / "catalog.csv").write_text(CATALOG)
    workspace = Workspace.open(workspace.folder)
    rows = [row for number, customer in enumerate(CUSTOMERS) for row in _did(number, customer)]
    log = pa.Table.from_pylist(rows, schema=SCHEMA)
    append(workspace, log)
    grant(Ledger.at(workspace.ledger), CUSTOMERS[:190], Basis(("personalisation",), "a box"), source="t", time=START)
    as_of = START + timedelta(days=30)
    interactions = Interactions.build(Events.of(log), as_of, InteractionSettings())
    interactions.save(workspace.runs / "r1")
    folder = workspace.runs / "r1" / "registered"
    save_model(model.fit(interactions), folder, {"kind": "recommender", "name": model.name, "as_of": as_of})
    write_release(workspace, folder, version="1", run_id="r1", facts={})
    point(workspace, "recommender", "1")
    return workspace


@pytest.fixture(scope="module")
def repeating(
    tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., AbstractContextManager[httpx.Client]]
) -> Iterator[httpx.Client]:
    """A service of the repeat model, which knows what is due and not what is alike."""
    with serving(opened(tmp_path_factory.mktemp("repeating") / "shop", Repeat())) as client:
        yield client


@pytest.fixture(scope="module")
def service(kitchen: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serving(kitchen) as client:
        yield client


def _did(number: int, customer: str) -> Iterator[dict[str, object]]:
    for day in (1, 11, 21):
        yield _event(customer, ORDERED, "tea", day)
        yield _event(customer, ORDERED, "jam" if number % 2 else "honey", day)
    yield _event(customer, ORDERED, "kettle", 2)
    if number < 10:
        yield _event(customer, ORDERED, "mug", 3)
    if number > 100:
        yield _event(customer, VIEWED, "spoon", 4)


def _event(customer: str, name: str, item: str, day: int) -> dict[str, object]:
    moment, key = START + timedelta(days=day), f"{customer}-{name}-{item}-{day}"
    facts = {"source": "test", "message_id": key, "name": name, "time": moment, "received_at": moment, "live": False}
    bought = {"quantity": 1.0, "price": 5.0, "order_id": key} if name == ORDERED else {}
    return Event(**facts, customer=customer, item=item, **bought).row()


def asked(service: httpx.Client, path: str = "", **body: object) -> dict[str, object]:
    answer = service.post(f"/v1/recommend{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def items(answer: dict[str, object]) -> list[str]:
    return [one["item"] for one in answer["items"]]


def refused(service: httpx.Client, path: str = "", **body: object) -> str:
    answer = service.post(f"/v1/recommend{path}", json=body)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["message"])


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("never", {"jam", "mug", "spoon"}),
        ("only", {"honey", "kettle", "tea"}),
        ("mixed", {"honey", "jam", "mug", "spoon", "tea"}),
        (None, {"honey", "jam", "mug", "spoon", "tea"}),  # what attune.yaml says
    ],
)
@pytest.mark.parametrize("who", [{"customer": "c012"}, {"history": ["tea", "kettle", "honey"]}])
def test_a_mode_says_what_of_the_bought_is_answered(
    service: httpx.Client, mode: str | None, shown: set[str], who: dict[str, object]
) -> None:
    assert set(items(asked(service, **who, k=100, include_bought=mode))) == shown


@pytest.mark.parametrize("mode", [True, False, "always"])
def test_what_is_no_mode_is_refused_by_name(service: httpx.Client, mode: object) -> None:
    message = refused(service, include_bought=mode)
    assert message.startswith("include_bought == ")
    assert "'never', 'only' or 'mixed'" in message


def test_what_was_only_viewed_is_not_bought(service: httpx.Client) -> None:
    assert "spoon" in items(asked(service, customer="c130", include_bought="never", k=100))
    viewed = [{"item": "tea", "event": VIEWED}]
    assert "tea" in items(asked(service, history=viewed, include_bought="never", k=100))
    assert items(asked(service, history=viewed, include_bought="only", k=100)) == []


@pytest.mark.parametrize("mode", ["never", "only", "mixed"])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    "who",
    [{"customer": "c012"}, {"customer": "nobody"}, {"customer": "c199"}, {"history": []}, {"history": ["tea"]}, {}],
)
def test_exactly_k_while_k_are_allowed_in_every_mode_and_fallback(
    service: httpx.Client, mode: str, k: int, who: dict[str, object]
) -> None:
    bought = {"c012": {"tea", "kettle", "honey"}}.get(str(who.get("customer")), set(who.get("history", ())))
    permitted = {"never": EVERYTHING - bought, "only": bought, "mixed": EVERYTHING - (bought & {"kettle"})}[mode]
    permitted = permitted - {"jam"}
    answered = items(asked(service, **who, k=k, include_bought=mode, exclude=["jam", "no such item"]))
    assert set(answered) <= permitted
    assert len(answered) == len(set(answered)) == min(k, len(permitted))


@pytest.mark.parametrize(
    ("history", "said"),
    [([], "the history is empty"), (["no such item"], "knows no item of the history"), (["tea"], None)],
)
def test_a_history_that_says_nothing_is_answered_by_what_is_popular_and_says_so(
    service: httpx.Client, history: list[str], said: str | None
) -> None:
    answer = asked(service, history=history)
    assert (said or "") in (answer["fallback"] or "")
    assert (answer["fallback"] is None) == (said is None)
    popular = {one["reason"]["kind"] for one in answer["items"]} == {"popular"}
    assert popular == (said is not None)


def test_the_events_and_times_of_a_history_weigh(service: httpx.Client) -> None:
    """Honey and jam have no buyer in common: what was bought lately decides between them."""

    def first(lately: str, long_ago: str) -> str:
        history = [{"item": lately, "time": "2026-01-30T00:00:00Z"}, {"item": long_ago, "time": "2020-01-30T00:00:00Z"}]
        answered = items(asked(service, history=history, include_bought="only"))
        assert set(answered) == {"honey", "jam"}
        return answered[0]

    assert (first("honey", "jam"), first("jam", "honey")) == ("honey", "jam")
    sent_back = [{"item": "tea"}, {"item": "tea", "event": "Order Refunded"}]
    assert "empty" in asked(service, history=sent_back)["fallback"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"item": "tea", "event": "Product Veiwed"}, "history.0.event == 'Product Veiwed'"),
        ({"item": "tea", "time": "yesterday"}, "history.0.time == 'yesterday'"),
        ({"item": "tea", "time": 7}, "history.0.time == 7"),
        ({"item": "tea", "time": "0001-01-01T00:00:00+14:00"}, "history.0.time == "),
        ({"item": ""}, "history.0.item == ''"),
        ({}, "history.0.item"),
        ({"item": "tea", "quantity": 2}, "unknown field 'history.0.quantity'"),
        (7, "history.0 == 7"),
    ],
)
def test_what_is_no_entry_of_a_history_is_refused_by_name(service: httpx.Client, entry: object, words: str) -> None:
    assert refused(service, history=[entry]).startswith(words)


def reasons(answer: dict[str, object]) -> dict[str, tuple[str, str]]:
    return {one["item"]: (one["reason"]["kind"], one["reason"]["text"]) for one in answer["items"]}


def test_a_reason_says_in_words_what_the_model_did(service: httpx.Client, repeating: httpx.Client) -> None:
    said = reasons(asked(service, history=["tea"], k=3))
    assert said["tea"] == ("buy_again", "you bought it before")
    assert said["kettle"] == ("customers_also", "customers who chose Green tea also chose it")
    viewed = reasons(asked(service, history=[{"item": "tea", "event": VIEWED}]))
    assert viewed["kettle"] == ("because_you_viewed", "because you looked at Green tea")
    assert reasons(asked(service))["kettle"] == ("popular", "popular now")
    bought = [{"item": "honey", "time": "2026-01-01T00:00:00Z"}, {"item": "tea", "time": "2100-01-01T00:00:00Z"}]
    due = reasons(asked(repeating, history=bought, include_bought="only"))
    assert due == {
        "honey": ("due_again", "due again: you bought it before"),
        "tea": ("buy_again", "you bought it before"),
    }


def test_variety_keeps_the_best_first_and_answers_k(service: httpx.Client) -> None:
    plain, varied = (items(asked(service, history=["tea"], variety=variety, k=3)) for variety in (0, 1.0))
    assert plain[0] == varied[0]
    assert len(set(varied)) == 3
    assert set(plain) != set(varied)
    assert items(asked(service, history=["tea"], k=3)) == plain  # what attune.yaml says
    assert len(items(asked(service, history=["tea"], k=100, variety=0.5))) == 6
    assert len(items(asked(service, variety=1, k=4))) == 4


@pytest.mark.parametrize("variety", [-0.1, 1.1, "much", True])
def test_what_is_no_variety_is_refused_by_name(service: httpx.Client, variety: object) -> None:
    assert refused(service, variety=variety).startswith("variety == ")


def test_a_basket_is_completed_by_others_and_says_by_what(service: httpx.Client) -> None:
    answer = asked(service, "/basket", cart=["honey", "mug"], k=100)
    assert set(items(answer)) == EVERYTHING - {"honey", "mug"}
    assert reasons(answer)["tea"][0] == "goes_with"
    assert set(reasons(answer)["tea"][1].removeprefix("goes with ").split(", ")) <= {"honey", "mug"}
    assert answer["fallback"] is None
    assert len(items(asked(service, "/basket", cart=["honey"], k=2, variety=0.5, exclude=["tea"]))) == 2


def test_what_is_known_of_a_customer_only_leaves_items_out_of_a_basket(service: httpx.Client) -> None:
    assert "kettle" in items(asked(service, "/basket", cart=["tea"], k=100))
    for who in ({"customer": "c014"}, {"history": ["kettle"]}):
        assert "kettle" not in items(asked(service, "/basket", cart=["tea"], k=100, include_bought="mixed", **who))
    assert "kettle" in items(asked(service, "/basket", cart=["tea"], k=100, customer="c199"))  # did not agree


@pytest.mark.parametrize(("cart", "model"), [(["no such item"], "service"), (["tea"], "repeating")])
def test_a_basket_that_nothing_goes_with_is_completed_by_what_is_popular_and_says_so(
    cart: list[str], model: str, request: pytest.FixtureRequest
) -> None:
    answer = asked(request.getfixturevalue(model), "/basket", cart=cart)
    assert "goes with the cart: what is popular" in str(answer["fallback"])
    assert {kind for kind, _ in reasons(answer).values()} == {"popular"}


@pytest.mark.parametrize("cart", [[], "tea", ["tea"] * 101, [""], [7]])
def test_what_is_no_cart_is_refused_by_name(service: httpx.Client, cart: object) -> None:
    assert refused(service, "/basket", cart=cart).startswith("cart")
    assert refused(service, "/basket").startswith("cart")


def first(service: httpx.Client, times: int, **body: object) -> list[str]:
    """The first item of so many answers to a customer, each asked after the journal has the one before."""
    found = []
    for _ in range(times):
        found += items(asked(service, k=1, **body))
        time.sleep(0.3)  # the journal commits in groups
    return found


def test_an_item_shown_ten_times_without_notice_makes_room(service: httpx.Client) -> None:
    shown = first(service, 11, customer="c020")
    assert len(set(shown[:10])) == 1
    assert shown[10] != shown[0]
    everything = items(asked(service, customer="c020", k=100))
    assert len(everything) == 5  # all but the kettle: none is lost, the tired one is last
    assert everything[-1] == shown[0]
    assert first(service, 1, customer="c022") == shown[:1]  # other customers are not tired of it
    noticed = [{"item": shown[0], "event": VIEWED, "time": "2100-01-01T00:00:00Z"}]
    assert everything[-1] != items(asked(service, customer="c020", history=noticed, k=100))[-1]
    basket = items(asked(service, "/basket", customer="c020", cart=["mug"], k=100))
    assert basket[-1] == shown[0]


def test_a_decision_says_what_the_customer_was_tired_of(service: httpx.Client, kitchen: Workspace) -> None:
    for _ in range(10):
        asked(service, customer="c024", k=1)
    time.sleep(1)
    answer = asked(service, customer="c024", k=1)
    row = find(kitchen.state / "journal", Ledger.at(kitchen.ledger), str(answer["decision_id"]))
    assert row is not None
    assert len(row["context"]["tired"]) == 1
    assert row["context"]["tired"] != row["chosen"]


def test_without_consent_nobody_looks_at_what_was_shown(service: httpx.Client) -> None:
    for _ in range(11):
        last = items(asked(service, customer="c198", k=2))
    time.sleep(1)
    assert items(asked(service, customer="c198", k=2)) == last
