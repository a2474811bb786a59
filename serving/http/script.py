"""`GET /v1/attune.js`: what fills the slots of a page, as it stands in `clients/js/`."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

CONTENT = Path(__file__).with_name("attune.js").read_bytes()  # a link: so it is in the package and in a bento too
CACHED = {"cache-control": "public, max-age=3600"}  # a page waits for it once an hour; an update comes as late


async def script(_request: Request) -> Response:
    return Response(CONTENT, media_type="text/javascript", headers=CACHED)
