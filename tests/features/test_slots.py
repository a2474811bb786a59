"""Slots: read from the workspace, with errors of one line that name the place."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from features.schemas import schema
from features.slots import read_slots
from features.starter import STARTER
from serving.cli import app

SHOP = Path(__file__).parents[2] / "examples" / "shop"
ELEMENTS = "kind: web\nelements: {head: {default: Hello}}\n"


def one(variants: str) -> str:
    """A slot with one content with these variants of its element."""
    return f"{ELEMENTS}contents: [{{key: a, elements: {{head: [{variants}]}}}}]"


WRONG = {
    "kind: web\nelements: {head: {}}": r"elements.head.default: Field required",
    "kind: web": r"elements: Field required",
    "kind: web\nelements: {}": r"elements == {}: .* at least 1 item",
    f"{ELEMENTS}hold_out: 0.1": r"unknown key 'hold_out'; did you mean 'holdout'\?",
    f"{ELEMENTS}holdout: 1": r"holdout == 1: .* less than 1",
    "kind: page\nelements: {head: {default: Hello}}": r"kind == 'page': .*'landing', 'web'",
    f"{ELEMENTS}purpose: fun": r"purpose == 'fun': .*'personalisation'",
    f"{ELEMENTS}items: {{k: 3, filter: {{trait: city, is: Lyon}}}}": "where there are items only",
    f"{ELEMENTS}contents: [{{key: a}}, {{key: a}}]": r"two contents have the key 'a'$",
    f"{ELEMENTS}contents: [{{key: default}}]": r"one of the contents has the key 'default', which every one has",
    f"{ELEMENTS}contents: [{{key: a, audience: {{segment: nope}}}}]": r"content 'a': there is no segment 'nope'",
    f"{ELEMENTS}contents: [{{key: a, audience: {{trait: city, iz: Lyon}}}}]": r"unknown key 'iz'; did you mean 'is'\?",
    f"{ELEMENTS}contents: [{{key: a, elements: {{haed: []}}}}]": r"there is no element 'haed'; did you mean 'head'\?",
    one("{key: b}"): r"contents.0.elements.head.0.text: Field required",
    one("{key: b, text: B, share: 0}"): r"share == 0: .* greater than 0",
    one("{key: b, text: B, share: 0.6}, {key: c, text: C, share: 0.5}"): (
        r"shares == \[0.6, 0.5\], must sum to at most 1 \(head of content 'a'\)$"
    ),
    one("{key: b, text: B, share: 1}, {key: c, text: C}"): r"\[1.0\] leave nothing to the variants without a share",
    one("{key: b, text: B}, {key: b, text: C}"): r"two variants have the key 'b' \(head of content 'a'\)$",
    one("{key: b, text: {template: ../secret.liquid}}"): r"text.template == '../secret.liquid'",
    "kind: web\nelements: {offer: {default: Hello}}": r"an element has the name 'offer'",
}


def written(folder: Path, text: str, name: str = "own") -> Path:
    (folder / "slots").mkdir(exist_ok=True)
    (folder / "slots" / f"{name}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_slot_is_one_line_that_names_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]) as told:
        read_slots(written(tmp_path, text))
    assert str(told.value).startswith(str(tmp_path / "slots" / "own.yaml"))
    assert "\n" not in str(told.value)


def test_a_slot_is_named_by_its_file(tmp_path: Path) -> None:
    assert list(read_slots(written(tmp_path, ELEMENTS, "home-hero"))) == ["home-hero"]
    with pytest.raises(ValueError, match="the file's name is the slot's key"):
        read_slots(written(tmp_path, ELEMENTS, "home hero"))


def test_the_schema_takes_what_ships_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    checked = jsonschema.Draft202012Validator(json.loads(schema("slots")))
    shipped = [text for name, text in STARTER.items() if name.startswith("slots/")]
    assert len(shipped) == 2
    for text in shipped:
        assert checked.is_valid(yaml.safe_load(text))
        assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    for text in list(WRONG)[:7]:
        assert not checked.is_valid(yaml.safe_load(text)), text
    assert CliRunner().invoke(app, ["init", str(tmp_path / "shop")]).exit_code == 0
    assert (tmp_path / "shop" / "slots" / "schema.json").read_text() == schema("slots") + "\n"
    assert (SHOP / "slots" / "schema.json").read_text() == schema("slots") + "\n"
