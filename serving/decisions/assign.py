"""Test arms: by the assignment hash, the same answer everywhere and for ever."""

from __future__ import annotations

from datetime import datetime

from features.assignment import arm
from features.decisions import Decision, Option
from serving.decisions.recommend import Answer, facts
from serving.decisions.requests import AssignRequest
from serving.decisions.state import State

POLICY = "assignment-hash"


def assign(state: State, key: str, request: AssignRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The customer's arm of this experiment, which the workspace has."""
    experiment, who = state.experiments[key], request.customer or request.anonymous
    if experiment.shows is not None:
        raise ValueError(f"experiment {key!r} is drawn by the slot {experiment.shows.slot!r}; POST /v1/decide shows it")
    if who is None:
        raise ValueError("customer is missing; it or `anonymous` is needed")
    drawn = arm(experiment.salt or key, who, experiment.arms)
    assert drawn is not None  # noqa: S101  # the shares sum to 1: `Experiment` checks it
    decision = Decision(
        decision_id=decision_id,
        kind="assign",
        time=now.replace(tzinfo=None),
        customer=request.customer,
        options=tuple(Option(name, probability=share) for name, share in experiment.arms.items()),
        chosen=(drawn,),
        probability=experiment.arms[drawn],
        policy=POLICY,
        model=None,
        model_version=None,
        workspace_hash=state.workspace_hash,
        reason=f"the customer's place in the hash of {experiment.salt or key!r}",
        context={"experiment": key},
    )
    return decision, {"experiment": key, "arm": drawn, **facts(decision)}
