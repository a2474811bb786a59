"""Metrics per channel, by hand: ann and bob buy in the shop and by mail, cid of nobody knows where."""

from datetime import datetime, timedelta

import ibis
import pyarrow as pa
import pytest

from features.events import ORDERED, REFUNDED, SCHEMA, Event, Events
from serving.experiments.by_channel import MOST, split_by_channel
from serving.experiments.definitions import Experiment
from serving.experiments.metrics import Metric, standard
from serving.experiments.values import PEOPLE, columns, values

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
LATER = START + timedelta(days=60)
BY = standard()["revenue-by-channel"]
WHOLE = BY.model_copy(update={"by": None})


def event(name: str, customer: str, money: float, channel: str | None) -> Event:
    time = START + timedelta(days=1)
    told = f"{name}-{customer}-{channel}"
    return Event("test", told, name, time, time, customer=customer, quantity=1.0, price=money, channel=channel)


LOG = [
    event(ORDERED, "ann", 30.0, "Web shop"),
    event(ORDERED, "ann", 7.0, "email"),
    event(REFUNDED, "ann", 5.0, "Web shop"),
    event(ORDERED, "bob", 20.0, "Web shop"),
    event(ORDERED, "cid", 9.0, None),
    event("Product Viewed", "cid", 1.0, "ad"),  # no order came from there
]


def rows(events: list[Event]) -> ibis.Table:
    return Events.of(pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA)).before(LATER)


def experiment(**metrics: tuple[str, ...]) -> Experiment:
    return Experiment(key="it", arms={"a": 0.5, "b": 0.5}, **metrics)


def test_one_metric_becomes_those_of_the_channels_and_they_add_up_to_it() -> None:
    asked = experiment(secondary=("time-to-conversion", BY.key))
    found, told = split_by_channel(asked, [standard()["time-to-conversion"], BY], rows(LOG))
    keys = [f"{BY.key}-{channel}" for channel in ("none", "web-shop", "email")]
    assert found.secondary == ("time-to-conversion", *keys)
    assert [one.name for one in told[1:]] == [
        f"Revenue per recipient: {c}" for c in ("no channel", "Web shop", "email")
    ]
    people = [{"customer": who, "arm": "a", "first": START} for who in ("ann", "bob", "cid")]
    wanted = columns([*told[1:], WHOLE], 14)
    made = values(rows(LOG), ibis.memtable(pa.Table.from_pylist(people, schema=PEOPLE)), wanted).to_pyarrow()
    money = {row["customer"]: [row[one.value] for one in wanted] for row in made.to_pylist()}
    assert money == {"ann": [0, 25, 7, 32], "bob": [0, 20, 0, 20], "cid": [9, 0, 0, 9]}


def test_names_that_differ_by_a_letter_alone_are_two_and_of_many_channels_those_with_most_are_told() -> None:
    log = [event(ORDERED, who, 1.0, f"c{number:02}") for number in range(20) for who in ("ann", "bob")]
    log += [event(ORDERED, f"u{number}", 1.0, channel) for number in range(3) for channel in ("Email", "email")]
    found, told = split_by_channel(experiment(secondary=(BY.key,)), [BY], rows(log))
    assert found.secondary[:2] == (f"{BY.key}-email", f"{BY.key}-c00")
    assert f"{BY.key}-email-x" in found.secondary
    assert len(told) == len(set(found.secondary)) == MOST


@pytest.mark.parametrize("role", ["primary", "guardrails"])
def test_it_is_for_secondary_metrics_only(role: str) -> None:
    with pytest.raises(ValueError, match=rf"'it': {role}: '{BY.key}' is told by channel, which only secondary"):
        split_by_channel(experiment(**{role: (BY.key,)}), [BY], rows(LOG))


def test_without_any_order_there_is_no_channel() -> None:
    asked: list[Metric] = [BY]
    found, told = split_by_channel(experiment(secondary=(BY.key,)), asked, rows(LOG[-1:]))
    assert (found.secondary, told) == ((), [])
