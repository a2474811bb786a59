"""Ready: what is wrong with a slot's texts and conditions is one line with the file and the line of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.catalog import Catalog
from serving.content.ready import Ready, read_ready, require_known_scores

CATALOG = Catalog.of(pd.DataFrame({"item": ["tea"], "price": [4.0]}))
SLOT = """\
kind: web
elements:
  head: {default: Hello}
  body:
    default: {default}
contents:
  - key: own
    {rule}
    elements:
      head:
        - key: one
          text: {text}
"""
WRONG = {
    "'{{ items[0] }'": "own.yaml:12: ",
    "|\n            line one\n            {% if a": "own.yaml:14: ",
    "'{% for %}'": "own.yaml:12: ",
    "|\n            line one\n            {{ custmer.name }}": "own.yaml:14: Liquid knows no name 'custmer' here",
    "'{{ trait.city }}'": "own.yaml:12: Liquid knows no name 'trait' here; did you mean 'traits'?",
    "'{{ traits.city | upcaes }}'": "own.yaml:12: Liquid knows no filter 'upcaes' here; did you mean 'upcase'?",
    "{template: nope.liquid}": "own.yaml:12: there is no file {folder}/templates/nope.liquid",
    "'{% render \"nope.liquid\" %}'": "own.yaml:12: there is no file {folder}/templates/nope.liquid",
    "{template: names.liquid}": "templates/names.liquid:3: Liquid knows no name 'nobody' here",
}


def read(folder: Path, *, text: str = "Hi", default: str = "Hello", rule: str = "description: own") -> Ready:
    for name in ("slots", "templates"):
        (folder / name).mkdir(exist_ok=True)
    slot = SLOT.replace("{default}", default).replace("{rule}", rule).replace("{text}", text)
    (folder / "slots" / "own.yaml").write_text(slot)
    (folder / "templates" / "names.liquid").write_text("one\n\n{{ nobody }}\n")
    (folder / "templates" / "price.liquid").write_text("{% for item in items %}{{ item.price | price }}{% endfor %}")
    (folder / "placements.yaml").write_text("placements: {home-page: {k: 3}}")
    slots = read_ready(folder, "EUR", CATALOG, ["coupon"])
    require_known_scores(folder, slots.values(), ["effect of coupon"])
    return slots["own"]


def refused(folder: Path, **said: str) -> str:
    with pytest.raises(ValueError, match=r"own|templates") as told:
        read(folder, **said)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_text_names_its_file_and_line(tmp_path: Path, text: str) -> None:
    assert WRONG[text].replace("{folder}", str(tmp_path)) in refused(tmp_path, text=text)


def test_a_template_that_nobody_names_is_parsed_too(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "later.liquid").write_text("fine\n{% endif %}\n")
    assert "templates/later.liquid:2: " in refused(tmp_path)


@pytest.mark.parametrize(
    ("default", "why"),
    [
        ("'{{ traits.city | default: 1 }}'", "the default of 'body' asks for ['traits']; a default says the same"),
        ("'{% if offer %}a{% endif %}'", "asks for ['offer']"),
        ("'{{ items[0].name }}'", "says nothing where there are no items: index out of range"),
        ("'{% for i in (1..99999) %}a{% endfor %}'", "loop iteration limit"),
    ],
)
def test_a_default_that_does_not_say_the_same_to_everybody_is_refused(tmp_path: Path, default: str, why: str) -> None:
    assert why in refused(tmp_path, default=default)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("offers: [coupn]", "content 'own': there is no offer 'coupn'; did you mean 'coupon'?"),
        ("items: {k: 3, filter: {item: colour, is: red}}", "the catalogue has no attribute 'colour'"),
        ("items: {placement: home-pag}", "there is no placement 'home-pag'; did you mean 'home-page'?"),
        ("audience: {event: Product Viewed, where: {colour: red}}", "the catalogue has no attribute 'colour'"),
        ("audience: {score: effect of coupn, at_least: 1}", "there is no score 'effect of coupn'"),
    ],
)
def test_what_the_shop_does_not_have_is_refused(tmp_path: Path, rule: str, why: str) -> None:
    assert why in refused(tmp_path, rule=rule)


def test_a_slot_knows_what_it_asks_of_a_customer(tmp_path: Path) -> None:
    ready = read(tmp_path, text="'{{ traits.city }} {{ stage }}'", rule="audience: {event: Product Viewed}")
    assert ready.roots == {"traits", "stage"}
    asked = {str(getattr(one, "event", getattr(one, "trait", ""))) for one in ready.conditions}
    assert asked == {"Product Viewed", "city", "Order Completed"}
    assert ready.plain == {"head": "Hello", "body": "Hello"}
