"""Errors as every client sees them: `{"code", "message"}`, one line that names the field."""

from __future__ import annotations

import difflib
import logging
from asyncio import timeout
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from features.depth import writable
from serving.decisions.requests import Id
from serving.decisions.requests import Request as Body

log = logging.getLogger("attune.errors")
MAX_BODY = 1 << 20  # bytes
BODY_SECONDS = 4  # for a body to come in: below the service's own limit, so that who is slow is told
MAX_MESSAGE = 500  # characters; what was given may be as long as a body
ID = TypeAdapter[str](Id)


class HttpError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}
        self.message = " ".join(message[:MAX_MESSAGE].split())

    @property
    def body(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


def answer(value: Any, status: int = 200) -> Response:
    """The value as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def refused(error: HttpError) -> Response:
    response = answer(error.body, error.status)
    response.headers.update(error.headers)
    return response


async def body_of(request: Request, model: type[Body]) -> Any:
    """The request's body as this model; 400 or 413 in one line where it is none."""
    return parsed(await content_of(request), model)


async def content_of(request: Request, most: int = MAX_BODY, hold: Callable[[int], object] = int) -> bytes:
    """The request's body; 413 as soon as it is known to be too large. `hold` is told of each part that came."""
    size = request.headers.get("content-length", "0")
    if size.isdigit() and int(size) > most:
        raise HttpError(413, "too_large", f"the body has {size} bytes, at most {most} are taken")
    chunks = bytearray()
    with _patient():
        async with timeout(BODY_SECONDS):
            async for chunk in request.stream():
                hold(len(chunk))
                chunks += chunk
                if len(chunks) > most:
                    raise HttpError(413, "too_large", f"the body has more than the {most} bytes that are taken")
    return bytes(chunks)


@contextmanager
def _patient() -> Iterator[None]:
    """A body that does not come in time, or whose sender went away."""
    try:
        yield
    except TimeoutError:
        said = f"the body did not come within {BODY_SECONDS} seconds; send it faster, or less of it"
        raise HttpError(408, "too_slow", said, {"connection": "close"}) from None
    except ClientDisconnect:
        raise HttpError(400, "gone", "the connection ended within the body") from None


@contextmanager
def stored() -> Iterator[None]:
    """What the ledger could not do is 503: nothing was kept, and the same again may succeed."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        log.warning("the ledger could not take it: %s", error)  # where it is is nobody's business who sends
        raise HttpError(503, "not_stored", "the ledger could not take it; nothing was kept") from None


def parsed(content: bytes, model: type[BaseModel]) -> Any:
    """The bytes as this model."""
    return checked(loaded(content), model)


def loaded(content: bytes) -> dict[str, Any]:
    """The bytes as an object."""
    try:
        raw = writable(orjson.loads(content), content)
    except ValueError as error:
        raise HttpError(400, "not_json", f"the body is not JSON that can be taken: {error}") from None
    if not isinstance(raw, dict):
        raise HttpError(400, "bad_request", f"the body is a {type(raw).__name__}, an object is needed")
    return raw


def id_of(request: Request, name: str) -> str:
    """The id that the path holds under this name."""
    given = request.path_params[name]
    try:
        return ID.validate_python(given)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise HttpError(400, "bad_request", f"{name} == {given!r:.80}: {said}") from None


def checked(raw: dict[str, Any], model: type[BaseModel]) -> Any:
    """The object as this model."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise HttpError(400, "bad_request", _fault(error, model)) from None


def _fault(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    field = ".".join(str(part)[:80] for part in first["loc"] if str(part)[:1] != "(")  # not the tags of a union
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, model.model_fields, n=1)
        return f"unknown field {field!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known: {_known(model)}")
    given = "" if first["type"] == "missing" else f" == {first['input']!r:.80}"
    return f"{field}{given}: {first['msg'].removeprefix('Value error, ')}"


def _known(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)
