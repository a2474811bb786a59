"""The JSON Schemas of a workspace's files; of segments and slots in their own tests, of experiments in serving's."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from features.schemas import FILES, schema
from features.starter import STARTER
from serving.cli import app

SHOP = Path(__file__).parents[2] / "examples" / "shop"
WRONG = {
    "placements": [
        "home: {kk: 3}",
        "home: {k: 0}",
        "home: {steps: [personnal]}",
        "home: {boost: [{where: {item: price, at_most: 3}, by: 0}]}",
        "home: {pinned: [{key: a, items: [x], share: 1.5}]}",
        "home: {budget_ms: 60000}",
        "'a key': {}",
    ],
    "offers": ["[{key: a}]", "[{key: a, name: A, cost: -1}]", "[{key: a, name: A, eligible: {event: A, within: 30}}]"],
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_schema_takes_what_ships_and_refuses_what_is_wrong(kind: str) -> None:
    checked = jsonschema.Draft202012Validator(json.loads(schema(kind)))
    text = STARTER[f"{kind}.yaml"]
    assert checked.is_valid(yaml.safe_load(text))
    assert text.startswith(f"# yaml-language-server: $schema={FILES[kind]}\n")
    for one in WRONG[kind]:
        assert not checked.is_valid(yaml.safe_load(f"{kind}: {one}" if kind == "offers" else f"{kind}: {{{one}}}")), one


@pytest.mark.parametrize("kind", FILES)
def test_init_writes_it_the_example_ships_it_and_the_verb_prints_it(tmp_path: Path, kind: str) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path / "shop")]).exit_code == 0
    told = CliRunner().invoke(app, ["schema", kind])
    assert told.output == schema(kind) + "\n"
    assert (tmp_path / "shop" / FILES[kind]).read_text() == (SHOP / FILES[kind]).read_text() == told.output


def test_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="schema == 'placement', must be one of segments, slots, plac"):
        schema("placement")
