"""Forms over HTTP: read within bounds, answered with JSON or a way back to the form's own origin."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from features.sources.forms import MAX_FIELDS, Form, form_of
from serving.http.errors import MAX_BODY, HttpError, answer, checked, content_of

KINDS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def read(request: Request) -> Form:
    """The form; files in it are refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise HttpError(400, "bad_request", f"content-type == {kind[:80]!r}, must be one of {list(KINDS)}")
    fields = await _fields(Request(request.scope, _again(await content_of(request))))
    try:
        raw = form_of(fields)
    except ValueError as error:
        raise HttpError(400, "bad_request", str(error)) from None
    form: Form = checked(raw, Form)
    return form if form.page else form.model_copy(update={"page": request.headers.get("referer", "")[:2_000]})


def back(request: Request, form: Form) -> str | None:
    """Where the form wants its sender to go: an address of its own origin, or None."""
    if not form.redirect:
        return None
    origin = _origin(request)
    target = _joined(origin, form.redirect) if origin else ""
    if not origin or _origin_of(target) != origin or any(sign in form.redirect for sign in "\r\n\\"):
        said = (
            f"redirect == {form.redirect[:80]!r}, must be an address of the form's own origin ({origin or 'none told'})"
        )
        raise HttpError(400, "bad_request", said)
    return target


def answered(told: dict[str, Any], target: str | None) -> Response:
    response = answer(told) if target is None else RedirectResponse(target, 303)
    response.headers["access-control-allow-origin"] = "*"  # a page may send its form by script as well
    return response


def _origin(request: Request) -> str | None:
    """What the browser says of where the form is; `null` and nothing are nowhere."""
    return _origin_of(request.headers.get("origin", "")) or _origin_of(request.headers.get("referer", ""))


def _joined(origin: str, target: str) -> str:
    try:
        return urljoin(f"{origin}/", target)
    except ValueError:  # an address that is none
        return ""


def _origin_of(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else None


async def _fields(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(max_files=0, max_fields=MAX_FIELDS, max_part_size=MAX_BODY) as found:
            return [(name, value) for name, value in found.multi_items() if isinstance(value, str)]
    except (HTTPException, ValueError) as error:
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        raise HttpError(400, "bad_request", f"the form cannot be read: {detail}") from None


def _again(content: bytes) -> Any:
    """Hands out the body that was read within its bounds."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    return receive
