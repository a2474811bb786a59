"""The routes under `/reports`: the stored reports with their age, as pages, JSON and CSV; nothing is computed here."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.events import utc
from serving.http.aside import aside
from serving.http.errors import HttpError, answer
from serving.http.signin import SignIn
from serving.reports import listed
from serving.reports.rows import csv_of
from serving.reports.shelf import SEVERAL, SINGLE, computed, every, file_of, read
from training.reports.page import hashes_of, policy

if TYPE_CHECKING:
    from serving.http.app import Routes

log = logging.getLogger("attune.reports")
JSON, CSV = ".json", ".csv"
INDEX = "index"
VERBS = {  # what makes a report of the kind
    "experiments": "report experiment KEY",
    "models": "report model",
    "uplift": "report uplift",
    "campaigns": "report impact",
    "impact": "report impact",
    "journey": "report journey",
    "policy": "report policy",
    "segments": "segments",
}


class Reports:
    """Handlers; each looks into the workspace's folder of reports."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def known(self, others: list[Route]) -> list[Route]:
        """All routes under `/reports`, these others among them."""
        entry = SignIn(self._routes)
        shown = [
            Route("/", self.index, methods=["GET"]),
            *others,
            *(Route(f"/{kind}/{{name}}", self.one, methods=["GET"], name=kind) for kind in SEVERAL),
            Route("/{name}", self.single, methods=["GET"]),
        ]
        return [entry.behind(route) for route in [*entry.known(), *shown]]

    async def index(self, request: Request) -> Response:
        """What is stored, as a page."""
        return await self._index(request, "")

    async def one(self, request: Request) -> Response:
        """One of several of a kind."""
        kind = request.url.path.split("/")[2]
        return await self._found(kind, *_split(request.path_params["name"]))

    async def single(self, request: Request) -> Response:
        """What there is one of, and the list as JSON or CSV."""
        name, suffix = _split(request.path_params["name"])
        if name == INDEX and suffix:
            return await self._index(request, suffix)
        if name not in SINGLE:
            said = f"there is no report {name[:80]!r}; there are {', '.join(SINGLE)} and those of {', '.join(SEVERAL)}"
            raise HttpError(404, "not_found", said)
        return await self._found(name, name, suffix)

    async def _index(self, request: Request, suffix: str) -> Response:
        entries, now = await aside(every, self._folder()), self._routes.now()
        if suffix == JSON:
            return answer(listed.told(entries, now))
        if suffix == CSV:
            return _table(csv_of(listed.told(entries, now)), "reports")
        kind = request.query_params.get("kind")
        if kind is not None and kind not in (*SEVERAL, *SINGLE):
            said = f"kind == {kind[:80]!r}, must be one of {', '.join((*SEVERAL, *SINGLE))}"
            raise HttpError(400, "bad_request", said)
        return HTMLResponse(listed.page(entries, kind, now))

    async def _found(self, kind: str, name: str, suffix: str) -> Response:
        path = await aside(file_of, self._folder(), kind, name)
        if path is None:
            said = f"no report {name[:80]!r} of {kind} is stored; run `attune {VERBS[kind]}`"
            raise HttpError(404, "no_report", said)
        try:
            return await aside(_answered, path, kind, suffix, self._routes.now())
        except (OSError, ValueError) as error:
            log.warning("the stored report %s cannot be read: %s", path, error)
            said = f"the stored report {name!r} of {kind} cannot be read; run `attune {VERBS[kind]}` again"
            raise HttpError(503, "broken_report", said) from None

    def _folder(self) -> Path:
        folder = self._routes.ready().reports
        if folder is None:
            raise HttpError(503, "no_workspace", "this service has no workspace, so it has no reports")
        return folder


def _answered(path: Path, kind: str, suffix: str, now: datetime) -> Response:
    """The stored report in the form that is asked for, with its age."""
    age = max(0, int((utc(now) - computed(path)).total_seconds()))
    if suffix == JSON:
        return answer(read(path) | {"age_seconds": age})
    if suffix == CSV:
        return _table(csv_of(read(path)), path.stem)
    page = path.with_suffix(".html")
    if not page.is_file():
        raise HttpError(404, "no_page", f"the report has no page, only its numbers; run `attune {VERBS[kind]}` again")
    html = page.read_text(encoding="utf-8")
    told = policy(hashes_of(html)) + "; frame-ancestors 'none'"
    return HTMLResponse(listed.framed(html, path, kind, age), headers={"content-security-policy": told})


def _split(name: str) -> tuple[str, str]:
    """The name, and the form that its ending asks for."""
    for suffix in (JSON, CSV):
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ""


def _table(text: str, name: str) -> Response:
    said: dict[str, Any] = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=said)
