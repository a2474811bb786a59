"""What an uplift run's choice would have earned; two offers: `a` helps where spend > 0, `b` helps nobody."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.exposures import ExposureLog, Exposures
from features.offers import Offer
from features.table import Feature, FeatureTable
from training.pipelines.policy import IN_FORCE, NOBODY, OURS, SINGLE, PolicyLog, Worth, greedy
from training.pipelines.uplift_evaluation import CHOSEN, predictions_out_of_fold
from training.reports.policy_figures import policy_figures
from training.uplift.out_of_fold import OutOfFold

OFFERS = (Offer(key="a", name="A", value=20, cost=0.5), Offer(key="b", name="B", value=20, cost=0.5))


def campaign(effect: float, rows: int = 3000) -> ExposureLog:
    rng = np.random.default_rng(1)
    spend = rng.normal(size=rows)
    arm = rng.choice(np.array(["a", "b", "none"]), rows)
    outcome = (rng.random(rows) < 0.4 + effect * np.sign(spend) * (arm == "a")).astype(float)
    customers = np.array([f"c{n // 2}" for n in range(rows)], dtype=object)
    table = FeatureTable(pd.DataFrame({"spend": spend}), (Feature("spend", "own", "EUR", "Spend."),), customers)
    exposures = Exposures(arm.astype(np.str_), np.full(rows, 1 / 3), np.ones(rows))
    return ExposureLog("test", "here", table, exposures, pd.DataFrame({"visit": outcome}))


def evidence(effect: float) -> OutOfFold:
    oof = predictions_out_of_fold(campaign(effect), "visit", ["t-linear", "constant"], folds=3, seed=0)
    return replace(oof, prediction={**oof.prediction, CHOSEN: oof.prediction["t-linear"]})


@pytest.fixture(scope="module")
def helped() -> OutOfFold:
    return evidence(0.2)


def test_greedy_gives_the_offer_with_the_highest_profit_and_none_where_none_pays() -> None:
    effect = np.array([[0.1, 0.2], [0.2, 0.1], [0.05, 0.01], [0.0, 0.0]])
    found = greedy(effect, np.array([10.0, 10.0]), np.array([1.0, 0.5]))
    np.testing.assert_array_equal(found, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]])


def test_a_planted_gain_is_found_within_its_interval(helped: OutOfFold) -> None:
    """Half of the customers gain 0.2 x 20 - 0.5 = 3.5 by `a`: 1,750 per 1,000 customers."""
    policies = {one["policy"]: one for one in policy_figures(helped, OFFERS, "EUR")["policies"]}
    assert list(policies) == [OURS, NOBODY, SINGLE, IN_FORCE]
    gain = policies[NOBODY]["gain"]
    assert gain["lower"] < 1750 < gain["upper"]
    assert {policies[name]["gain"]["verdict"] for name in (NOBODY, SINGLE, IN_FORCE)} == {"better"}
    assert policies[OURS]["gain"] is None
    assert policies[NOBODY]["lower"] < 8000 < policies[NOBODY]["upper"]
    assert policies[OURS]["offered"] == pytest.approx(0.5, abs=0.1)
    assert not any(one["poor"] for one in policies.values())
    for one in policies.values():  # a fair campaign: the estimates agree
        for beside in one["beside"].values():
            assert beside["value"] == pytest.approx(one["value"], abs=0.3 * (one["upper"] - one["lower"]))


def test_a_campaign_without_effect_has_nothing_to_gain() -> None:
    policies = policy_figures(evidence(0.0), [], "EUR")["policies"]
    assert {one["gain"]["verdict"] for one in policies if one["gain"]} == {"not distinguishable"}


def test_an_arm_that_was_given_with_probability_0_is_refused_in_one_line() -> None:
    log = campaign(0.2, rows=600)
    log.exposures.probability[7] = 0.0
    line = r"^log 'test': probability == 0.0 in 1 rows, must be > 0 and <= 1 \(exposures\)$"
    with pytest.raises(ValueError, match=line):
        predictions_out_of_fold(log, "visit", ["t-linear"], folds=3, seed=0)


def test_the_rule_in_force_is_worth_what_it_brought(helped: OutOfFold) -> None:
    found = PolicyLog(helped, Worth.of(helped.offers, OFFERS)).valued[IN_FORCE]
    money = 20 * helped.outcome - 0.5 * (helped.arm != "none")
    assert found.value.value == pytest.approx(money.mean())
    assert found.offered == pytest.approx((helped.arm != "none").mean())


def test_no_outcome_of_a_fold_moves_what_the_policies_choose_there(helped: OutOfFold) -> None:
    worth = Worth.of(helped.offers, OFFERS)
    before = PolicyLog(helped, worth).targets
    fold = helped.fold == 1
    flipped = replace(helped, outcome=np.where(fold, 1000 * (helped.arm == "b"), helped.outcome))
    after = PolicyLog(flipped, worth).targets
    for name in (OURS, NOBODY, SINGLE):
        np.testing.assert_array_equal(before[name][fold], after[name][fold])
    assert (after[SINGLE][~fold] != before[SINGLE][~fold]).any()  # elsewhere it has learned


def test_an_offer_that_the_file_does_not_name_counts_one_and_costs_nothing() -> None:
    worth = Worth.of(("a", "b"), OFFERS[:1])
    assert (worth.value.tolist(), worth.cost.tolist(), worth.unlisted) == ([20, 1], [0.5, 0], ("b",))


def test_an_offers_value_is_of_its_extra_outcomes_only(helped: OutOfFold) -> None:
    """`b` changes nothing, so that it loses its cost alone, whatever its outcomes are worth."""
    cheap = (OFFERS[0], replace_value(OFFERS[1], 1.0))
    log = PolicyLog(helped, Worth.of(helped.offers, cheap))
    only_b = np.tile([0.0, 0.0, 1.0], (len(helped.arm), 1))
    lost = (log.value("b", only_b).value - log.valued[NOBODY].value).interval
    assert lost.lower < -0.5 < lost.upper


def test_a_redemption_is_paid_by_those_who_would_have_bought_anyway_too(helped: OutOfFold) -> None:
    """`b` changes nothing: of 40 % it is redeemed, and earns nothing."""
    paid = [offer.model_copy(update={"redemption_cost": 5.0}) for offer in OFFERS]
    log = PolicyLog(helped, Worth.of(helped.offers, paid))
    given = helped.arm != "none"
    assert log.valued[IN_FORCE].value.value == pytest.approx(
        (20 * helped.outcome - given * (0.5 + 5 * helped.outcome)).mean()
    )
    only_b = np.tile([0.0, 0.0, 1.0], (len(helped.arm), 1))
    lost = (log.value("b", only_b).value - log.valued[NOBODY].value).interval
    assert lost.lower < -0.5 - 0.4 * 5 < lost.upper
    assert log.earned[:, 1].mean() == pytest.approx(lost.estimate)
    assert log.spend.mean(axis=0) == pytest.approx([0.5 + 5 * 0.4] * 2, abs=0.2)


def test_an_offer_for_some_customers_only_is_named(helped: OutOfFold) -> None:
    some = OFFERS[0].model_copy(update={"eligible": {"trait": "city", "is": "Rome"}})
    assert Worth.of(helped.offers, (some, OFFERS[1])).limited == ("a",)


def replace_value(offer: Offer, value: float) -> Offer:
    return offer.model_copy(update={"value": value})


def test_doubling_an_offers_cost_never_gives_it_more_often(helped: OutOfFold) -> None:
    shares = []
    for cost in (0.5, 1.0, 2.0, 100.0):
        offers = [offer.model_copy(update={"cost": cost}) for offer in OFFERS]
        shares.append(policy_figures(helped, offers, "EUR")["policies"][0]["offered"])
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0


def test_the_price_of_a_holdout_is_its_share_of_the_gain(helped: OutOfFold) -> None:
    found = policy_figures(helped, OFFERS, "EUR")
    gain = found["policies"][1]["gain"]["value"]
    kept = [one for one in found["price"] if one["kind"] == "holdout"]
    assert [one["value"] for one in kept] == pytest.approx([share * gain for share in (0, 0.01, 0.02, 0.05, 0.1)])
    assert kept[0]["width"] is None
    assert kept[1]["width"] > kept[4]["width"] > 0


def test_a_choice_that_the_log_hardly_contains_is_warned_of(helped: OutOfFold) -> None:
    """Of the rows where ours gives an offer, only those with another arm are kept."""
    kept = np.flatnonzero(
        (greedy(helped.prediction[CHOSEN], np.full(2, 20.0), np.full(2, 0.5))[:, 0] == 1) | (helped.arm == "none")
    )
    part = {name: getattr(helped, name)[kept] for name in ROWS}
    blind = replace(helped, **part, prediction={CHOSEN: helped.prediction[CHOSEN][kept]}, standard_error={})
    ours = policy_figures(blind, OFFERS, "EUR")["policies"][0]
    assert ours["poor"]
    assert 0.15 < ours["outside"] < 0.35  # a quarter of the rows that are left


ROWS = ("arm", "outcome", "weight", "people", "fold", "unit", "expected", "score")
