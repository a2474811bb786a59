"""Both evaluators mean the same: random conditions over random small logs, with times at the very ends of a window.

A log has 100 to 300 rows of 28 customers and nobody in the month before the moment and just after it; some are a
machine's, some were received late; items may be missing in the catalogue of three, traits may be of any type.
Twelve conditions are asked of each log: of more, hypothesis would drop most examples as too large. They may name three
segments: s0, s1 that may name s0, s2 that may name both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.conditions import (
    Condition,
    Facts,
    all_bound,
    allowed_items,
    bound,
    holds,
    item_holds,
    matching,
    members,
    parsed,
    why,
)
from features.events import IDENTIFIED, ORDERED, SCHEMA, VIEWED, Events

MOMENT = datetime(2024, 3, 1)
TICK, DAY = timedelta(microseconds=1), timedelta(days=1)
AGES = [-TICK, 0 * TICK, TICK, DAY / 2, DAY - TICK, DAY, DAY + TICK, 30 * DAY - TICK, 30 * DAY, 30 * DAY + TICK]
TEXTS = ["Lyon", "lyon", "Ly\u006fn", "zo\u0308", "zö", "", "3", 'it\'s "q"\\', "a\nb", "☕", "null", "true"]
NUMBERS = [0, -0.0, 1, 3, 3.0, 0.1, 0.30000000000000004, 9.99, 2**53 + 1, 1e22, -5, 1e-7]
VALUES = [*TEXTS, *NUMBERS, True, False]
TRAITS = ["city", "city", "naïve ☕", "it's", "a.b"]
WHERE = ["item", "channel", "quantity", "price", "order_id", "category", "mixed", "organic"]
DAYS = [date(2024, 2, 29), date(2024, 1, 31), "2024-02-29T12:00", "2024-02-29T01:00:00+01:00", MOMENT, date(2030, 1, 1)]
NAMES = [VIEWED, ORDERED, IDENTIFIED, "☕ it's"]
CATALOG = Catalog.of(
    pd.DataFrame(
        {
            "item": ["tea", "coffee", "zö"],
            "category": ["Lyon", None, "☕"],
            "price": [0.1, np.nan, 9.99],
            "mixed": pd.Series(["3", 3, True], dtype=object),
            "organic": [True, False, True],
        }
    )
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # each query takes a second: a smaller case would take minutes
CUSTOMERS = ["ann", "bob", "eve", "zoë", "zo\u0308", "nobody", *(f"c{number}" for number in range(22))]
SCORES = {"churn": {"ann": 0.1, "bob": 1.0}, "ltv": {"ann": float("nan"), "zoë": 3.0, "nobody": 9.99}}


def a_log(seed: int, size: int) -> list[dict[str, Any]]:
    """A log of so many rows; drawn by a generator, because hypothesis would draw few rows that are alike."""
    rng = np.random.default_rng(seed)

    def one(*options: Any) -> Any:
        return options[rng.integers(len(options))]

    def told() -> str:
        return orjson.dumps({one(*TRAITS): one(*VALUES, None, [1], {"city": 1}) for _ in range(3)}).decode()

    return [
        {
            "source": one("a", "b"),
            "message_id": one("m1", "m2", "m3"),
            "line": line,
            "name": one(*NAMES, IDENTIFIED),
            "customer": one(*CUSTOMERS, None),
            "anonymous": None,
            "time": MOMENT - one(*AGES),
            "original_time": None,
            "received_at": MOMENT - one(*AGES),
            "live": one(True, False),
            "item": one("tea", "coffee", "zö", "gone", None),
            "quantity": one(None, 1.0, 3.0),
            "price": one(None, float("nan"), 0.1, 0.2, 3.0, -0.0, 0.0, 1e300),
            "order_id": one(None, "o1", "3"),
            "channel": one(None, "Lyon", "lyon"),
            "campaign": one(None, "☕"),
            "machine": one(True, *[False] * 5),
            "properties": one(None, told(), told()),
        }
        for line in range(size)
    ]


def comparisons() -> st.SearchStrategy[dict[str, Any]]:
    value, number = st.sampled_from(VALUES), st.sampled_from(NUMBERS)
    words: dict[str, Any] = {"is": value, "in": st.lists(value, min_size=1, max_size=6), "at_least": number}
    words |= {"at_most": number, "exists": st.just(True)}
    one = [st.fixed_dictionaries({word: drawn}) for word, drawn in words.items()]
    several = st.fixed_dictionaries({}, optional=words).filter(possible)
    return st.one_of(*one, several, st.just({"exists": False}))


def ranges(numbers: Sequence[float] = (0, 1, 2, 3)) -> st.SearchStrategy[dict[str, Any]]:
    number = st.sampled_from(numbers)
    return st.fixed_dictionaries({}, optional={"at_least": number, "at_most": number}).filter(possible)


def possible(asked: dict[str, Any]) -> bool:
    return bool(asked) and asked.get("at_least", -1e99) <= asked.get("at_most", 1e99)


def traits() -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(st.sampled_from(TRAITS), comparisons()).map(lambda drawn: {"trait": drawn[0], **drawn[1]})


def wheres() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(WHERE), comparisons(), max_size=2)


def happened() -> st.SearchStrategy[dict[str, Any]]:
    after = st.fixed_dictionaries({"event": st.sampled_from(NAMES)}, optional={"where": wheres()})
    optional: dict[str, Any] = {
        "count": ranges(),
        "money": ranges([0, 0.1, 0.3, 0.6, 3, 9]),
        "within": st.sampled_from(["1d", "24h", "30d", "15m"]),
        "before": st.sampled_from(["1m", "12h", "1d", "29d", "30d"]),
        "since": st.one_of(st.sampled_from(DAYS), after),
        "same": st.sampled_from(WHERE),
        "where": wheres(),
    }
    asked = st.fixed_dictionaries({"event": st.sampled_from(NAMES)}, optional=optional)
    return asked.filter(lambda raw: "before" not in raw or parses(raw))


def parses(raw: dict[str, Any]) -> bool:
    try:
        return bool(parsed(raw))
    except ValueError:
        return False


def scores() -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(st.sampled_from(list(SCORES)), ranges()).map(lambda drawn: {"score": drawn[0], **drawn[1]})


def attributes() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["item", *CATALOG.frame.columns])
    return st.tuples(names, comparisons()).map(lambda drawn: {"item": drawn[0], **drawn[1]})


def combined(leaf: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def around(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        several = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            several.map(lambda parts: {"all": parts}),
            several.map(lambda parts: {"any": parts}),
            inner.map(lambda part: {"not": part}),
        )

    return st.recursive(leaf, around, max_leaves=3)


def seen(log: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each customer who did something before the moment."""
    visible = [
        row for row in log if row["time"] < MOMENT and not (row["live"] and row["received_at"] >= MOMENT)
    ]  # as `Events.before` says it
    known = sorted({row["customer"] for row in visible if row["customer"] is not None and not row["machine"]})
    return {customer: [row for row in log if row["customer"] == customer] for customer in known}


