"""Liquid: what is missing, what is escaped, and that every text ends."""

from __future__ import annotations

import time

import pytest

from serving.content.liquid import BrokenTextError, environment, rendered

FILES = {"self.liquid": "{% render 'self.liquid' %}", "name.liquid": "<b>{{ item.name }}</b>"}
GIVEN = {"traits": {"name": "<Ann> & co"}, "items": [{"name": "Tea", "price": 4.5}], "offer": None, "segments": ["new"]}


def text(source: str, *, escaped: bool = True) -> str:
    return rendered(environment(FILES, "EUR", escaped=escaped).from_string(source), GIVEN)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ traits.city | default: 'town' }}", "town"),
        ("{% if traits.city %}a{% else %}b{% endif %}", "b"),
        ("{% if traits.city == 'Lyon' %}a{% else %}b{% endif %}", "b"),
        ("{% if offer %}a{% else %}b{% endif %}", "b"),
        ("{% if segments contains 'new' %}a{% endif %}", "a"),
        ("{% for item in items %}{% render 'name.liquid', item: item %}{% endfor %}", "<b>Tea</b>"),
        ("{{ items[0].price | price }}", "€4.50"),
        ("{{ items[0].price | price: 'de' }}", "4,50\xa0€"),
        ("{{ items[0].price | price: 'pt-BR' }}", "€\xa04,50"),
    ],
)
def test_a_text_says_what_is_known_and_what_it_says_for_the_rest(source: str, said: str) -> None:
    assert text(source) == said


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ traits.city }}", "traits.city is undefined"),
        ("Hello {{ traits.city | upcase }}", "traits.city is undefined"),
        ("{{ items[0].image }}", "items.image is undefined"),
        ("{{ items[3].name }}", "index out of range"),
        ("{{ offer.name }}", "offer.name is undefined"),
        ("{{ traits.__class__ }}", "traits.__class__ is undefined"),
        ("{{ traits.city | price }}", "traits.city is undefined"),
        ("{{ traits.name | price }}", "must be a number"),
        ("{{ 4 | price: 'xx-yy-zz' }}", "is no locale"),
        ("{{ 1 | divided_by: 0 }}", "divide by 0"),
    ],
)
def test_what_is_missing_or_wrong_breaks_the_text_and_is_said(source: str, why: str) -> None:
    with pytest.raises(BrokenTextError) as told:
        text(source)
    assert why in str(told.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% for i in (1..1000000000) %}x{% endfor %}", "loop iteration limit"),
        ("{% for i in (1..1999) %}{% for j in (1..1999) %}x{% endfor %}{% endfor %}", "loop iteration limit"),
        ("{% render 'self.liquid' %}", "context depth"),
        ("{% assign a = 'x' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}", "namespace limit"),
        (
            "{% assign a = 'x' | append: 'y' %}{% for i in (1..1999) %}" + "y" * 200 + "{% endfor %}",
            "output stream limit",
        ),
    ],
)
def test_every_text_ends(source: str, why: str) -> None:
    started = time.process_time()
    with pytest.raises(BrokenTextError) as told:
        text(source)
    assert why in str(told.value)
    assert time.process_time() - started < 1


def test_values_are_escaped_where_html_is_written_and_nowhere_else() -> None:
    assert text("<i>{{ traits.name }}</i>") == "<i>&lt;Ann&gt; &amp; co</i>"
    assert text("<i>{{ traits.name }}</i>", escaped=False) == "<i><Ann> & co</i>"
    assert text("{{ traits.name | default: 'x' | upcase }}") == "&lt;ANN&gt; &amp; CO"


def test_no_file_is_read_but_those_given() -> None:
    for name in ("/etc/passwd", "../attune.yaml", "nope.liquid"):
        with pytest.raises(BrokenTextError):
            text(f"{{% include '{name}' %}}")
