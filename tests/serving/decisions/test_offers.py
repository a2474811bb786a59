"""Offers are drawn with the probabilities that are logged, for a customer in the holdout as for the others."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from scipy.stats import chisquare

from features.assignment import bucket
from features.decisions import NOTHING, WEIGHED
from features.offers import HOLDOUT_SALT, Offer
from features.workspace import OfferSettings
from serving.decisions.offers import select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from serving.experiments.off_policy import Drawn, weighing
from training.policies.prices import Prices

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def named(held: bool) -> str:
    return next(f"new-{n}" for n in range(1000) if (bucket(HOLDOUT_SALT, f"new-{n}") < 0.05) == held)


def test_over_10000_calls_the_chosen_frequencies_match_the_logged_probabilities(state: State) -> None:
    request = OfferRequest(customer=named(held=False))
    decisions = [select(state, request, f"d{number}", NOW)[0] for number in range(10_000)]
    logged = {option.key: option.probability or 0.0 for option in decisions[0].options if option.eligible}
    chosen = [sum(decision.chosen == (key,) for decision in decisions) for key in logged]
    assert all(decision.probability == logged[decision.chosen[0]] for decision in decisions)
    assert chisquare(chosen, [share * 10_000 for share in logged.values()]).pvalue > 0.001
    assert chosen[list(logged).index(NOTHING)] > 0


def test_a_customer_of_the_holdout_gets_nothing_for_certain(state: State) -> None:
    request = OfferRequest(customer=named(held=True))
    for number in range(50):
        decision, answer = select(state, request, f"h{number}", NOW)
        assert (decision.chosen, decision.probability, answer["offer"]) == ((NOTHING,), 1.0, None)


def test_ten_thousand_offers_that_the_model_does_not_know_are_counted_in_a_line(state: State) -> None:
    many = tuple(Offer(key=f"offer-{number}", name="-") for number in range(10_000))
    decision, answer = select(replace(state, offers=(*state.offers, *many)), OfferRequest(customer="c001"), "d", NOW)
    assert "'offer-0', " in answer["fallback"]
    assert re.search(r"\] and 9,99\d more: not considered$", answer["fallback"])
    assert len(decision.options) == 10_001 + len(state.offers)


def test_an_offer_is_answered_with_the_interval_of_its_effect_and_its_cost(state: State) -> None:
    effects = state.uplift.effects
    prices = {offer.key: offer for offer in state.offers}
    for number in range(40):
        _, answer = select(state, OfferRequest(customer="c001"), f"i{number}", NOW)
        if answer["offer"] is None:
            assert (answer["cost"], answer["effect_lower"], answer["effect_upper"]) == (0.0, None, None)
            continue
        row, column = effects.row("c001"), effects.effects.offers.index(answer["offer"])
        effect, error = effects.effects.effect[row, column], effects.effects.standard_error[row, column]
        assert answer["effect_lower"] == pytest.approx(effect - 1.959964 * error, rel=1e-5)
        assert answer["effect_upper"] == pytest.approx(effect + 1.959964 * error, rel=1e-5)
        offer = prices[answer["offer"]]
        assert answer["expected_profit"] == pytest.approx(effect * offer.value - answer["cost"])
        assert answer["cost"] >= offer.cost


def test_without_a_release_nothing_is_offered_and_the_answer_says_why(state: State) -> None:
    for asked in (OfferRequest(customer="c001"), OfferRequest(features={"tenure": 1.0}), OfferRequest()):
        decision, answer = select(replace(state, uplift=None), asked, "d", NOW)
        assert (decision.chosen, decision.probability) == ((NOTHING,), 1.0)
        assert (answer["offer"], answer["model"]) == (None, None)
        assert answer["fallback"] == (
            "no uplift model is released (run `attune promote uplift latest`): nothing can be expected"
        )


def test_a_decision_can_be_replayed_from_its_id(state: State) -> None:
    request = OfferRequest(customer="c001")
    assert select(state, request, "same", NOW) == select(state, request, "same", NOW)


def test_the_best_option_flips_where_the_answer_says_it_does(state: State) -> None:
    _, answer = select(state, OfferRequest(customer="c001"), "d", NOW)
    flip, stored = answer["what_would_change"], state.uplift.effects if state.uplift else None
    assert stored is not None
    assert state.uplift is not None
    row, column = stored.row("c001"), stored.effects.offers.index(flip["offer"])
    effect = stored.effects.effect.copy()
    assert effect[row, column] == flip["effect"]
    effect[row, column] = flip["at"]
    turned = replace(state.uplift, effects=replace(stored, effects=replace(stored.effects, effect=effect)))
    for uplift, best in ((state.uplift, flip["best"]), (turned, flip["then"])):
        greedy = replace(with_policy(state, "greedy"), uplift=uplift)
        decision, _ = select(greedy, OfferRequest(customer="c001"), "d", NOW)
        assert decision.chosen == (best,)


def with_policy(state: State, policy: str) -> State:
    settings = state.settings.model_copy(update={"offers": OfferSettings(policy=policy, holdout=0)})
    return replace(state, settings=settings)


def test_a_price_of_money_keeps_an_offer_back(state: State) -> None:
    assert state.uplift is not None
    for price, chosen in ((0.0, "coupon"), (30.0, NOTHING)):
        uplift = replace(state.uplift, prices=Prices({"coupon": price, "mail": price}, {"coupon": 0.0, "mail": 0.0}))
        decision, answer = select(
            replace(with_policy(state, "budgeted"), uplift=uplift), OfferRequest(customer="c001"), "d", NOW
        )
        assert (decision.chosen, decision.policy, decision.probability) == ((chosen,), "budgeted", 1.0)
        assert answer["what_would_change"]["best"] == chosen


def test_without_a_plan_the_budget_is_not_touched_and_that_is_said(state: State) -> None:
    decision, answer = select(with_policy(state, "budgeted"), OfferRequest(customer="c001"), "d", NOW)
    assert decision.chosen == (NOTHING,)
    assert "no plan has a price (run `attune plan`) for the offers ['coupon', 'mail']" in answer["fallback"]


def test_an_offer_whose_redemption_cannot_be_reckoned_is_not_considered(state: State) -> None:
    assert state.uplift is not None
    assert state.uplift.effects is not None
    old = replace(state.uplift, baseline=None, effects=replace(state.uplift.effects, baseline=None))
    dear = tuple(offer.model_copy(update={"redemption_cost": 1.0}) for offer in state.offers)
    _, answer = select(replace(state, uplift=old, offers=dear), OfferRequest(customer="c001"), "d", NOW)
    assert "redemption costs: the offers ['coupon', 'mail']" in answer["fallback"]


def test_thompson_logs_the_probability_with_which_it_draws(state: State) -> None:
    close = tuple(offer.model_copy(update={"cost": 0.45}) for offer in state.offers)
    uncertain = replace(with_policy(state, "thompson"), offers=close)
    request = OfferRequest(features={"tenure": 0.0})
    decisions = [select(uncertain, request, f"t{number}", NOW)[0] for number in range(2_000)]
    logged = {option.key: option.probability or 0.0 for option in decisions[0].options if option.probability}
    chosen = [sum(decision.chosen == (key,) for decision in decisions) for key in logged]
    assert len(logged) == 3
    assert chisquare(chosen, [share * 2_000 for share in logged.values()]).pvalue > 0.001


@pytest.mark.parametrize("policy", ["greedy", "epsilon", "thompson", "budgeted"])
def test_any_policys_row_holds_what_another_would_have_drawn_with(state: State, policy: str) -> None:
    close = tuple(offer.model_copy(update={"cost": 0.45}) for offer in state.offers)
    prices = Prices({"coupon": 0.3, "mail": 0.1}, {"coupon": 0.0, "mail": 0.02})
    priced = replace(state, offers=close, uplift=replace(state.uplift, prices=prices))
    request = OfferRequest(features={"tenure": 0.0})
    made, _ = select(with_policy(priced, policy), request, "d", NOW)
    drawn = Drawn("c", made.time, made.options, made.chosen[0], made.probability, made.context[WEIGHED])
    for name, chances in weighing(prices).items():
        other, _ = select(with_policy(priced, name), request, "d", NOW)
        assert chances(drawn) == pytest.approx({one.key: one.probability for one in other.options}), name
