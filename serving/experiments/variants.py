"""Variants: which variant of each element a customer of a test of content was drawn, and with which chances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa

from features.slots import TAKEN
from serving.experiments.definitions import Shows
from serving.experiments.exposures import SHOWN, Shown

DRAWN = "drawn"  # the column: a `Combination` as JSON; null for who was held out, or was drawn another one later
Chances = tuple[tuple[str, tuple[tuple[str, float], ...]], ...]  # by element its variants and their probabilities


@dataclass(frozen=True, order=True)
class Combination:
    """The variant of each element, and what might have been drawn instead."""

    picked: tuple[tuple[str, str], ...]
    chances: Chances

    @classmethod
    def of(cls, one: Shown) -> Combination:
        """That of a decision."""
        picked = {name: variant for name, variant in one.picked.items() if name not in TAKEN}
        chances: dict[str, list[tuple[str, float]]] = {name: [] for name in sorted(picked)}
        for option in one.options:
            name, _, variant = option["key"].partition(":")
            if name in chances and option.get("probability"):
                chances[name].append((variant, round(option["probability"], 6)))
        told = tuple((name, tuple(sorted(variants))) for name, variants in chances.items())
        return cls(tuple(sorted(picked.items())), told)

    @property
    def text(self) -> str:
        """As it stands in the column."""
        return json.dumps([self.picked, self.chances])

    @classmethod
    def read(cls, text: str) -> Combination:
        """That of the column."""
        picked, chances = json.loads(text)
        pairs = tuple((name, tuple((variant, chance) for variant, chance in some)) for name, some in chances)
        return cls(tuple((name, variant) for name, variant in picked), pairs)


def ranked(shows: Shows) -> bool:
    """Whether it is a content as a whole that is tested: its elements can then be told apart."""
    return shows.content is not None and shows.element is None


def drawn(decisions: Iterable[tuple[str, Shown]], customers: Sequence[str]) -> pa.Array:
    """Per customer what the first exposure showed; null where a later one showed something else."""
    first: dict[str, Combination] = {}
    several: set[str] = set()
    for one in sorted((one for arm, one in decisions if arm == SHOWN), key=attrgetter("time")):
        found = Combination.of(one)
        if first.setdefault(one.customer, found).picked != found.picked:
            several.add(one.customer)
    texts = {who: found.text for who, found in first.items() if who not in several}
    return pa.array([texts.get(who) for who in customers], pa.string())
