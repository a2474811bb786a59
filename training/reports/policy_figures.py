"""The numbers of the policy value table: aggregates only, in money per 1,000 customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.offers import Offer
from training.intervals import Influenced, Interval, verdict
from training.metrics.policy_value import doubly_robust
from training.metrics.price_of_knowing import SHARES, Noise, Price, exploration, holdout
from training.metrics.uplift import PER
from training.pipelines.policy import NOBODY, OURS, PolicyLog, Valued, Worth
from training.pipelines.uplift_evaluation import without_nan
from training.uplift.out_of_fold import OutOfFold

FEW = 100  # rows: below it a normal interval of money is not to be trusted
HEAVY = 0.05  # of all weight on one row: the estimate is that row's


def policy_figures(oof: OutOfFold, listed: Sequence[Offer], currency: str) -> dict[str, Any]:
    """All numbers of the policy value table, in money per 1,000 customers, ready for JSON."""
    log = PolicyLog(oof, Worth.of(oof.offers, listed))
    found: dict[str, Any] = without_nan(
        {
            "currency": currency,
            "offers": _offers(log),
            "unlisted": list(log.worth.unlisted),
            "limited": list(log.worth.limited),
            "policies": [_policy(log, one) for one in log.valued.values()],
            "price": _prices(log),
        }
    )
    return found


def _offers(log: PolicyLog) -> list[dict[str, Any]]:
    # `folds`: in how many it was the best single offer
    best = {fold: int(np.argmax(log.single[log.oof.fold == fold][0])) for fold in np.unique(log.oof.fold)}
    money = (log.worth.value, log.worth.cost, log.worth.redemption)
    worth = zip(log.worth.offers, *(one.tolist() for one in money), strict=True)
    return [
        {"offer": offer, "value": value, "cost": cost, "redemption cost": paid}
        | {"folds": list(best.values()).count(place)}
        for place, (offer, value, cost, paid) in enumerate(worth, start=1)
    ]


def _policy(log: PolicyLog, one: Valued) -> dict[str, Any]:
    ours = log.valued[OURS]
    covered = one.overlap
    return {
        "policy": one.name,
        "offered": one.offered,
        **per(one.value.interval),
        "gain": None if one.name == OURS else _gain(ours.value - one.value),
        "beside": {name: per(found.interval) for name, found in one.beside.items()},
        "rows": covered.rows,
        "effective": covered.effective,
        "largest": covered.largest,
        "largest_share": covered.share,
        "outside": covered.outside,
        "poor": covered.outside > 0 or covered.effective < FEW or covered.share > HEAVY,
    }


def _gain(difference: Influenced) -> dict[str, Any]:
    return per(difference.interval) | {"verdict": verdict(difference.interval)}


def _prices(log: PolicyLog) -> list[dict[str, Any]]:
    logged, ours = log.logged, log.valued[OURS]
    target, arms = log.targets[OURS], len(log.worth.offers) + 1
    noise = Noise.of(logged, target, log.targets[NOBODY])
    evenly = doubly_robust(logged, np.full_like(target, 1 / arms))
    over_nobody, over_even = ours.value - log.valued[NOBODY].value, ours.value - evenly
    kept = [_price("holdout", holdout(share, over_nobody, noise)) for share in SHARES]
    explored = (exploration(s, over_even, noise, offered=ours.offered, arms=arms) for s in SHARES)
    return kept + [_price("exploration", one) for one in explored]


def _price(kind: str, one: Price) -> dict[str, Any]:
    cost = per(one.cost.interval)
    return {"kind": kind, "share": one.share, **cost, "width": PER * one.width}


def per(found: Interval) -> dict[str, float]:
    return {"value": PER * found.estimate, "lower": PER * found.lower, "upper": PER * found.upper}
