"""Off-policy: what another policy would have brought on the offer decisions that the journal holds.

decision of an offer --> first per customer --> money of the window after it: revenue less refunds, less what it cost
       |
       +--> its options, with scores and who was eligible --> each policy's probabilities --> snips (training/metrics)

The chance with which each offer was given is logged, so that nothing is assumed of why. Customers of a holdout, who are
never given anything by any policy, are not in it. What a policy would do with an option that the log gave nobody it
cannot say: `outside` is that part, and `effective` how many decisions speak of the policy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import select

from features.consent import consented_customers, left_out
from features.decisions import HELD, NOTHING, WEIGHED, Option, decisions
from features.events import utc
from features.history import read_events
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.words import many
from features.workspace import OfferSettings, Workspace
from serving.experiments.analysis import verdict
from serving.experiments.metrics import read_metrics
from serving.experiments.returns import with_costs
from serving.experiments.values import PEOPLE, Columns, values
from training.intervals import Influenced
from training.metrics.policy_value import Array, Logged, in_force, overlap, snips, weights
from training.policies.base import Policy
from training.policies.budgeted import Budgeted
from training.policies.epsilon import Epsilon
from training.policies.greedy import Greedy
from training.policies.prices import Prices
from training.policies.thompson import Thompson
from training.release import current

NAME = "policy"
KIND = "offer"  # the decisions that are valued
MONEY = "return-per-spend"  # the metric whose columns are money and cost
FEWEST = 20  # customers; fewer say nothing of a policy
WINDOW_DAYS = 14
UNTOLD = "thompson and budgeted are not told: some decisions were made before what they go by was kept"
Said = dict[str, Any]
Options = Sequence[Option]
Weighings = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Drawn:
    """A customer's first decision: what there was to choose from, what was chosen with which chance.

    `weighed`: per offer what it was expected to cost (`spend`) and the standard error of its profit (`spread`).
    """

    customer: str
    time: datetime
    options: Options
    chosen: str
    probability: float
    weighed: Weighings | None = None  # None: of a version that did not keep it


Chances = Callable[[Drawn], Mapping[str, float]]


def build(workspace: Workspace, now: datetime, window_days: int = WINDOW_DAYS) -> Said:
    """The report as plain values: each policy's money per customer, against that of the rule in force."""
    now, window = now.replace(microsecond=0), timedelta(days=window_days)
    ledger = Ledger.at(workspace.ledger)
    found = list(_first(ledger, now, window))
    allowed = set(consented_customers(ledger, purpose="analytics", as_of=now))
    kept = sorted((one for one in found if one.customer in allowed), key=lambda one: one.customer)
    if len(kept) < FEWEST:
        raise ValueError(
            f"the journal holds offer decisions of {len(kept):,} customers who agreed to analytics and whose "
            f"{window_days} days are over, {FEWEST} are needed; they come from POST /v1/offers/select"
        )
    money = _money(workspace, kept, window, now)
    keys = [NOTHING, *sorted({one.key for row in kept for one in row.options} - {NOTHING})]
    logged = _logged(kept, keys, money)
    ours = in_force(logged)
    prices, kept_all = _prices(workspace), all(one.weighed is not None for one in kept)
    targets = policies(workspace.settings.offers, keys) | (weighing(prices) if kept_all else {})
    return {
        "kind": NAME,
        "computed_at": utc(now).isoformat(timespec="seconds") + "Z",
        "from": min(one.time for one in kept).isoformat(timespec="seconds") + "Z",
        "to": max(one.time for one in kept).isoformat(timespec="seconds") + "Z",
        "window_days": window_days,
        "currency": workspace.settings.currency,
        "customers": len(kept),
        "in_force": _interval(ours) | {"offered": float((logged.arm > 0).mean())},
        "policies": [_valued(name, logged, _target(kept, keys, one), ours) for name, one in targets.items()],
        "prices": None if prices is None else {"money": dict(prices.money), "contact": dict(prices.contact)},
        "untold": None if kept_all else UNTOLD,
        "left_out": left_out(len(found), len(found) - len(kept), "analytics"),
    }


