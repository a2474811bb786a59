"""Plan: who gets which offer under a budget, and the prices by which the service decides one customer at a time.

The plan's aggregates stand in `plan.json` beside the release's manifest: `limits` (most, used, price), `prices` (per
offer), `spend`, `profit`, `bound`, `gap`, `curve` and `segments`. Customers are in the file that was asked for only:

customer, offer, expected_profit      who gets an offer
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.assignment import bucket
from features.catalog import read_catalog
from features.ledger import Ledger
from features.offers import HOLDOUT_SALT, Offer
from features.progress import step
from features.registered import register_file
from features.workspace import Workspace
from training.eligible import Masks, eligible, read_rules, told
from training.plan_tables import curve, lines, segments
from training.policies.allotment import NOBODY, Allotment, Array, Limit
from training.policies.budget import Plan, cautious, plan
from training.policies.prices import FILE
from training.recommenders.own import Own
from training.release import Release, load_release, write_json
from training.score import BATCH, Names, agreed, check_out, served, write

SCHEMA = pa.schema({"customer": pa.string(), "offer": pa.string(), "expected_profit": pa.float64()}.items())


@dataclass(frozen=True)
class Limits:
    """What `attune plan` is asked to keep to, beside the budgets and stocks of the offers."""

    budget: float
    contacts: int | None

    def __post_init__(self) -> None:
        if not 0 <= self.budget < float("inf"):
            raise ValueError(f"--budget == {self.budget}, must be >= 0 and finite")

    def of(self, offers: Sequence[Offer]) -> tuple[Limit, ...]:
        """The total budget first, then everything else that is limited."""
        every = tuple(range(len(offers)))
        found = [Limit("budget", self.budget, every, money=True)]
        if self.contacts is not None:
            found.append(Limit("contacts", self.contacts, every, money=False))
        for number, offer in enumerate(offers):
            if offer.budget is not None:
                found.append(Limit(f"budget of {offer.key}", offer.budget, (number,), money=True))
            if offer.stock is not None:
                found.append(Limit(f"stock of {offer.key}", offer.stock, (number,), money=False))
        return tuple(found)


def plan_offers(workspace: Workspace, limits: Limits, out: Path | None, *, as_of: datetime) -> list[str]:
    """Plans for the customers of the served release who agreed and are not held out; kept, and told in lines."""
    if out is not None:
        check_out(out)
    folder = served(workspace, "uplift")
    release, ledger = load_release(folder, Own.of(workspace)), Ledger.at(workspace.ledger)
    known, kept, said = agreed(release, ledger, as_of)
    rows, held = _outside_holdout(release, known, kept, workspace.settings.offers.holdout)
    assert release.effects is not None  # noqa: S101  # `agreed` says so; this tells the type checker
    offers, unknown = _offers(release, read_rules(workspace.folder, read_catalog(workspace), release.effects))
    with step(f"Planning for {len(rows):,} customers", 2) as bar:
        masks = eligible(workspace, offers, release.effects, known[rows], as_of)
        allotment = withheld(allotted(release, offers, rows, limits.of(offers)), offers, masks)
        made = plan(allotment)
        bar.advance()
        bar.say("Drawing the curve of profit against budget")
        facts = _facts(release, offers, allotment, made) | {
            "currency": workspace.settings.currency,
            "segments": segments(_largest(release, offers, rows), made, [offer.key for offer in offers]),
        }
        bar.advance()
    write_json(folder / FILE, facts | {"planned_at": as_of.isoformat()})
    shown = [said, held, *unknown, *told(masks, release.effects), *lines(facts)]
    if out is not None:
        register_file(ledger, out, kind="plan", time=as_of)  # before it is there: an erasure must find it
        written = write(out, SCHEMA, _frames(known[rows], offers, allotment, made))
        shown.append(f"{out}: {written:,} customers who get an offer")
    return [line for line in shown if line]


def allotted(release: Release, offers: Sequence[Offer], rows: NDArray[np.intp], limits: tuple[Limit, ...]) -> Allotment:
    """Profit and spend of these offers for these customers of the release."""
    assert release.effects is not None  # noqa: S101  # `agreed` says so; this tells the type checker
    effects, ceiling = release.effects.effects, release.baseline.ceiling_ if release.baseline else np.inf
    baseline = np.zeros(len(rows)) if release.effects.baseline is None else release.effects.baseline[rows]
    profit, spend = np.empty((2, len(offers), len(rows)))
    for number, offer in enumerate(offers):
        effect = effects.effect[rows, effects.offers.index(offer.key)]
        outcome = np.clip(baseline + effect, 0.0, ceiling)
        profit[number], spend[number] = offer.profit(effect, outcome), offer.spend(outcome)
    return Allotment(np.nan_to_num(profit, nan=-np.inf, posinf=np.inf, neginf=-np.inf), spend, limits)


def withheld(allotment: Allotment, offers: Sequence[Offer], masks: Masks) -> Allotment:
    """The allotment, in which nobody can have an offer whose condition does not hold for them."""
    if not masks:
        return allotment
    everybody = np.ones(allotment.profit.shape[1], dtype=bool)
    may = np.stack([masks.get(offer.key, everybody) for offer in offers])
    return replace(allotment, profit=np.where(may, allotment.profit, -np.inf))


def _outside_holdout(
    release: Release, known: Names, kept: NDArray[np.intp], holdout: float
) -> tuple[NDArray[np.intp], str]:
    """The places of customers who may get an offer, and a line on who may not."""
    if holdout == 0 or release.effects is None or release.effects.customers is None:
        return kept, ""
    free = np.array([bucket(HOLDOUT_SALT, customer) >= holdout for customer in known[kept].tolist()], dtype=bool)
    return kept[free], f"holdout: {int((~free).sum()):,} of {len(kept):,} customers never get an offer"


def _offers(release: Release, offers: Sequence[Offer]) -> tuple[list[Offer], list[str]]:
    """The offers that can be planned, and a line on each kind that cannot."""
    assert release.effects is not None  # noqa: S101  # as above
    learned = release.effects.effects.offers
    known = [offer for offer in offers if offer.key in learned]
    blind = [offer for offer in known if offer.redemption_cost and release.effects.baseline is None]
    said = []
    if unknown := [offer.key for offer in offers if offer.key not in learned]:
        said.append(f"the model does not know the offers {unknown}: not considered")
    if blind:
        keys = [offer.key for offer in blind]
        said.append(f"the release does not say who buys without an offer (train again), and redemption costs: {keys}")
    if not known:
        keys = [offer.key for offer in offers]
        raise ValueError(f"offers.yaml has the offers {keys}, the model knows {list(learned)}; none to plan with")
    return [offer for offer in known if offer not in blind], said


def _largest(release: Release, offers: Sequence[Offer], rows: NDArray[np.intp]) -> Array:
    """Per customer the largest effect of these offers."""
    assert release.effects is not None  # noqa: S101  # as above
    effects = release.effects.effects
    columns = np.array([effects.offers.index(offer.key) for offer in offers])
    largest: Array = effects.effect[np.ix_(rows, columns)].max(axis=1)
    return largest


def _facts(release: Release, offers: Sequence[Offer], allotment: Allotment, made: Plan) -> dict[str, Any]:
    """All that is told of the plan: no customer in it."""
    keys = [offer.key for offer in offers]
    money, contact = (charge.tolist() for charge in allotment.charges(cautious(allotment, made.prices)))
    limits = zip(allotment.limits, made.used.tolist(), made.prices.tolist(), strict=True)
    return {
        "model": release.name,
        "version": release.version,
        "customers": allotment.profit.shape[1],
        "contacts": int((made.choice != NOBODY).sum()),
        "spend": made.spend,
        "profit": made.profit,
        "bound": made.bound,
        "gap": made.gap,
        "limits": [{"name": one.name, "most": one.most, "used": used, "price": price} for one, used, price in limits],
        "prices": {key: {"money": a, "contact": b} for key, a, b in zip(keys, money, contact, strict=True)},
        "curve": curve(allotment),
    }


def _frames(customers: Names, offers: Sequence[Offer], allotment: Allotment, made: Plan) -> Iterator[pd.DataFrame]:
    keys, given = np.array([offer.key for offer in offers], dtype=object), np.flatnonzero(made.choice != NOBODY)
    for start in range(0, len(given), BATCH):
        rows = given[start : start + BATCH]
        profit = allotment.profit[made.choice[rows], rows]
        yield pd.DataFrame({"customer": customers[rows], "offer": keys[made.choice[rows]], "expected_profit": profit})
