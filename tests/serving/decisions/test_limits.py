"""What is limited is given out as often as there is of it, with a code of the customer's own where the offer has codes.

Everybody is best off with `coupon`; `mail` comes next where `coupon` is no option.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from features.codes import load_codes
from features.decisions import NOTHING, Option
from features.events import ORDERED, Event
from features.history import record
from features.ledger import Ledger
from features.offers import Offer
from features.spending import Spending, spending_of
from features.workspace import OfferSettings, Workspace
from serving.decisions.journal import Journal, find
from serving.decisions.offers import select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from serving.http import answers as http_answers
from serving.http.answers import Asked, decided

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OFFERS = (
    Offer(key="coupon", name="10 % off", value=20.0, cost=0.25),
    Offer(key="mail", name="A letter", value=-20.0),  # of which the model expects an effect just below 0
)
POOL = {"codes": "codes/coupon.txt"}


@pytest.fixture
def state(shop: Workspace, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """The shop's release, with a ledger of the test's own on each dialect, which may take its time."""
    monkeypatch.setattr(http_answers, "in_time", partial(http_answers.in_time, seconds=20.0))
    settings = shop.settings.model_copy(update={"offers": OfferSettings(policy="greedy", holdout=0)})
    ledger = Ledger.at(ledger_url)
    state = replace(State.read(shop), settings=settings, ledger=ledger, journal=Journal(tmp_path / "journal", ledger))
    yield state
    assert state.journal is not None
    state.journal.close()
    ledger.close()


def limited(state: State, folder: Path, codes: int = 0, **limits: object) -> State:
    """The state, as if `coupon` had these limits, and this many codes."""
    given: dict[str, Any] = {**OFFERS[0].model_dump(), **(POOL if codes else {}), **limits}
    offers = (Offer.model_validate(given), OFFERS[1])
    if codes:
        (folder / "codes").mkdir(exist_ok=True)
        (folder / "codes" / "coupon.txt").write_text("".join(f"code-{number}\n" for number in range(codes)))
        assert state.ledger is not None
        load_codes(state.ledger, folder, offers)
    return replace(state, offers=offers)


def ask(state: State, customer: str | None, key: str | None = None, days: float = 0) -> dict[str, Any]:
    asked = Asked("offer", select, OfferRequest(customer=customer, features={"tenure": 1.0}), key)
    return decided(state, asked, NOW + timedelta(days=days))


def row(state: State, answer: dict[str, Any], folder: Path) -> dict[str, Any]:
    assert state.ledger is not None
    found = find(folder / "journal", state.ledger, answer["decision_id"])
    assert found is not None
    return found


def spending(state: State) -> Spending:
    assert state.ledger is not None
    with state.ledger.read() as connection:
        return spending_of(connection, ["coupon"])["coupon"]


def reasons(answer: dict[str, Any], state: State, folder: Path) -> dict[str, str]:
    """Why options are not eligible, by the decision's row."""
    return {one["key"]: one["reason"] for one in row(state, answer, folder)["options"] if not one["eligible"]}


def test_each_customer_gets_a_code_of_their_own_in_answer_and_row(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=30)
    answers = {customer: ask(rules, customer) for customer in (f"n{number}" for number in range(30))}
    assert {answer["offer"] for answer in answers.values()} == {"coupon"}
    assert len({answer["code"] for answer in answers.values()} - {None}) == 30
    kept = row(rules, answers["n7"], tmp_path)
    assert (kept["customer"], kept["chosen"], kept["context"]["code"]) == ("n7", ["coupon"], answers["n7"]["code"])


def test_the_same_offer_again_brings_the_same_code_until_it_is_redeemed(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=2)
    codes = [ask(rules, "ann")["code"] for _ in range(3)]
    assert len(set(codes)) == 1
    assert rules.ledger is not None
    properties = f'{{"coupon": "{codes[0]}"}}'
    record(rules.ledger, [Event("app", "1", ORDERED, NOW, NOW, customer="ann", item="tea", properties=properties)])
    other = ask(rules, "ann")["code"]
    assert {codes[0], other} == {"code-0", "code-1"}
    assert ask(rules, "bob")["offer"] == "mail"


def test_a_retry_gets_the_same_code_and_is_one_contact(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=5)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(rules, "ann", key="order-17"), range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] is not None
    assert spending(rules) == Spending(1, 0, 0.25)


def test_an_empty_pool_is_said_and_the_customer_is_decided_all_the_same(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=1)
    assert ask(rules, "ann")["code"] == "code-0"
    answer = ask(rules, "bob")
    assert (answer["offer"], answer["code"], answer["probability"]) == ("mail", None, 1.0)
    assert answer["fallback"] == "no code is left for the offers ['coupon']: not considered"
    assert reasons(answer, rules, tmp_path) == {"coupon": "no code is left"}
    assert row(rules, answer, tmp_path)["fallback"] == answer["fallback"]
    assert ask(rules, "ann")["code"] == "code-0"