def policies(settings: OfferSettings, keys: Sequence[str]) -> dict[str, Chances]:
    """By name the chances that a policy gives the options by their scores alone; each offer alone is one too."""
    found = {
        Greedy.name: _chances(lambda _: Greedy()),
        Epsilon.name: _chances(lambda _: Epsilon(settings.exploration)),
    }
    found["nobody"] = lambda drawn: {one.key: float(one.key == NOTHING) for one in drawn.options}
    for key in keys[1:]:
        found[f"{key} to all"] = _alone(key)
    return found


def weighing(prices: Prices | None) -> dict[str, Chances]:
    """Those that go by more than the scores: `thompson`, and with a plan `budgeted`, at the plan's prices."""
    found = {Thompson.name: _chances(lambda drawn: Thompson({key: one["spread"] or 0.0 for key, one in _told(drawn)}))}
    if prices is not None:
        found[Budgeted.name] = _chances(lambda drawn: Budgeted(_charges(drawn, prices)), prices.money)
    return found


def _chances(policy: Callable[[Drawn], Policy], priced: Collection[str] | None = None) -> Chances:
    """Of a policy, which may be another for each decision; `priced`: the only offers that it knows."""

    def chances(drawn: Drawn) -> Mapping[str, float]:
        options = [
            one if priced is None or one.key in {NOTHING, *priced} else replace(one, score=None, eligible=False)
            for one in drawn.options
        ]
        return policy(drawn).choose(options, np.random.default_rng(0)).probabilities  # no draw is read

    return chances


def _told(drawn: Drawn) -> Iterable[tuple[str, Mapping[str, float | None]]]:
    return (drawn.weighed or {}).items()


def _charges(drawn: Drawn, prices: Prices) -> dict[str, float]:
    """What the plan charges for each offer's use of what is limited (`serving.decisions.weighed`)."""
    return {
        key: prices.money.get(key, 0.0) * (one["spend"] or 0.0) + prices.contact.get(key, 0.0)
        for key, one in _told(drawn)
    }


def _prices(workspace: Workspace) -> Prices | None:
    """Those of the plan of the release that is served; None without either."""
    folder = current(workspace, "uplift")
    return None if folder is None else Prices.read(folder)


def _alone(key: str) -> Chances:
    """This offer to whoever can have it, else nothing."""

    def chances(drawn: Drawn) -> Mapping[str, float]:
        given = key if any(one.key == key and one.eligible for one in drawn.options) else NOTHING
        return {one.key: float(one.key == given) for one in drawn.options}

    return chances


def _first(ledger: Ledger, now: datetime, window: timedelta) -> Iterator[Drawn]:
    """Per customer the first offer decision whose window is over that a policy, and no holdout, made."""
    columns = (decisions.c.customer, decisions.c.time, decisions.c.options, decisions.c.chosen, decisions.c.probability)
    query = (
        select(*columns, decisions.c.context)
        .where(decisions.c.kind == KIND, decisions.c.customer.is_not(None), decisions.c.time <= utc(now) - window)
        .order_by(decisions.c.time, decisions.c.decision_id)
    )
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(now))
    seen: set[str] = set()
    with ledger.read() as connection:
        for customer, time, options, chosen, probability, context in connection.execute(query):
            who = merged.get(customer, customer)
            about = json.loads(context)
            if who in seen or about.get(HELD):
                continue
            seen.add(who)
            there, (given,) = [Option(**one) for one in json.loads(options)], json.loads(chosen)
            yield Drawn(who, time, there, given, probability, about.get(WEIGHED))


def _money(workspace: Workspace, rows: Sequence[Drawn], window: timedelta, now: datetime) -> Array:
    """Per customer, in their order, the money of the window after the decision, less what offers cost in it."""
    import ibis

    people = [{"customer": one.customer, "arm": one.chosen, "first": one.time} for one in rows]
    told = [Columns(read_metrics(workspace.folder)[MONEY], "m", window)]
    events = read_events(workspace).before(now)
    costed = with_costs(workspace, events, pa.Table.from_pylist(people, schema=PEOPLE), told, now)
    found = values(events, ibis.memtable(costed), told).order_by("customer").to_pyarrow()
    result: Array = found["m"].to_numpy().astype(np.float64) - found["md"].to_numpy().astype(np.float64)
    return result


