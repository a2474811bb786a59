"""The protocol of a policy, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from numpy.random import Generator

from features.decisions import Option


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and the probability with which each considered option would have been."""

    key: str
    probabilities: Mapping[str, float]  # every option; 0 where it could not be chosen

    @property
    def probability(self) -> float:
        return self.probabilities[self.key]


class Policy(Protocol):
    """One policy per file; constructed with plain parameters."""

    name: ClassVar[str]

    def choose(self, options: Sequence[Option], rng: Generator) -> Choice:
        """One of the eligible options, and its probability. `score` is the expected profit; silence is an option."""
        ...


def best(options: Sequence[Option]) -> str:
    """The eligible option with the highest score, ties by key; an option without a score is never the best."""
    scored = [option for option in options if option.eligible and option.score is not None]
    if not scored:
        raise ValueError(f"none of the options {[option.key for option in options]} is eligible and has a score")
    return min(scored, key=lambda option: (-float(option.score or 0.0), option.key)).key


def certain(options: Sequence[Option], chosen: str) -> Choice:
    """This option, with probability 1."""
    return Choice(chosen, {option.key: float(option.key == chosen) for option in options})