def known_of(log: list[dict[str, Any]]) -> dict[str, Facts]:
    told = {who: {name: table[who] for name, table in SCORES.items() if who in table} for who in CUSTOMERS}
    return {who: Facts.of(rows, MOMENT, scores=told[who], catalog=CATALOG) for who, rows in seen(log).items()}


def one_by_one(condition: Condition, known: Mapping[str, Facts]) -> list[str]:
    assert all(why(condition, facts) for facts in known.values())
    return [customer for customer, facts in known.items() if holds(condition, facts)]


def row(**fields: Any) -> dict[str, Any]:
    known = {"source": "a", "message_id": "m", "line": 0, "name": VIEWED, "customer": "ann", "time": MOMENT - DAY}
    blank = dict.fromkeys(SCHEMA.names) | {"received_at": MOMENT - DAY, "live": True, "machine": False}
    return blank | known | fields


def conditions(*segments: str) -> st.SearchStrategy[dict[str, Any]]:
    named = [st.sampled_from(segments).map(lambda name: {"segment": name})] if segments else []
    return combined(st.one_of(traits(), happened(), happened(), scores(), *named))


SEGMENTS = st.fixed_dictionaries({"s0": conditions(), "s1": conditions("s0"), "s2": conditions("s0", "s1")})
EDGES = [
    ({"not": {"event": VIEWED}}, []),
    ({"event": VIEWED, "within": "1d"}, [row()]),
    ({"event": VIEWED, "within": "1d", "count": {"at_most": 0}}, [row(time=MOMENT - DAY - TICK)]),
    ({"event": ORDERED, "count": {"at_most": 1}}, [row(name=ORDERED, message_id=m, order_id="o") for m in "ab"]),
    ({"event": VIEWED, "before": "1d"}, [row(time=MOMENT - DAY - TICK)]),
    ({"event": VIEWED, "before": "1d", "count": {"at_most": 0}}, [row()]),
    ({"event": VIEWED, "since": date(2024, 2, 29)}, [row()]),
    ({"event": VIEWED, "since": {"event": ORDERED}}, [row()]),
    ({"event": VIEWED, "since": {"event": ORDERED}, "count": {"at_most": 0}}, [row(), row(name=ORDERED, line=1)]),
    ({"event": VIEWED, "since": {"event": ORDERED}}, [row(), row(name=ORDERED, line=1, time=MOMENT - DAY - TICK)]),
    (
        {"event": VIEWED, "same": "item", "count": {"at_least": 2, "at_most": 2}},
        [row(item=item, message_id=f"m{place}") for place, item in enumerate(["tea", "tea", "zö", None, None, None])],
    ),
    (
        {"event": ORDERED, "money": {"at_least": 0.3, "at_most": 0.3}},
        [row(name=ORDERED, price=price, quantity=3.0, line=line) for line, price in enumerate([0.1, None])],
    ),
    ({"not": {"trait": "city", "at_least": 3}}, [row(name=IDENTIFIED, properties='{"city": "3"}')]),
]