def _logged(rows: Sequence[Drawn], keys: Sequence[str], money: Array) -> Logged:
    count, places = len(rows), {key: place for place, key in enumerate(keys)}
    return Logged(
        arm=np.array([places[one.chosen] for one in rows], dtype=np.intp),
        probability=np.array([one.probability for one in rows]),
        money=money,
        customer=np.arange(count),
        people=np.ones(count),
    )


def _target(rows: Sequence[Drawn], keys: Sequence[str], chances: Chances) -> Array:
    """Rows x options: the policy's chances."""
    told = [chances(one) for one in rows]
    return np.array([[one.get(key, 0.0) for key in keys] for one in told])


def _valued(name: str, logged: Logged, target: Array, ours: Influenced) -> Said:
    value, covered, weight = snips(logged, target), overlap(logged, target), weights(logged, target)
    share = weight / max(weight.sum(), np.finfo(float).tiny)
    apart = _interval(_sure(value - ours, share - 1 / len(share), logged.money))
    unknown = apart["lower"] is None
    return {
        "policy": name,
        **_interval(_sure(value, share, logged.money)),
        "difference": apart | {"verdict": None if unknown else verdict(apart["lower"], apart["upper"])},
        "offered": float(target[:, 1:].sum(axis=1).mean()),
        "effective": covered.effective,
        "outside": covered.outside,
    }


def _sure(found: Influenced, share: Array, money: Array) -> Influenced:
    """With the larger of its own error and that of one variance for all decisions, of which it is a sum by `share`.

    Where few decisions speak of a policy, its own error is too small whenever their few large sums are missing: with
    money in a heavy tail and 50 to speak of it, an offer that changed nothing differed from the rule in force in 12 %
    of logs (as in docs/decisions/0008). Where a policy picks customers who spend much, the one variance is too small.
    """
    own, common = found.standard_error, float(money.std(ddof=1) * np.sqrt(share @ share))
    if not np.isfinite(own) or own >= common:
        return found
    return Influenced(found.value, found.influence * (common / own) if own > 0 else np.full(len(share), np.nan))


def _interval(found: Influenced) -> Said:
    """Null ends where too few decisions speak of it."""
    told = found.interval
    names = {"value": told.estimate, "lower": told.lower, "upper": told.upper}
    return {name: float(value) if np.isfinite(value) else None for name, value in names.items()}


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The report as lines for a terminal."""
    yield (
        f"money per customer in {report['window_days']} days, {report['currency']}, less what offers cost; the first "
        f"offer decision of {many(report['customers'], 'customer')}"
    )
    heads = f"{'policy':<24}{'value':>10}  {'95 % interval':<22}{'to the rule in force':<26}"
    yield f"{heads}{'offered':>8}{'effective':>11}"
    yield f"{'the rule in force':<24}{_row(report['in_force'])}{'':<26}{report['in_force']['offered']:>8.0%}"
    for one in report["policies"]:
        lower, upper = (one["difference"][name] for name in ("lower", "upper"))
        said = "too few decisions" if lower is None else f"{lower:+.2f} to {upper:+.2f}"
        beyond = f"; {one['outside']:.0%} of it was never given" if one["outside"] else ""
        yield f"{one['policy']:<24}{_row(one)}{said:<26}{one['offered']:>8.0%}{one['effective']:>11,.0f}{beyond}"
    yield from filter(None, [report["untold"], report["left_out"]])


def _row(found: Mapping[str, Any]) -> str:
    if found["value"] is None or found["lower"] is None:
        return f"{'-':>10}  {'-':<22}"
    interval = f"{found['lower']:.2f} to {found['upper']:.2f}"
    return f"{found['value']:>10.2f}  {interval:<22}"
