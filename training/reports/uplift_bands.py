"""The predicted effect of every customer with its band, and how many gain or lose beyond its noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from training.metrics.uplift import PER
from training.reports.page import Page, interval, shown
from training.reports.uplift_charts import bands
from training.uplift.customer_effects import CustomerEffects

GROUPS = 20
Figures = dict[str, Any]


def bands_of(effects: CustomerEffects | None, offer: str) -> Figures | None:
    """Twentieths of the customers, the highest effect first; None where the model has no standard errors."""
    if effects is None:
        return None
    number = effects.effects.offers.index(offer)
    effect, error = effects.effects.effect[:, number], effects.effects.standard_error[:, number]
    if not np.isfinite(error).all():
        return None
    reach = float(stats.norm.ppf(0.975)) * error
    order = np.argsort(-effect, kind="stable")
    groups = np.array_split(order, min(GROUPS, len(order)))
    return {
        "customers": len(effect),
        "gain": 100 * float((effect > reach).mean()),
        "lose": 100 * float((effect < -reach).mean()),
        "groups": [{"group": place, **_group(effect[rows], reach[rows])} for place, rows in enumerate(groups, start=1)],
    }


def _group(effect: Any, reach: Any) -> dict[str, float]:
    value, around = PER * float(effect.mean()), PER * float(np.sqrt((reach**2).mean()))
    return {"value": value, "lower": value - around, "upper": value + around}


def section(page: Page, found: Figures, unit: str) -> None:
    """The picture, the shares in words and the table."""
    page.subsection(
        "How sure is the effect of one customer?",
        f"What the model says of its {found['customers']:,} customers, the highest effect first, with the band of one "
        f"customer there. The band clears zero above for {shown(found['gain'])} % and below for "
        f"{shown(found['lose'])} %; of the others the sign cannot be told. (With no effect at all, chance "
        "would put 2.5 % on either side.)",
    )
    page.chart(bands(found["groups"], f"effect, {unit}"), "Predicted effect by customer with its 95 % band.")
    page.table(
        [
            {"twentieth": one["group"], "effect": one["value"], "95 % band": interval(one["lower"], one["upper"])}
            for one in found["groups"]
        ],
        summary="The effects as a table",
    )
