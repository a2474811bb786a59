"""Browse: the page of all routes, made from the OpenAPI document; it asks nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

import orjson

from features.keys import CATALOG, SEND
from serving.http.openapi import document
from serving.http.roles import NEEDED

JSON = "application/json"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "body{overflow-wrap:anywhere}pre{background:#f4f6f9;padding:.8rem;overflow-x:auto}"
    "td{padding:.2rem 1rem .2rem 0;vertical-align:top}"
    "@media(max-width:30rem){tr{display:block}td{display:inline}}"  # columns would break words
)
HEAD = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
INTRO = (
    "Errors are {code, message}. An Idempotency-Key header gives a retry the same answer. Schema: "
    '<a href="openapi.json">openapi.json</a>'
)
Schema = dict[str, Any]


@cache
def page() -> str:
    """Every route with its fields, answers and an example to paste; then the objects that the fields name."""
    schemas = document()["components"]["schemas"]
    routes = [
        _route(method, path, operation, schemas)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]
    named = [
        f'<section id="{name}"><h2><code>{name}</code></h2>{_fields(schema)}</section>'
        for name, schema in schemas.items()
    ]
    body = "".join([*routes, "<h1>Objects</h1>", *named])
    return f'<!doctype html><html lang="en"><title>Attune API</title>{HEAD}<h1>Attune API</h1><p>{INTRO}</p>{body}'


def _route(method: str, path: str, operation: Schema, schemas: Schema) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    responses = sorted(operation["responses"].items())
    answers = "".join(_row(status, escape(one["description"])) for status, one in responses)
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        f"<p>{escape(operation.get('description', ''))}</p>{_fields(_whole(content.get('schema', {}), schemas))}"
        f"<pre>{escape(_call(path, operation, content.get('example')))}</pre>"
        f"<details><summary>Answers</summary><table>{answers}</table></details></section>"
    )


def _call(path: str, operation: Schema, example: Any) -> str:
    filled = path
    for one in operation.get("parameters", []):
        filled = filled.replace(f"{{{one['name']}}}", one.get("example", f"{{{one['name']}}}"))
    call = f"curl -s localhost:3000{filled}"
    if NEEDED[path] in (SEND, CATALOG) and operation["security"]:
        call += " -u KEY:"
    if example is not None:
        call += f" -H 'content-type: {JSON}' -d '{orjson.dumps(example).decode()}'"
    return call


def _whole(schema: Schema, schemas: Schema) -> Schema:
    """The schema itself where it is only named; the first of several."""
    while either := schema.get("anyOf"):
        schema = either[0]
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _fields(schema: Schema) -> str:
    rows = "".join(_each(schema))
    return f"<table>{rows}</table>" if rows else ""


def _each(schema: Schema) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        default = f"default {orjson.dumps(field['default']).decode()}" if "default" in field else ""
        needed = "required" if name in schema.get("required", []) else default
        yield _row(f"<code>{escape(name)}</code>", _kind(field), escape(needed))


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _kind(schema: Schema) -> str:
    """What a field takes, in words."""
    if "enum" in schema:
        return escape(", ".join(map(repr, schema["enum"])))
    if "const" in schema:
        return escape(orjson.dumps(schema["const"]).decode())
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return " or ".join(map(_kind, either))
    inner = f" of ({_kind(schema['items'])})" if "items" in schema else ""
    kinds = schema.get("type", "anything")
    return (kinds if isinstance(kinds, str) else " or ".join(kinds)) + inner
