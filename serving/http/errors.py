"""Errors as every client sees them: `{"code", "message"}`, one line that names the field."""

from __future__ import annotations

import difflib
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from serving.decisions.requests import Request as Body

MAX_BODY = 1 << 20  # bytes


class HttpError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def answer(value: Any, status: int = 200) -> Response:
    """The value as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def refused(error: HttpError) -> Response:
    return answer({"code": error.code, "message": error.message}, error.status)


async def body_of(request: Request, model: type[Body]) -> Any:
    """The request's body as this model; 400 or 413 in one line where it is none."""
    size = request.headers.get("content-length", "0")
    if size.isdigit() and int(size) > MAX_BODY:
        raise HttpError(413, "too_large", f"the body has {size} bytes, at most {MAX_BODY} are taken")
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MAX_BODY:
            raise HttpError(413, "too_large", f"the body has more than the {MAX_BODY} bytes that are taken")
    return parsed(bytes(chunks), model)


def parsed(content: bytes, model: type[Body]) -> Any:
    """The bytes as this model."""
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, "not_json", f"the body is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise HttpError(400, "bad_request", f"the body is a {type(raw).__name__}, an object is needed")
    return checked(raw, model)


def checked(raw: dict[str, Any], model: type[Body]) -> Any:
    """The object as this model."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise HttpError(400, "bad_request", _fault(error, model)) from None


def _fault(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, model.model_fields, n=1)
        return f"unknown field {field!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known: {_known(model)}")
    given = "" if first["type"] == "missing" else f" == {str(first['input'])[:80]!r}"
    return f"{field}{given}: {first['msg']}"


def _known(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)
