"""Segments: read from the workspace, bound to each other, with errors of one line; and the stages of the lifecycle."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from features.conditions import Facts, holds, members, why
from features.events import ORDERED, SCHEMA, Event, Events
from features.offers import read_offers
from features.schemas import schema
from features.segments import conditions, read_segments
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.starter import STARTER
from features.table import FeatureTable
from serving.cli import app

MOMENT = datetime(2024, 3, 1)
SHOP = Path(__file__).parents[2] / "examples" / "shop"
STAGES = ("new", "active", "loyal", "at-risk", "lapsed")
WRONG = {
    "segments: [{key: a, whoo: {trait: city, is: Lyon}}]": r"unknown key 'segments.0.whoo'; did you mean 'who'\?",
    "segment: []": r"unknown key 'segment'; did you mean 'segments'\?",
    "segments: [{key: a, who: {tray: city}}]": r"segments.0.who == .*; did you mean 'trait'\?",
    "segments: [{key: a, who: {item: price, at_most: 3}}]": "where there are customers only",
    "segments: [{key: a, who: {segment: a}}]": "segments ask for each other in a circle: a -> a",
    "segments: [{key: a, who: {segment: b}}, {key: b, who: {not: {segment: a}}}]": "in a circle: a -> b -> a",
    "segments: [{key: loyal, who: {event: A}}, {key: b, who: {segment: loyl}}]": (
        r"segment 'b': there is no segment 'loyl'; did you mean 'loyal'\?"
    ),
    "segments: [{key: a, who: {event: A}}, {key: a, who: {event: B}}]": "the key 'a' is taken",
}


def written(folder: Path, text: str) -> Path:
    (folder / "segments").mkdir(exist_ok=True)
    (folder / "segments" / "own.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_segment_is_one_line_that_names_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]) as told:
        read_segments(written(tmp_path, text))
    assert str(told.value).startswith(str(tmp_path / "segments"))
    assert "\n" not in str(told.value)


def test_segments_within_segments_cannot_grow_without_bound(tmp_path: Path) -> None:
    wide = [{"key": "s0", "who": {"event": "A"}}]
    wide += [{"key": f"s{n}", "who": {"any": [{"segment": f"s{n - 1}"}] * 9}} for n in range(1, 9)]
    deep = [{"key": "s0", "who": {"event": "A"}}]
    deep += [{"key": f"s{n}", "who": {"not": {"segment": f"s{n - 1}"}}} for n in range(1, 60)]
    for segments in (wide, deep, deep[::-1]):
        with pytest.raises(ValueError, match=r"at most 20 deep with 500 parts|more than 20 deep"):
            read_segments(written(tmp_path, yaml.safe_dump({"segments": segments})))


def test_an_offer_is_for_a_segment_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    written(tmp_path, "segments: [{key: local, who: {trait: city, is: Lyon}}]")
    (tmp_path / "offers.yaml").write_text("offers: [{key: a, name: A, eligible: {not: {segment: local}}}]")
    (offer,) = read_offers(tmp_path)
    lyon = Event("s", "m", "Identify", MOMENT, MOMENT, customer="ann", live=False, properties='{"city": "Lyon"}')
    facts = Facts.of([lyon.row()], MOMENT + timedelta(days=1))
    assert offer.eligible is not None
    assert not holds(offer.eligible, facts)
    assert why(offer.eligible, facts) == "in local: city 'Lyon' is 'Lyon'"
    (tmp_path / "offers.yaml").write_text("offers: [{key: a, name: A, eligible: {segment: locl}}]")
    with pytest.raises(
        ValueError, match=r"offers.yaml: eligible of 'a': there is no segment 'locl'; did you mean 'local'\?"
    ):
        read_offers(tmp_path)


def test_the_schema_takes_what_ships_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    checked = jsonschema.Draft202012Validator(json.loads(schema("segments")))
    shipped = [text for name, text in STARTER.items() if name.startswith("segments/")]
    for text in shipped:
        assert checked.is_valid(yaml.safe_load(text))
        assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    for text in [*list(WRONG)[:3], "segments: [{key: a, who: {event: A, within: 30}}]", "segments: [{key: a}]"]:
        assert not checked.is_valid(yaml.safe_load(text))
    said = CliRunner().invoke(app, ["init", str(tmp_path / "shop")])
    assert said.exit_code == 0
    assert (tmp_path / "shop" / "segments" / "schema.json").read_text() == schema("segments") + "\n"
    assert (SHOP / "segments" / "schema.json").read_text() == schema("segments") + "\n"


def test_the_shipped_stages_are_those_of_the_features() -> None:
    (events,) = [
        Events.of(pa.concat_tables(simulate_events(world_named("shop"), 400, 1, datetime(2026, 1, 1), days=400)))
    ]
    moment = datetime(2025, 12, 1)
    table = FeatureTable.build(events, moment, families=["lifecycle"])
    found = members(conditions(read_segments(SHOP)), events, moment)
    assert table.customers is not None
    assert found.customers.to_pylist() == table.customers.tolist()
    for stage in STAGES:
        told = (table.frame["stage"] == stage.replace("-", "_")).tolist()
        assert found.inside[:, found.names.index(stage)].tolist() == told
        assert any(told)


def orders(*days: float, price: float = 10.0) -> list[dict]:
    times = [MOMENT - timedelta(days=day) for day in days]
    return [
        Event("s", str(n), ORDERED, time, time, customer="ann", live=False, order_id=str(n), price=price).row()
        for n, time in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("rows", "bands"),
    [
        (orders(3, price=600), {"recency-high", "frequency-low", "money-high"}),
        (orders(40, 80, price=60), {"recency-middle", "frequency-middle", "money-middle"}),
        (orders(200, price=99.99), {"recency-low", "frequency-low", "money-low"}),
        (orders(1, 20, 40, 60, 80, 100, price=100), {"recency-high", "frequency-high", "money-high", "best"}),
        (orders(400), set()),
    ],
)
def test_each_buyer_of_the_year_is_in_one_band_of_each_kind(rows: list[dict], bands: set[str]) -> None:
    events = Events.of(pa.Table.from_pylist(rows, schema=SCHEMA))
    found = members(conditions(read_segments(SHOP)), events, MOMENT)
    kinds = ("recency-", "frequency-", "money-", "best")
    assert {
        name for name, inside in zip(found.names, found.inside[0], strict=True) if inside and name.startswith(kinds)
    } == bands
