"""The client's signatures say what the service's OpenAPI says: routes, fields and types, in both directions."""

import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import unquote

import httpx
import pytest

from attune_client.calls import SEGMENTS, Call
from attune_client.client import Calls, Endpoint
from serving.http.calls import ALIASES
from serving.http.fetched import FETCHED, SHOWN

LEFT = {  # what others ask: libraries, forms, a stock feed, providers, shoppers and operators
    *(f"POST /v1/{name}" for name in ("page", "screen", "group", "alias", "batch")),
    "POST /v1/forms/{}",
    "POST /v1/catalog/items",
    "POST /v1/receipts/{}",
    *(f"{method} /v1/pages/{{}}" for method in ("GET", "POST")),
    "GET /v1/ready",
    *(f"POST /v1/{name}" for name in ALIASES),
    *(f"POST /api/{name}" for name in ("recommend", "offers/select", "experiments/assign")),
    "POST /v1/m",
    *(f"GET {path}" for path in FETCHED),
    *(f"GET {path.replace('{name}', '{}')}" for path in SHOWN),
    *(f"POST /reports/sign-{way}" for way in ("in", "out")),
    "GET /",
}
NEEDED: dict[str, Any] = {"outcomes": {"outcomes": []}}  # what a call looks into before it is sent
OWN = {"sentAt", "writeKey"}  # the client says the time of sending itself, and the key in a header
LIBRARIES = {"channel", "originalTimestamp"}  # what only the libraries of Segment and RudderStack say
KEYED = "Idempotency-Key"
ONES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null", Any: "anything"}
Document = dict[str, Any]
Shape = frozenset[Any]  # of the alternatives
Fields = dict[str, tuple[Shape, bool]]  # by name the shape, without null, and whether it is needed


def differences(document: Document) -> list[str]:
    """A line for each thing that one of the two has and the other has not."""
    theirs, ours = dict(routes(document)), dict(calls())
    missing = [f"the client lacks {route}" for route in theirs.keys() - ours.keys() - LEFT]
    unknown = [f"the service lacks {route}" for route in (ours.keys() | LEFT) - theirs.keys()]
    both = theirs.keys() & ours.keys()
    return missing + unknown + [line for route in both for line in unlike(route, ours[route], theirs[route], document)]


