"""`POST /v1/decide`: what a slot shows."""

from __future__ import annotations

from datetime import datetime

from features.decisions import Decision
from serving.decisions.decide import UnknownSlotError, decide
from serving.decisions.recommend import Answer
from serving.decisions.requests import DecideRequest
from serving.decisions.state import State
from serving.http.errors import HttpError


def of_slot(state: State, request: DecideRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The content of a slot; 404 where the workspace has no such slot."""
    try:
        return decide(state, request, decision_id, now)
    except UnknownSlotError as error:
        raise HttpError(404, "not_found", str(error)) from None
