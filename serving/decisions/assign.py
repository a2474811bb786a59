"""Test arms: by the assignment hash, the same answer everywhere and for ever.

Who is not in the experiment is answered its control, which is what there is without it, and is no exposure.
"""

from __future__ import annotations

from datetime import datetime

from features.conditions import holds, why
from features.decisions import HELD, Decision, Option
from features.holdout import SALT
from serving.decisions.asking import asking
from serving.decisions.recommend import Answer, facts
from serving.decisions.requests import AssignRequest
from serving.decisions.state import State
from serving.experiments.assignment import HELD_OUT, arm_of, outside, over
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import INSIDE, PLAN

POLICY = "assignment-hash"
PURPOSE = "analytics"  # without it nobody counts in a report either, so nobody's past is looked at


def assign(state: State, key: str, request: AssignRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The customer's arm of this experiment, which the workspace has."""
    experiment, who = state.experiments[key], request.customer or request.anonymous
    if experiment.shows is not None:
        raise ValueError(f"experiment {key!r} is drawn by the slot {experiment.shows.slot!r}; POST /v1/decide shows it")
    if who is None:
        raise ValueError("customer is missing; it or `anonymous` is needed")
    away = _away(state, experiment, request, who, now)
    shares = experiment.arms if away is None else {experiment.control: 1.0}
    drawn = arm_of(experiment, who) if away is None else experiment.control
    decision = Decision(
        decision_id=decision_id,
        kind="assign",
        time=now.replace(tzinfo=None),
        customer=request.customer,
        options=tuple(Option(name, probability=share) for name, share in shares.items()),
        chosen=(drawn,),
        probability=shares[drawn],
        policy=POLICY,
        model=None,
        model_version=None,
        workspace_hash=state.workspace_hash,
        reason=f"the customer's place in the hash of {experiment.salted!r}" if away is None else _told(away),
        context={"experiment": key, INSIDE: away is None, PLAN: state.plans.get(key)}
        | ({HELD: SALT} if away == HELD_OUT else {}),
    )
    return decision, {"experiment": key, "arm": drawn, INSIDE: away is None, **facts(decision)}


def _away(state: State, experiment: Experiment, request: AssignRequest, who: str, now: datetime) -> str | None:
    """Why the customer is not in the experiment; None: they are."""
    return (
        over(experiment, now, state.settings.timezone)
        or outside(experiment, who, state.settings.holdout)
        or _barred(state, experiment, request, now)
    )


def _barred(state: State, experiment: Experiment, request: AssignRequest, now: datetime) -> str | None:
    """That the audience does not hold for the customer, or cannot be asked; None: it holds."""
    if experiment.audience is None:
        return None
    who = asking(state, PURPOSE, request, now)
    if who.facts is None:
        return str(who.nobody)
    return None if holds(experiment.audience, who.facts) else why(experiment.audience, who.facts)


def _told(away: str) -> str:
    return f"not in the experiment: {away}; what there is without it"