def routes(document: Document) -> Iterator[tuple[str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {bare(path)}", operation


def calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    for endpoint in vars(Calls).values():
        if isinstance(endpoint, Endpoint):
            parts = [
                one for one in inspect.signature(endpoint.call).parameters.values() if one.kind is not one.VAR_KEYWORD
            ]
            call = endpoint.call(*["{part}" for _ in parts], **NEEDED.get(endpoint.call.__name__, {}))
            assert isinstance(call, Call)
            yield f"{call.method} {bare(unquote(call.path))}", endpoint.call


def bare(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def unlike(route: str, call: Callable[..., Any], operation: Any, document: Document) -> Iterator[str]:
    sent, answered = signature(call)
    headers = {one["name"] for one in operation.get("parameters", []) if one["in"] == "header"}
    if (KEYED in headers) != ("idempotency_key" in sent):
        yield f"{route}: only one of the two knows the {KEYED}"
    names = SEGMENTS if "message_id" in sent else {}
    asked = {names.get(name, name): one for name, one in sent.items() if name != "idempotency_key"}
    taken = {} if "requestBody" not in operation else fields_of(inner(operation["requestBody"]), document)
    aside = OWN | LIBRARIES if names else OWN
    taken = {name: one for name, one in taken.items() if name not in aside}
    for name in asked.keys() | taken.keys():
        if name not in asked or name not in taken:
            yield f"{route}: only one of the two asks for {name}"
        elif not asked[name][0] <= taken[name][0] or asked[name][1] != taken[name][1]:
            yield f"{route}: {name} is {asked[name]} and {taken[name]}"
    found = described(inner(operation["responses"]["200"]), document)
    if answered != found:
        yield f"{route}: the answer is {answered ^ found}"


def signature(call: Callable[..., Any]) -> tuple[Fields, Shape]:
    hints = get_type_hints(call, include_extras=True)
    (answer,) = get_args(hints["return"])
    kinds = [get_args(hint)[0] for name, hint in hints.items() if name in ("asked", "sent")]
    return fields(kinds[0]) if kinds else {}, shape(answer)


def fields(kind: Any) -> Fields:
    hints = get_type_hints(kind, include_extras=True)
    return {name: (shape(hint) - {"null"}, name in kind.__required_keys__) for name, hint in hints.items()}


def shape(hint: Any) -> Shape:
    """The shape of a type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Required, NotRequired):
        return shape(parts[0])
    if origin in (Union, UnionType):
        return frozenset().union(*map(shape, parts))
    if is_typeddict(hint):
        return frozenset({("object", frozenset(exact(hint)))})
    if origin is Literal:
        return frozenset({("value", part) for part in parts})
    kind = {list: "list", Sequence: "list", dict: "map", Mapping: "map"}.get(origin)
    return frozenset({ONES[hint] if kind is None else (kind, shape(parts[-1]))})


def exact(kind: Any) -> Iterator[tuple[str, Shape, bool]]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        yield name, shape(hint), name in kind.__required_keys__


def fields_of(schema: Any, document: Document) -> Fields:
    if "anyOf" in schema:  # one outcome or many: the client sends many
        schema = schema["anyOf"][-1]
    schema = whole(schema, document)
    needed = schema.get("required", [])
    return {
        name: (described(one, document) - {"null"}, name in needed)
        for name, one in schema.get("properties", {}).items()
    }


def whole(schema: Any, document: Document) -> Any:
    """The schema itself where it is only named."""
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def described(schema: Any, document: Document) -> Shape:
    """The shape of a JSON Schema."""
    schema = whole(schema, document)
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return frozenset().union(*(described(one, document) for one in either))
    if "enum" in schema:
        return frozenset({("value", one) for one in schema["enum"]})
    if "const" in schema:
        return shape(type(schema["const"]))
    kinds = schema.get("type", "anything")
    return frozenset({_one(kind, schema, document) for kind in ([kinds] if isinstance(kinds, str) else kinds)})


def _one(kind: str, schema: Any, document: Document) -> Any:
    if kind == "array":
        return "list", described(schema["items"], document)
    if kind != "object":
        return kind
    if "properties" in schema:
        needed = schema.get("required", [])
        return "object", frozenset(
            (name, described(one, document), name in needed) for name, one in schema["properties"].items()
        )
    values = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties", True))
    return "map", described({} if values is True else values, document)


def inner(message: Any) -> Any:
    return message["content"]["application/json"]["schema"]


@pytest.fixture(scope="module")
def document(place) -> Document:
    return dict(httpx.get(f"{place.url}/v1/openapi.json").json())


def test_the_client_and_the_openapi_say_the_same(document: Document) -> None:
    assert differences(document) == []


def body(document: Document, path: str) -> Any:
    return whole(inner(document["paths"][path]["post"]["requestBody"]), document)


def found(document: Document, path: str) -> Any:
    return inner(document["paths"][path]["post"]["responses"]["200"])


CHANGES: dict[str, Callable[[Document], object]] = {
    "the client lacks POST /v1/new": lambda one: one["paths"].update({"/v1/new": {"post": {}}}),
    "the service lacks POST /v1/decide": lambda one: one["paths"].pop("/v1/decide"),
    "POST /v1/decide: only one of the two asks for new": lambda one: body(one, "/v1/decide")["properties"].update(
        new={}
    ),
    "POST /v1/decide: only one of the two asks for cart": lambda one: body(one, "/v1/decide")["properties"].pop("cart"),
    "POST /v1/decide: item is": lambda one: body(one, "/v1/decide")["properties"].update(item={"type": "integer"}),
    "POST /v1/decide: slot is": lambda one: body(one, "/v1/decide")["required"].remove("slot"),
    "POST /v1/decide: the answer is": lambda one: found(one, "/v1/decide")["properties"].pop("code"),
    "POST /v1/recommend: the answer is": lambda one: found(one, "/v1/recommend")["properties"].update(new={}),
    "POST /v1/track: the answer is": lambda one: found(one, "/v1/track")["required"].clear(),
    "POST /v1/track: only one of the two asks for userId": lambda one: body(one, "/v1/track")["properties"].pop(
        "userId"
    ),
    f"POST /v1/decide: only one of the two knows the {KEYED}": (
        lambda one: one["paths"]["/v1/decide"]["post"].pop("parameters")
    ),
}


@pytest.mark.parametrize("line", CHANGES)
def test_a_change_on_one_side_is_found(document: Document, line: str) -> None:
    changed = copy.deepcopy(document)
    CHANGES[line](changed)
    assert any(one.startswith(line) for one in differences(changed))
