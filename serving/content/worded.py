"""Worded: the texts that were drawn; where one cannot be rendered the element's default stands, and it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.slots import DEFAULT
from serving.content.elements import Drawn
from serving.content.liquid import BrokenTextError, rendered
from serving.content.ready import Ready
from serving.content.texts import PERSONAL, Parsed

Known = Mapping[str, Any]


@dataclass(frozen=True)
class Worded:
    """A text per element, why some are not what was drawn, and what of the customer the drawn ones ask for."""

    texts: Mapping[str, str]
    fallbacks: tuple[str, ...]
    given: Mapping[str, object]


def worded(ready: Ready, content: str, elements: Sequence[Drawn], known: Known) -> Worded:
    """The texts of these variants of the content."""
    texts, fallbacks = dict[str, str](), list[str]()
    for one in elements:
        texts[one.element], failed = _text(ready, content, one, known)
        fallbacks += [f"{one.key}: {failed}; its default is shown"] if failed else []
    asked = [_parsed(ready, content, one) for one in elements]
    return Worded(texts, tuple(fallbacks), _given(asked, known))


def _text(ready: Ready, content: str, drawn: Drawn, known: Known) -> tuple[str, str | None]:
    """The text, and what went wrong with the one that was drawn."""
    try:
        return rendered(_parsed(ready, content, drawn).template, known), None
    except BrokenTextError as error:
        return _default(ready, drawn.element, known), str(error)


def _default(ready: Ready, element: str, known: Known) -> str:
    try:
        return rendered(ready.texts["", element, DEFAULT].template, known)
    except BrokenTextError:
        return ready.plain[element]


def _parsed(ready: Ready, content: str, drawn: Drawn) -> Parsed:
    return ready.texts["" if drawn.variant == DEFAULT else content, drawn.element, drawn.variant]


def _given(asked: Sequence[Parsed], known: Known) -> dict[str, object]:
    """The values that the texts looked up of the customer, so that they can be rendered again."""
    roots = frozenset[str]().union(*(text.roots for text in asked))
    names = frozenset[str]().union(*(text.traits for text in asked))
    found: dict[str, object] = {name: known[name] for name in PERSONAL if name in roots & known.keys()}
    if "traits" in found:
        found["traits"] = {name: known["traits"].get(name) for name in sorted(names)}
    return found
