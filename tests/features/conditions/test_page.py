"""The examples of docs/conditions.md come out as the page says."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from features.catalog import Catalog
from features.conditions import Condition, Facts, all_bound, allowed_items, bound, matching, parsed, why
from features.events import SCHEMA, Event, Events

PAGE = (Path(__file__).parents[3] / "docs" / "conditions.md").read_text(encoding="utf-8")
MOMENT = datetime(2024, 3, 1)
CUSTOMERS = ["ann", "bob", "eve"]


def block(kind: str) -> list[str]:
    return [line for found in re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for line in found.splitlines()]


def log() -> list[Event]:
    """The page's log: `days customer event fields`."""
    rows = []
    for number, line in enumerate(block("text log")):
        days, customer, rest = line.split(maxsplit=2)
        name, told = rest.split(" {")
        fields = yaml.safe_load("{" + told)
        time = MOMENT - timedelta(days=float(days))
        rows.append(Event("page", str(number), name.strip(), time, time, customer=customer, live=False, **fields))
    return rows


def catalog() -> Catalog:
    header, *rows = [line.split(",") for line in block("text catalog")]
    frame = pd.DataFrame(rows, columns=header)
    return Catalog.of(frame.assign(price=pd.to_numeric(frame["price"])))


def scores() -> dict[str, dict[str, float]]:
    """The page's scores: customer to number, by name."""
    (_, *names), *rows = [line.split(",") for line in block("text scores")]
    return {
        name: {row[0]: float(row[place]) for row in rows if row[place]} for place, name in enumerate(names, start=1)
    }


def condition_of(text: str) -> Condition:
    """The condition, with the page's segments."""
    named = yaml.safe_load("\n".join(block("yaml segments")))["segments"]
    return bound(parsed(yaml.safe_load(text)), all_bound({one["key"]: parsed(one["who"]) for one in named}))


@pytest.mark.parametrize("line", block("yaml"))
def test_a_condition_of_the_page_holds_for_whom_the_page_says(line: str) -> None:
    text, names = line.rsplit("#", 1)
    condition, wanted = condition_of(text), [name for name in re.split(r"[,\s]+", names) if name != "nobody"]
    if text.startswith(("{item:", "{not: {item:")):
        assert allowed_items(condition, catalog()).tolist() == [name for name in wanted if name]
        return
    events = Events.of(pa.Table.from_pylist([event.row() for event in log()], schema=SCHEMA))
    tables = {name: pa.table({"customer": list(one), "score": list(one.values())}) for name, one in scores().items()}
    found = matching(condition, events, MOMENT, scores=tables, catalog=catalog())
    assert found == [name for name in wanted if name]


def test_the_sentences_of_the_page_are_what_why_says() -> None:
    for line in block("text why"):
        customer, text, sentence = line.split(" | ")
        history = [event.row() for event in log() if event.customer == customer]
        told = {name: one[customer] for name, one in scores().items() if customer in one}
        facts = Facts.of(history, MOMENT, scores=told, catalog=catalog())
        assert why(condition_of(text), facts) == sentence.strip()


def test_the_page_shows_each_word() -> None:
    shown = "\n".join(block("yaml"))
    for word in (
        "since:",
        "before:",
        "same:",
        "money:",
        "segment:",
        "within:",
        "count:",
        "where:",
        "all:",
        "any:",
        "not:",
        "trait:",
        "event:",
        "score:",
        "item:",
        "is:",
        "in:",
        "at_least:",
        "at_most:",
    ):
        assert word in shown
