"""The JSON Schemas of `experiments/` and `metrics.yaml`, which lie downstairs, say what is read here."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from features.schemas import FILES, UPSTAIRS, schema
from features.starter import STARTER
from features.workspace import Frozen, read_yaml
from serving.experiments.definitions import Experiment
from serving.experiments.metrics import STANDARD, Metrics

MODELS: dict[str, type[Frozen]] = {"experiments": Experiment, "metrics": Metrics}
ARMS = "key: t\narms: {a: 0.5, b: 0.5}\n"
WRONG = {
    "experiments": [
        "key: t",
        "key: a b\narms: {a: 0.5, b: 0.5}",
        ARMS + "layer: {start: 0.5}",
        ARMS + "planned: {customers: 0}",
        ARMS + "window_days: 0",
        ARMS + "windowdays: 14",
        ARMS + "audience: {segmnet: loyal}",
    ],
    "metrics": [
        "metrics: [{key: a}]",
        "metrics: [{key: a, name: A, numerator: {event: x, sum: mony}}]",
        "metrics: [{key: a, name: A, numerator: {event: x}, cap: 1.5}]",
    ],
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_schema_downstairs_is_that_of_the_model(kind: str) -> None:
    own = json.dumps(MODELS[kind].model_json_schema(by_alias=True), indent=1)
    assert schema(kind) == own, f"write the model's own schema to {UPSTAIRS / kind}.json"


@pytest.mark.parametrize("kind", MODELS)
def test_it_takes_what_ships_and_refuses_what_is_wrong(kind: str) -> None:
    checked = jsonschema.Draft202012Validator(json.loads(schema(kind)))
    shipped = STANDARD.read_text() if kind == "metrics" else STARTER["experiments/checkout-badge.yaml"]
    assert checked.is_valid(yaml.safe_load(shipped))
    for one in WRONG[kind]:
        assert not checked.is_valid(yaml.safe_load(one)), one


@pytest.mark.parametrize("kind", MODELS)
def test_what_it_refuses_is_refused_when_it_is_read(kind: str, tmp_path: Path) -> None:
    for number, one in enumerate(WRONG[kind]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(one)
        with pytest.raises(ValueError, match=str(number)):
            read_yaml(path, MODELS[kind])


def test_the_shipped_experiment_names_its_schema() -> None:
    text = STARTER["experiments/checkout-badge.yaml"]
    assert text.startswith(f"# yaml-language-server: $schema={Path(FILES['experiments']).name}\n")
