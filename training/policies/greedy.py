"""Greedy: the best expected profit, always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from numpy.random import Generator

from features.decisions import Option
from training.policies.base import Choice, best, certain


class Greedy:
    """Chooses the highest score with probability 1."""

    name: ClassVar[str] = "greedy"

    def choose(self, options: Sequence[Option], rng: Generator) -> Choice:
        """The best eligible option; nothing is left to chance."""
        return certain(options, best(options))
