"""Offers under a budget: a plan for a million customers and five offers, and spending it one customer at a time.

    python -m benchmarks offers-budget [--seed N]

`plan_s`, `plan_cpu_s`: seconds of one plan under a budget in all, a number of contacts, and a budget and a stock of one
offer each; `share_of_bound`: its profit over what no plan can exceed. `plan_budget_s`, `plan_budget_cpu_s`,
`share_of_bound_budget`: with the one budget only.
`spend_error`: |spend - budget| / budget over a month of 30,000 customers a day whose effects drift (down by a third
over the month, other customers at weekends, noise from day to day), each decided alone by the prices of
the hour. Prices come from a sample of 50,000: at first of those known before, then four times a day of who came last,
with what is left of the budget. `spend_error_unpaced`: with the first day's prices all month.
Comparator: HiGHS on the same problem with 20,000 customers, one budget, beside ours on the same customers.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from training.policies.allotment import Allotment, Array, Limit
from training.policies.budget import plan

CUSTOMERS, OFFERS, FEW = 1_000_000, 5, 20_000
DAYS, A_DAY, SAMPLE, PLANS_A_DAY = 30, 30_000, 50_000, 4
A_PART = A_DAY // PLANS_A_DAY
WEEK, WORKDAYS = 7, 5
EVERY = tuple(range(OFFERS))
VALUE, COST, REDEMPTION = 20.0, np.array([0.05, 0.1, 0.2, 0.3, 0.6]), np.array([2.0, 1.5, 1.0, 0.5, 0.0])
SHARE = 0.2  # of all that could be spent at a profit


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue, and ours beside HiGHS under `comparators`."""
    profit, spend = world(np.random.default_rng(seed), CUSTOMERS, 1.0)
    total = SHARE * wanted(profit, spend)
    budget = Limit("budget", total, EVERY, money=True)
    others = (
        Limit("contacts", 0.15 * CUSTOMERS, EVERY, money=False),
        Limit("budget of 0", 0.1 * total, (0,), money=True),
        Limit("stock of 2", 0.02 * CUSTOMERS, (2,), money=False),
    )
    several, one = (planned(Allotment(profit, spend, limits)) for limits in ((budget, *others), (budget,)))
    paced, unpaced = (month(np.random.default_rng(seed), paced=paced) for paced in (True, False))
    return {
        "plan_s": several[0],
        "plan_cpu_s": several[1],
        "share_of_bound": several[2],
        "plan_budget_s": one[0],
        "plan_budget_cpu_s": one[1],
        "share_of_bound_budget": one[2],
        "spend_error": paced,
        "spend_error_unpaced": unpaced,
        "comparators": beside_highs(np.random.default_rng(seed)),
    }


def world(rng: np.random.Generator, customers: int, strength: float, *, taste: float = 0.0) -> tuple[Array, Array]:
    """Profit and spend: effects around 0.02 that offers share in part, a baseline around 0.07."""
    shared = rng.normal(taste, 1.0, customers)
    effect = strength * (0.02 + 0.015 * shared + 0.01 * rng.normal(size=(OFFERS, customers)))
    baseline = rng.beta(2, 25, customers)
    spend = COST[:, None] + REDEMPTION[:, None] * np.clip(baseline + effect, 0, 1)
    return effect * VALUE - spend, spend


def wanted(profit: Array, spend: Array) -> float:
    """What would be spent without limits."""
    return plan(Allotment(profit, spend, ())).spend


def planned(allotment: Allotment) -> tuple[float, float, float]:
    """Seconds, CPU seconds and share of the bound of one plan, which keeps to its limits."""
    start, cpu = time.perf_counter(), time.process_time()
    made = plan(allotment)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    if not (made.used <= allotment.most * (1 + 1e-12)).all():
        raise ValueError(f"the plan uses {made.used.tolist()}, must be <= {allotment.most.tolist()}")
    print(f"{len(allotment.limits)} limits: {seconds:.2f} s, {cpu:.2f} of the CPU, gap {made.gap:.2e}", file=sys.stderr)
    return seconds, cpu, made.profit / made.bound


def month(rng: np.random.Generator, *, paced: bool) -> float:
    """How far the month's spend is from its budget, as a share of it."""
    budget = SHARE * wanted(*world(rng, SAMPLE, 1.0)) / SAMPLE * DAYS * A_DAY
    seen, spent, price, day = world(rng, SAMPLE, 1.0), 0.0, 0.0, arrivals(rng, 0)
    for step in range(DAYS * PLANS_A_DAY):
        if paced or step == 0:
            price = price_of(*seen, (budget - spent) / ((DAYS * PLANS_A_DAY - step) * A_PART))
        if step and step % PLANS_A_DAY == 0:
            day = arrivals(rng, step // PLANS_A_DAY)
        start = step % PLANS_A_DAY * A_PART
        came = tuple(part[:, start : start + A_PART] for part in day)
        spent += served(*came, price, budget - spent)
        seen = tuple(np.hstack([old, new])[:, -SAMPLE:] for old, new in zip(seen, came, strict=True))
    error = abs(spent - budget) / budget
    print(f"month, {'paced' if paced else 'unpaced'}: spend error {error:.4f}", file=sys.stderr)
    return error


def arrivals(rng: np.random.Generator, day: int) -> tuple[Array, Array]:
    """The customers of a day: effects fade over the month, weekends bring others, no day is like another."""
    fading = 1 - day / DAYS / 3
    weekend = 0.3 if day % WEEK >= WORKDAYS else 0.0
    return world(rng, A_DAY, fading * rng.lognormal(0, 0.05), taste=weekend)


def price_of(profit: Array, spend: Array, each: float) -> float:
    """The dual price of money at this much for each customer."""
    limit = Limit("budget", max(each, 0.0) * profit.shape[1], EVERY, money=True)
    return float(plan(Allotment(profit, spend, (limit,))).prices[0])


def served(profit: Array, spend: Array, price: float, left: float) -> float:
    """What these customers take when each is decided alone, one after the other, until nothing is left."""
    allotment = Allotment(profit, spend, (Limit("budget", 0.0, EVERY, money=True),))
    choice, _ = allotment.best(np.array([price]))
    total = np.append(0.0, np.cumsum(allotment.use(0, choice)))
    return float(total[np.searchsorted(total, left, side="right") - 1])


def beside_highs(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of both on the same customers, and ours over HiGHS's profit, which may split a customer."""
    profit, spend = world(rng, FEW, 1.0)
    allotment = Allotment(profit, spend, (Limit("budget", SHARE * wanted(profit, spend), EVERY, money=True),))
    ours = planned(allotment)[0]
    rows = np.tile(np.arange(FEW), OFFERS)
    people = csr_array((np.ones(rows.size), (rows, np.arange(rows.size))), shape=(FEW, rows.size))
    sides = np.append(np.ones(FEW), allotment.most)
    start = time.perf_counter()
    found = linprog(-profit.ravel(), vstack([people, csr_array(spend.reshape(1, -1))]), sides, bounds=(0, 1))
    highs = time.perf_counter() - start
    return {"plan_20k_s": ours, "highs_20k_s": highs, "share_of_highs": plan(allotment).profit / -float(found.fun)}
