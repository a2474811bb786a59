"""Epsilon: the best option, but a share of decisions drawn evenly, so that the next model has something to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from features.decisions import Option
from training.policies.base import Choice, best


@dataclass(frozen=True)
class Epsilon:
    """P(option) = exploration / eligible options, plus 1 - exploration for the best one."""

    exploration: float
    name: ClassVar[str] = "epsilon"

    def __post_init__(self) -> None:
        if not 0 <= self.exploration <= 1:
            raise ValueError(f"exploration == {self.exploration}, must be >= 0 and <= 1 (policy 'epsilon')")

    def choose(self, options: Sequence[Option], rng: Generator) -> Choice:
        """An eligible option drawn with the probabilities it answers."""
        keys = sorted(option.key for option in options if option.eligible)
        shares = dict.fromkeys((option.key for option in options), 0.0)
        shares.update(dict.fromkeys(keys, self.exploration / max(len(keys), 1)))
        shares[best(options)] += 1 - self.exploration
        weights = np.array([shares[key] for key in keys])
        return Choice(keys[int(rng.choice(len(keys), p=weights / weights.sum()))], shares)
