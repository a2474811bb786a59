"""A condition on a model's score holds for the same customers in the service as in a plan.

The uplift release here knows c000 to c029 (of c001, c003, ... the effect of `coupon` is about 0.4, of the others 0),
but has no number for the effect on c003. c000 to c049 agreed to personalisation; c050 to c059 are not planned for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from features.events import ORDERED
from features.workspace import Workspace
from serving.decisions.offers import select
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from training.eligible import eligible, told
from training.uplift.base import Effects
from training.uplift.customer_effects import CustomerEffects

NOW = datetime(2026, 1, 20, tzinfo=UTC)
AGREED = [f"c{number:03}" for number in range(50)]
KNOWN, UNKNOWN = AGREED[:30], AGREED[30:]
Asking = Callable[[dict[str, Any]], State]

HIGH = {"score": "effect of coupon", "at_least": 0.2}
CONDITIONS: list[dict[str, Any]] = [
    HIGH,
    {"score": "effect of coupon", "at_most": 0.2},
    {"not": HIGH},
    {"all": [HIGH, {"score": "baseline", "at_most": 0.5}]},
    {"any": [HIGH, {"event": ORDERED, "where": {"item": "oolong"}}]},
    {"any": [{"score": "baseline", "at_least": 0.9}, {"event": "Never", "count": {"at_most": 0}}]},
    {"score": "effect of sample", "at_least": -1},
    {"not": {"score": "effect of sample", "at_least": -1}},
]


def stored(state: State) -> CustomerEffects:
    """The effects of the release, as the docstring says."""
    assert state.uplift is not None
    assert state.uplift.effects is not None
    whole = state.uplift.effects
    effect = whole.effects.effect[:30].copy()
    effect[3] = np.nan
    assert whole.baseline is not None
    effects = Effects(whole.effects.offers, effect, whole.effects.standard_error[:30])
    return CustomerEffects(np.array(KNOWN), effects, whole.baseline[:30])


def fewer(state: State) -> State:
    assert state.uplift is not None
    return replace(state, uplift=replace(state.uplift, effects=stored(state)))


def why_not(state: State, customer: str) -> str | None:
    decision, _ = select(state, OfferRequest(customer=customer, offers=["coupon"]), "d", NOW)
    return next(option.reason for option in decision.options if option.key == "coupon")


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_the_service_and_a_plan_find_the_same_customers(
    condition: dict[str, Any], asking: Asking, shop: Workspace
) -> None:
    state = fewer(asking(condition))
    one_by_one = [why_not(state, customer) is None for customer in AGREED]
    assert eligible(shop, state.offers, stored(state), np.array(AGREED), NOW)["coupon"].tolist() == one_by_one


def test_a_customer_without_a_score_fits_no_comparison(asking: Asking) -> None:
    state = fewer(asking(HIGH))
    assert why_not(state, "c001") is None
    assert why_not(state, "c000") == "effect of coupon 0.00 is not at least 0.2".replace("0.00", shown(state, 0))
    for unknown in ("c003", *UNKNOWN[:2]):
        assert why_not(state, unknown) == "effect of coupon (missing) is not at least 0.2"
    state = fewer(asking({"not": HIGH}))
    assert [why_not(state, unknown) for unknown in ("c003", *UNKNOWN[:2])] == [None] * 3


def shown(state: State, row: int) -> str:
    assert state.uplift is not None
    assert state.uplift.effects is not None
    return f"{state.uplift.effects.effects.effect[row, 0]:g}"


def test_a_log_that_names_nobody_makes_nobody_eligible(asking: Asking, shop: Workspace) -> None:
    state = asking({"not": HIGH})
    nameless = replace(stored(state), customers=None)
    masks = eligible(shop, state.offers, nameless, nameless.names, NOW)
    assert not masks["coupon"].any()
    assert list(told(masks, nameless)) == [
        "the log names no customers, so nobody can be asked for the conditions of the offers ['coupon']"
    ]
