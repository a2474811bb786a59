"""Ready: slots whose texts are parsed and whose conditions can be asked; what is wrong is one line that names the file.

Every default is rendered once, for nobody: that is what is shown when all else fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from features.catalog import Catalog
from features.conditions.comparisons import nearest
from features.conditions.facts import require_attributes, require_scores
from features.conditions.grammar import Condition, parsed
from features.events import ORDERED
from features.placements import Placement, read_placements
from features.segments import conditions, read_segments
from features.slots import DEFAULT, FOLDER, HTML, Slot, Text, Wanted, read_slots
from serving.content.liquid import BrokenTextError, rendered
from serving.content.texts import PERSONAL, Parsed, Texts
from serving.decisions.where import fitting

Place = tuple[str, str, str]  # content, element, variant; of a default the content is empty


@dataclass(frozen=True)
class Ready:
    """A slot, its texts by place, its defaults as they are for nobody, and what its texts may call by segment."""

    key: str
    slot: Slot
    texts: Mapping[Place, Parsed]
    plain: Mapping[str, str]
    segments: Mapping[str, Condition]

    @cached_property
    def roots(self) -> frozenset[str]:
        """The names that its texts ask for."""
        return frozenset[str]().union(*(text.roots for text in self.texts.values()))

    @cached_property
    def conditions(self) -> list[Condition]:
        """All that is asked of a customer, also by its texts."""
        asked = [one for content in self.slot.contents for one in content.conditions]
        traits = frozenset[str]().union(*(text.traits for text in self.texts.values()))
        asked += [parsed({"trait": name, "exists": True}) for name in sorted(traits)]
        asked += [parsed({"event": ORDERED})] if "stage" in self.roots else []
        return asked + (list(self.segments.values()) if "segments" in self.roots else [])


def read_ready(folder: Path, currency: str, catalog: Catalog, offers: Sequence[str]) -> dict[str, Ready]:
    """The workspace's slots, ready to be answered."""
    slots = read_slots(folder)
    paths = {key: folder / FOLDER / f"{key}.yaml" for key in slots}
    placements = read_placements(folder)
    for key, slot in slots.items():
        _require(slot, paths[key], catalog, offers, placements)
    if not slots:
        return {}
    texts, segments = Texts(folder, currency), conditions(read_segments(folder))
    return {key: _ready(key, slot, paths[key], texts, segments) for key, slot in slots.items()}


def _ready(key: str, slot: Slot, path: Path, texts: Texts, segments: Mapping[str, Condition]) -> Ready:
    escaped = slot.kind in HTML
    known = {place: texts.parsed(text, path, keys, escaped=escaped) for place, keys, text in _texts(slot)}
    plain = {name: _plain(known["", name, DEFAULT], f"{path}: the default of {name!r}") for name in slot.elements}
    return Ready(key, slot, known, plain, segments)


def _texts(slot: Slot) -> Iterator[tuple[Place, list[str | int], Text]]:
    """Every text of the slot, and the keys under which it stands in the file."""
    for name, element in slot.elements.items():
        yield ("", name, DEFAULT), ["elements", name, "default"], element.default
    for number, content in enumerate(slot.contents):
        for name, variants in content.elements.items():
            for at, variant in enumerate(variants):
                keys: list[str | int] = ["contents", number, "elements", name, at, "text"]
                yield (content.key, name, variant.key), keys, variant.text


def _plain(text: Parsed, what: str) -> str:
    """The default without anything to know; refused where it says nothing then."""
    if personal := sorted(text.roots & {*PERSONAL, "offer"}):
        raise ValueError(f"{what} asks for {personal}; a default says the same to everybody, without consent too")
    try:
        return rendered(text.template, {"items": []})
    except BrokenTextError as error:
        raise ValueError(f"{what} says nothing where there are no items: {error}; give it a `| default:`") from None


def require_known_scores(folder: Path, slots: Iterable[Ready], scores: Sequence[str]) -> None:
    """Refuses a condition that asks for a score which the uplift release and the offers do not have."""
    for one in slots:
        try:
            for condition in (each for content in one.slot.contents for each in content.conditions):
                require_scores(condition, scores)
        except ValueError as error:
            raise ValueError(f"{folder / FOLDER / one.key}.yaml: {error}") from None


def _require(
    slot: Slot, path: Path, catalog: Catalog, offers: Sequence[str], placements: Mapping[str, Placement]
) -> None:
    """Refuses what the catalogue, the offers or the placements do not have."""
    try:
        _require_items(slot.items, catalog, placements)
        for content in slot.contents:
            _require_items(content.items, catalog, placements)
            for offer in content.offers:
                if offer not in offers:
                    raise ValueError(f"content {content.key!r}: there is no offer {offer!r}{nearest(offer, offers)}")
            for condition in content.conditions:
                require_attributes(condition, catalog)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _require_items(wanted: Wanted | None, catalog: Catalog, placements: Mapping[str, Placement]) -> None:
    if wanted is None:
        return
    fitting(catalog, wanted.filter)
    if wanted.placement is not None and wanted.placement not in placements:
        raise ValueError(f"there is no placement {wanted.placement!r}{nearest(wanted.placement, placements)}")
