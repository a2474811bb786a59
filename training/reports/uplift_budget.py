"""Profit against budget: what the best plan within each would have earned, of customers it did not learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from training.metrics.policy_value import doubly_robust
from training.metrics.uplift import PER
from training.pipelines.policy import NOBODY, PolicyLog, constant
from training.policies.allotment import Allotment, Limit
from training.policies.budget import Plan, plan
from training.reports.page import Page, interval
from training.reports.policy_figures import per
from training.reports.uplift_charts import budget as drawn

POINTS = 11
FREE = "The offers that are predicted to pay cost nothing here (offers.yaml), so that no budget limits them."
NOTHING = "No offer is predicted to pay, so that nothing would be spent."
Figures = dict[str, Any]


def budget_of(log: PolicyLog) -> list[Figures]:
    """From no budget to all that is worth spending, per 1,000 customers; one point where that is nothing."""
    people = log.logged.people
    every, scale = tuple(range(len(log.worth.offers))), PER / people.sum()
    allotment = Allotment((log.profit * people[:, None]).T, (log.spend * people[:, None]).T, ())
    free = plan(allotment)
    *budgets, most = np.unique(np.linspace(0, free.spend, POINTS)).tolist()
    plans = [plan(replace(allotment, limits=(Limit("budget", money, every, money=True),))) for money in budgets]
    found = zip([*budgets, most], [*plans, free], strict=True)
    return [{"budget": scale * money, **_point(log, made, scale)} for money, made in found]


def _point(log: PolicyLog, made: Plan, scale: float) -> Figures:
    target = constant(made.choice.astype(np.intp) + 1, len(log.worth.offers) + 1)
    gain = doubly_robust(log.logged, target) - log.valued[NOBODY].value
    return {
        "planned": scale * made.profit,
        "price": float(made.prices.sum()),  # of the one limit, or of none
        "offered": 100 * log.offered(target),
        **per(gain.interval),
    }


def section(page: Page, found: list[Figures], unit: str) -> None:
    """In words, the picture and the table."""
    title = "Profit against budget"
    if len(found) < 2:
        page.section(title, FREE if found[0]["offered"] else NOTHING)
        return
    page.section(
        title,
        f"In {unit}: for each budget, the offers go where they are predicted to earn most for the money, and the "
        "customers’ own outcomes say what that would have earned more than giving nothing. “One more earns” is the "
        "predicted profit of one more unit of money: beyond the last line more money earns nothing. Budgets and stocks "
        "of single offers are left to attune plan.",
    )
    page.chart(drawn(found, unit), "Profit by budget with its 95 % band, and as predicted.")
    page.table([_row(point) for point in found])


def _row(point: Figures) -> Figures:
    return {
        "budget": point["budget"],
        "profit": point["value"],
        "95 % interval": interval(point["lower"], point["upper"]),
        "as predicted": point["planned"],
        "one more earns": point["price"],
        "offered %": point["offered"],
    }
