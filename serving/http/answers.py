"""From a checked request to a journalled answer: what the routes and the BentoML calls have in common."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from features.decisions import Decision
from serving.decisions.recommend import UnavailableError
from serving.decisions.state import State
from serving.http.errors import HttpError

Decide = Callable[[State, Any, str, datetime], tuple[Decision, dict[str, Any]]]


def decided(state: State, decide: Decide, request: Any, key: str | None) -> dict[str, Any]:
    """The answer, after its decision is in the journal. An idempotency key gives a retry the same decision."""
    decision_id = _decision_id(decide, key)
    try:
        decision, answer = decide(state, request, decision_id, _now())
    except UnavailableError as error:
        raise HttpError(503, "unavailable", str(error)) from None
    except KeyError as error:
        raise HttpError(404, "not_found", f"there is no {error.args[0]!r}") from None
    except ValueError as error:
        raise HttpError(400, "bad_request", str(error)) from None
    _journalled(state, decision)
    return answer


def _decision_id(decide: Decide, key: str | None) -> str:
    if key is None:
        return uuid.uuid4().hex
    return hashlib.sha256(f"{getattr(decide, '__name__', 'assign')}:{key}".encode()).hexdigest()[:32]


def _journalled(state: State, decision: Decision) -> None:
    if state.journal is None:
        return
    try:
        state.journal.append(decision)
    except (OSError, SQLAlchemyError) as error:
        raise HttpError(
            503, "not_journalled", f"the decision could not be written ({error}); nothing was decided"
        ) from None


def _now() -> datetime:
    return datetime.now(UTC)
