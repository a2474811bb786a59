"""Where a customer came from: first and last, by campaign, referrer or form; a query and one customer agree."""

import json
from datetime import datetime, timedelta

import orjson
import pyarrow as pa
import pytest

from features.conditions import Facts, holds, matching, parsed
from features.customers.touches import TOUCHES
from features.events import SCHEMA, Event, Events
from features.table import FeatureTable

MOMENT = datetime(2026, 3, 1)  # UTC, as the tables keep it
OWN = {"url": "https://www.shop.example/tea"}


def event(customer: str, days_ago: float, name: str = "Page Viewed", **fields: object) -> Event:
    time = MOMENT - timedelta(days=days_ago)
    properties = fields.pop("properties", None)
    told = None if properties is None else orjson.dumps(properties).decode()
    return Event("web", f"{customer}{days_ago}", name, time, time, customer=customer, properties=told, **fields)


def context(**told: object) -> dict[str, object]:
    return {"properties": {"context": told}}


LOG = [
    event("ann", 9, **context(campaign={"source": "mail", "name": "spring"}, page=OWN), campaign="spring"),
    event("ann", 8, **context(page=OWN | {"referrer": "https://www.Search.example:443/?q=tea"})),
    event("ann", 7, **context(page=OWN | {"referrer": "https://shop.example/"})),
    event("ann", 6),
    event("bob", 5, "Form Submitted", properties={"form": "news"}),
    event("bob", 4, **context(referrer={"url": "http://friend.example/x"})),
    event("cid", 3, **context(page={"url": 7, "referrer": {}}, campaign="odd")),
    event("dan", 2, properties=["context"]),
    event("eve", 1, **context(campaign={"source": "ads"}), machine=True),
    event("fay", 1, **context(campaign={"source": 'a"b\\c', "name": ""})),
]
FOUND = {
    "ann": {
        "first_source": "mail",
        "last_source": "search.example",
        "first_campaign": "spring",
        "last_campaign": "spring",
    },
    "bob": {"first_source": "news", "last_source": "friend.example"},
    "fay": {"first_source": 'a"b\\c', "last_source": 'a"b\\c'},
}


def events() -> Events:
    return Events.of(pa.Table.from_pylist([one.row() for one in LOG], schema=SCHEMA))


def test_they_are_features_like_traits() -> None:
    frame = FeatureTable.build(events(), MOMENT, traits=TOUCHES).to_pandas()
    for customer in ("ann", "bob", "cid", "dan", "fay"):
        known = frame.loc[customer, list(TOUCHES)].dropna().to_dict()
        assert known == FOUND.get(customer, {})


@pytest.mark.parametrize("trait", TOUCHES)
@pytest.mark.parametrize(
    "value", ["mail", "search.example", "spring", "news", "friend.example", 'a"b\\c', "ads", "odd"]
)
def test_conditions_ask_for_them_and_one_customer_is_answered_as_all(trait: str, value: str) -> None:
    condition = parsed({"trait": trait, "is": value})
    expected = [customer for customer, told in FOUND.items() if told.get(trait) == value]
    assert matching(condition, events(), MOMENT) == expected
    for customer in ("ann", "bob", "cid", "dan", "eve", "fay"):
        facts = Facts.of([one.row() for one in LOG if one.customer == customer], MOMENT)
        assert holds(condition, facts) == (customer in expected)


def test_what_is_not_known_yet_is_no_touch() -> None:
    early = MOMENT - timedelta(days=8, hours=12)
    frame = FeatureTable.build(events(), early, traits=TOUCHES).to_pandas()
    assert json.loads(frame.loc[["ann"]].to_json(orient="records"))[0]["last_source"] == "mail"
