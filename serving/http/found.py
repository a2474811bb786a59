"""Found: how OpenAPI describes what a route answers with 200; clients are checked against it."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
NULL_STRING: Schema = {"type": ["string", "null"]}
NULL_NUMBER: Schema = {"type": ["number", "null"]}
ANY_OBJECT: Schema = {"type": "object"}
NULL_OBJECT: Schema = {"type": ["object", "null"]}


def whole(**fields: Schema) -> Schema:
    """An object that has all of these fields."""
    return {"type": "object", "properties": fields, "required": sorted(fields)}


def listed(one: Schema) -> Schema:
    return {"type": "array", "items": one}


def named(one: Schema) -> Schema:
    """An object whose fields have names that nobody knows beforehand."""
    return {"type": "object", "additionalProperties": one}


def explained(answer: Schema, **reasons: Schema) -> Schema:
    """The answer with what `explain` leaves out (none) or adds (full)."""
    return answer | {"properties": answer["properties"] | reasons | {"options": OPTIONS, "context": CONTEXT}}


FACTS = {  # what every answer says about its decision
    **dict.fromkeys(("decision_id", "reason", "policy", "workspace_hash"), STRING),
    **dict.fromkeys(("model", "model_version", "fallback"), NULL_STRING),
    "probability": NUMBER,
}
WHY = whole(kind=STRING, text=STRING, cites=listed(STRING))
WHY["properties"] |= {
    "pinned": STRING | {"description": "The promotion that put it there."},
    "boosted": NUMBER | {"description": "The factor by which the shop moved it."},
}
SCORE = NULL_NUMBER | {"description": "Null for a promotion."}
OPTION = whole(key=STRING, eligible=BOOLEAN, reason=NULL_STRING, **dict.fromkeys(("score", "probability"), NULL_NUMBER))
OPTIONS = listed(OPTION) | {"description": "What was considered, with its score."}
CONTEXT = ANY_OBJECT | {"description": "What was asked, and what is the kind's own."}
ITEM = whole(**dict.fromkeys(("item", "name", "step"), STRING), score=SCORE)
ITEM["properties"] |= {"reason": WHY | {"description": "Not with `explain: none`."}}
ITEMS = explained(whole(items=listed(ITEM), **FACTS))
ELEMENT = whole(text=STRING, variant=STRING, probability=NUMBER)
FLIP = whole(**dict.fromkeys(("words", "offer", "best", "then"), STRING), **dict.fromkeys(("effect", "at"), NUMBER)) | {
    "type": ["object", "null"],
    "description": "The nearest flip: were the effect of `offer` `at`, not `effect`, `then` would win, not `best`.",
}
OFFER = explained(
    whole(
        **dict.fromkeys(("offer", "name", "code"), NULL_STRING),
        **dict.fromkeys(("effect", "effect_lower", "effect_upper"), NULL_NUMBER),
        **dict.fromkeys(("cost", "expected_profit"), NUMBER),
        **FACTS,
    ),
    what_would_change=FLIP,
)
SLOT = explained(
    whole(
        **dict.fromkeys(("slot", "kind", "content"), STRING),
        **dict.fromkeys(("offer", "code"), NULL_STRING),
        held_out=BOOLEAN,
        elements=named(ELEMENT),
        items=listed(ITEM),
        **FACTS,
    )
)
METRIC = {  # of the control the mean alone; null while nobody's window has closed
    "type": "object",
    "required": ["mean"],
    "properties": {
        **dict.fromkeys(("mean", "difference", "lower", "upper", "p_value"), NULL_NUMBER),
        "verdict": STRING,
    },
}
REPORT = whole(
    **dict.fromkeys(("experiment", "description", "computed_at", "currency", "control", "verdict"), STRING),
    **dict.fromkeys(("window_days", "window_open", "saw_two_arms", "unknown_arm", "age_seconds"), INTEGER),
    arms=listed(whole(arm=STRING, customers=INTEGER, metrics=named(METRIC))),
    sample_ratio=whole(p_value=NUMBER, as_planned=BOOLEAN),
    left_out=STRING,
)
REPORT["properties"] |= {  # a stored report that an older version made has none of these
    "looks": whole(done=INTEGER, fraction=NULL_NUMBER, bound=NULL_NUMBER, next=NULL_STRING, end=NULL_STRING),
    "plan": whole(hash=STRING, at_first_exposure=STRING, changed=BOOLEAN, since=NULL_STRING),
    "over_time": named(named(listed(whole(day=STRING, customers=INTEGER, difference=NUMBER)))),
    **dict.fromkeys(("segments", "novelty", "elements"), NULL_OBJECT),
    "exposures": whole(**dict.fromkeys(("customers", "seen_again", "saw_two_arms", "beyond_plan"), INTEGER)),
    "placebo": {  # a sentence where it cannot be told
        "type": "object",
        "properties": {
            **dict.fromkeys(("untold", "from", "until"), STRING),
            **dict.fromkeys(("splits", "customers"), INTEGER),
            "metrics": named(whole(false_alarms=INTEGER, rate=NUMBER, lower=NUMBER, upper=NUMBER)),
        },
    },
    "spread": named(whole(edges=listed(NUMBER), arms=named(ANY_OBJECT))),
    "warnings": listed(STRING),
}
CUSTOMER = whole(
    **dict.fromkeys(("customer", "features_as_of"), STRING),
    ids=listed(STRING),
    stage=NULL_STRING,
    segments={"anyOf": [listed(STRING), ANY_OBJECT]},  # an object where a file of segments is wrong
    consents=named(BOOLEAN),
    **dict.fromkeys(("traits", "profile", "would_recommend", "would_offer"), ANY_OBJECT),
    **dict.fromkeys(("models", "consent_rows", "last_events"), listed(ANY_OBJECT)),
    last_decision={"type": ["object", "null"]},
)
DECISION = whole(
    **FACTS,
    kind=STRING,
    time=STRING | {"description": "UTC without a zone."},
    customer=NULL_STRING,
    options=OPTIONS,
    chosen=listed(STRING),
    context=CONTEXT,
)
FOUND: dict[str, Schema] = {
    **dict.fromkeys(("/v1/recommend", "/v1/recommend/basket", "/v1/recommend/similar"), ITEMS),
    "/v1/recommend/batch": whole(answers=listed(ITEMS)),
    "/v1/offers/select": OFFER,
    "/v1/decide": SLOT,
    "/v1/experiments/{key}/assign": whole(experiment=STRING, arm=STRING, in_experiment=BOOLEAN, **FACTS),
    "/v1/experiments/{key}/report": REPORT,
    "/v1/customers/{customer}": CUSTOMER,
    "/v1/decisions/{decision}": DECISION,
}
