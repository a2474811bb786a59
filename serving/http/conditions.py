"""Conditions: how OpenAPI describes the part of the condition grammar that asks about items (docs/conditions.md)."""

from __future__ import annotations

from typing import Any

from features.placements import OF_ITEMS

NAME = "ItemCondition"
REF = {"$ref": f"#/components/schemas/{NAME}"}
TEXT = {"type": "string", "pattern": r"^[^\u0000]*$"}
SCALAR: list[dict[str, Any]] = [TEXT, {"type": "number"}, {"type": "boolean"}]
NUMBER = {"type": ["number", "null"]}
WORDS: dict[str, Any] = {
    "is": {"anyOf": [*SCALAR, {"type": "null"}]},
    "in": {"anyOf": [{"type": "array", "minItems": 1, "items": {"anyOf": SCALAR}}, {"type": "null"}]},
    "at_least": NUMBER,
    "at_most": NUMBER,
}
ASKED = [{"required": [word], "properties": {word: {"not": {"type": "null"}}}} for word in WORDS]
PARTS = {"type": "array", "minItems": 1, "items": REF}


def _only(**fields: Any) -> dict[str, Any]:
    return {"required": [*fields], "properties": fields, "additionalProperties": False}


ATTRIBUTE = {"item": TEXT | {"minLength": 1}}
KINDS = [
    _only(all=PARTS),
    _only(any=PARTS),
    _only(**{"not": REF}),
    _only(**ATTRIBUTE, exists={"const": False}),  # it stands alone
    {
        "required": ["item"],
        "properties": {**ATTRIBUTE, **WORDS, "exists": {"enum": [True, None]}},
        "additionalProperties": False,
        "anyOf": [*ASKED, {"required": ["exists"], "properties": {"exists": {"const": True}}}],
    },
]
CONDITION: dict[str, Any] = {"type": "object", "description": OF_ITEMS, "allOf": [{"oneOf": KINDS}]}