def test_a_code_that_returned_is_given_to_another_customer(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=1, codes_return_after_days=10)
    assert ask(rules, "ann")["code"] == "code-0"
    assert ask(rules, "bob", days=9)["offer"] == "mail"
    assert ask(rules, "bob", days=10)["code"] == "code-0"


@pytest.mark.parametrize(
    ("limits", "given", "why"),
    [
        ({"stock": 3}, 3, "the stock of 3 is used up"),
        ({"budget": 1.2}, 4, "the budget of 1.20 is used up"),
        ({"budget": 0}, 0, "the budget of 0.00 is used up"),
        ({"stock": 0}, 0, "the stock of 0 is used up"),
    ],
)
def test_a_limit_is_a_hard_stop_for_all_workers(
    state: State, tmp_path: Path, limits: dict[str, float], given: int, why: str
) -> None:
    rules = limited(state, tmp_path, **limits)
    assert rules.ledger is not None
    other = replace(rules, journal=Journal(tmp_path / "journal", rules.ledger))  # a second worker
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask((rules, other)[number % 2], f"n{number}"), range(24)))
    assert other.journal is not None
    other.journal.close()
    assert Counter(answer["offer"] for answer in answers) == Counter({"mail": 24 - given, "coupon": given})
    last = ask(rules, "last")
    assert last["fallback"] == f"{why} for the offers ['coupon']: not considered"
    assert reasons(last, rules, tmp_path) == {"coupon": why}
    assert spending(rules) == Spending(given, 0, pytest.approx(0.25 * given))


def test_redeemed_codes_use_a_budget_up(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=9, cost=0.0, redemption_cost=4.0, budget=8.0)
    assert rules.ledger is not None
    for number, customer in enumerate(("ann", "bob", "eve")):
        code = ask(rules, customer)["code"]
        assert (code is None) == (number == 2)
        event = Event("app", customer, ORDERED, NOW, NOW, item="tea", properties=f'{{"coupon": "{code}"}}')
        record(rules.ledger, [event])
    assert spending(rules) == Spending(2, 2, 8.0)


def test_without_a_customer_no_code_is_given(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=1)
    answer = ask(rules, None)
    assert answer["offer"] == "mail"
    assert reasons(answer, rules, tmp_path) == {"coupon": "a code needs a customer and none was given"}


def test_where_nothing_counts_a_limited_offer_is_no_option(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, stock=5)
    for ledger, why in (
        (None, "without a workspace nobody counts what is given out"),
        (Ledger(f"sqlite:///{tmp_path / 'absent' / 'ledger.db'}"), "what was given out cannot be read"),
    ):
        answer = ask(replace(rules, ledger=ledger), "ann")
        assert answer["offer"] == "mail"
        assert answer["fallback"] == f"{why} for the offers ['coupon']: not considered"


def test_a_decision_that_cannot_be_written_takes_nothing(state: State, tmp_path: Path) -> None:
    rules = limited(state, tmp_path, codes=1)
    decision, _ = select(rules, OfferRequest(customer="ann", features={"tenure": 1.0}), "x" * 200, NOW)
    assert rules.journal is not None
    assert rules.ledger is not None
    from serving.decisions.limits import take

    def broken(connection: Any) -> Any:
        take(connection, rules, decision)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        rules.journal.keep(decision.decision_id, broken)
    assert spending(rules) == Spending()
    assert ask(rules, "bob")["code"] == "code-0"


def test_an_offer_that_appeared_after_training_or_left_the_file_is_no_option(state: State, tmp_path: Path) -> None:
    new = Offer(key="new", name="-", value=99.0, stock=5, codes="codes/new.txt")
    appeared = replace(state, offers=(new, OFFERS[1]))  # `coupon`, which the model knows, is not in the file
    answer = ask(appeared, "ann")
    assert answer["offer"] == "mail"
    assert answer["fallback"] == "the model does not know the offers ['new']: not considered"
    only = ask(replace(state, offers=(new,)), "ann")
    assert (only["offer"], only["reason"]) == (None, "no offer is eligible")
    assert [one["key"] for one in row(state, only, tmp_path)["options"]] == [NOTHING, "new"]
    asked = OfferRequest(customer="ann", offers=["coupon"])
    with pytest.raises(ValueError, match=r"offers == \['coupon'\], the workspace has \['new', 'mail'\]"):
        select(appeared, asked, "d", NOW)


def test_an_offer_that_loses_with_every_sale_is_not_given(state: State) -> None:
    losing = tuple(offer.model_copy(update={"value": -20.0}) for offer in OFFERS)
    decision, answer = select(
        replace(state, offers=losing[:1]), OfferRequest(customer="ann", features={"tenure": 1.0}), "d", NOW
    )
    assert decision.chosen == (NOTHING,)
    assert answer["reason"] == "no offer is expected to earn more than it costs"
    assert decision.options[0] == Option(NOTHING, 0.0, probability=1.0)
