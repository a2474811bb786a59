"""`GET /v1/decisions/{id}`: the whole row of one decision, also while it waits in a worker's segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.decisions import RETRY
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.journal import find
from serving.http.errors import HttpError, answer, id_of

if TYPE_CHECKING:
    from serving.http.app import Routes


class Decisions:
    """One handler."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def known(self) -> list[Route]:
        return [Route("/decisions/{decision}", self.decision, methods=["GET"])]

    async def decision(self, request: Request) -> Response:
        """Who was answered what, among what, with which probability, and why."""
        state, decision_id = self._routes.ready(), id_of(request, "decision")
        if state.workspace is None or state.ledger is None:
            raise HttpError(503, "no_workspace", "this service has no workspace, so it keeps no decisions")
        return answer(await run_in_threadpool(_row, state.workspace, state.ledger, decision_id))


def _row(workspace: Workspace, ledger: Ledger, decision_id: str) -> dict[str, Any]:
    try:
        row = find(workspace.state / "journal", ledger, decision_id)
    except (OSError, SQLAlchemyError):
        raise HttpError(503, "try_again", "the journal cannot be read; ask again", {"retry-after": "1"}) from None
    if row is None:
        raise HttpError(404, "not_found", f"decision {decision_id!r:.80} is not in the journal; ids come with answers")
    return row | {"context": {name: value for name, value in row["context"].items() if name != RETRY}}