def agree(asked: Sequence[Condition], log: list[dict[str, Any]]) -> bool:
    names = ("customer", "score")
    tables = {name: pa.table([list(one), list(one.values())], names=names) for name, one in SCORES.items()}
    events, known = Events.of(pa.Table.from_pylist(log, schema=SCHEMA)), known_of(log)
    named = {str(place): condition for place, condition in enumerate(asked)}
    found = members(named, events, MOMENT, scores=tables, catalog=CATALOG)
    ids = np.array(found.customers.to_pylist(), dtype=np.str_)
    for place, condition in enumerate(asked):
        assert ids[found.inside[:, place]].tolist() == one_by_one(condition, known), condition
    return ids.tolist() == list(known)


@pytest.mark.slow
@given(st.lists(conditions("s0", "s1", "s2"), min_size=12, max_size=12), SEGMENTS, st.integers(0, 2**32))
@settings(max_examples=170, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_a_query_finds_the_customers_for_whom_the_condition_holds_one_by_one(
    raws: list[dict[str, Any]], segments: dict[str, dict[str, Any]], seed: int
) -> None:
    named = all_bound({name: parsed(raw) for name, raw in segments.items()})
    assert agree([bound(parsed(raw), named) for raw in raws], a_log(seed, 100 + seed % 200))


@pytest.mark.parametrize(("raw", "log"), EDGES)
def test_at_the_edges_all_customers_are_found(raw: dict[str, Any], log: list[dict[str, Any]]) -> None:
    assert agree([parsed(raw)], log)
    assert one_by_one(parsed(raw), known_of(log)) == (["ann"] if log else [])


def test_among_given_customers_those_are_found_who_did_nothing_and_nobody_else() -> None:
    events = Events.of(pa.Table.from_pylist([row(), row(customer="eve", message_id="n")], schema=SCHEMA))
    among = pa.array(["ann", "zed"])
    for raw, found in (({"event": VIEWED}, ["ann"]), ({"not": {"event": VIEWED}}, ["zed"])):
        assert matching(parsed(raw), events, MOMENT, among=among) == found
    scores = {"churn": pa.table({"customer": ["zed"], "score": [0.5]})}
    both = {"any": [{"score": "churn", "at_least": 0.5}, {"trait": "city", "exists": False}]}
    assert matching(parsed(both), events, MOMENT, among=among, scores=scores) == ["ann", "zed"]


@given(combined(attributes()))
@settings(max_examples=60, deadline=None)
def test_a_query_finds_the_items_for_which_the_condition_holds_one_by_one(raw: dict[str, Any]) -> None:
    items = CATALOG.frame.reset_index().to_dict("records")
    wanted = sorted(item["item"] for item in items if item_holds(parsed(raw), item))
    assert allowed_items(parsed(raw), CATALOG).tolist() == wanted
