"""Budgeted: the best expected profit less what the offer's use of a limited budget is worth, always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from numpy.random import Generator

from features.decisions import Option
from training.policies.base import Choice, best, certain


@dataclass(frozen=True)
class Budgeted:
    """Chooses the highest score less charge; `charges`: option -> dual price x what it takes, 0 where not named."""

    charges: Mapping[str, float]
    name: ClassVar[str] = "budgeted"

    def choose(self, options: Sequence[Option], rng: Generator) -> Choice:
        """The best eligible option after charges; nothing is left to chance."""
        return certain(options, best([self._charged(option) for option in options]))

    def _charged(self, option: Option) -> Option:
        charge = self.charges.get(option.key, 0.0)
        return option if option.score is None else replace(option, score=option.score - charge)
