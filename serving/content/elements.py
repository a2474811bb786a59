"""Elements: which variant of each a customer sees: by a hash per slot and element, so that they are independent.

Variants lie on [0, 1) in their order, first those with a share, each in its place whoever may see it; those without
one evenly divide what is left. Beyond them, and in the place of a variant that is not for the customer, the default is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from features.assignment import arm, bucket
from features.conditions import Facts, holds, why
from features.decisions import Option
from features.slots import DEFAULT, Variant


@dataclass(frozen=True)
class Drawn:
    """An element's variant, with the probability of it, and what else it might have been."""

    element: str
    variant: str
    probability: float
    options: tuple[Option, ...]

    @property
    def key(self) -> str:
        """How a decision's row names it."""
        return f"{self.element}:{self.variant}"


def unchanged(element: str) -> Drawn:
    """The default, for certain."""
    return Drawn(element, DEFAULT, 1.0, (Option(f"{element}:{DEFAULT}", probability=1.0),))


def drawn(slot: str, element: str, variants: Sequence[Variant], unit: str, facts: Facts) -> Drawn:
    """The variant of whoever has this id; the same for ever while the variants and what is known do not change."""
    barred = {one.key: why(one.when, facts) for one in variants if one.when is not None and not holds(one.when, facts)}
    shares = _shares(variants, barred.keys())
    open_ = {key: share for key, share in shares.items() if key not in barred}
    chances = open_ | {DEFAULT: max(0.0, 1 - math.fsum(open_.values()))}
    chosen = arm(f"{slot}/{element}", unit, shares)
    variant = chosen if chosen in open_ else DEFAULT
    options = [Option(f"{element}:{key}", probability=chance) for key, chance in chances.items() if chance]
    options += [Option(f"{element}:{key}", eligible=False, reason=reason) for key, reason in barred.items()]
    return Drawn(element, variant, chances[variant], tuple(options))


def held_out(slot: str, holdout: float, unit: str) -> bool:
    """Whether the customer sees the default content, to compare with."""
    return bucket(f"{slot}/holdout", unit) < holdout


def _shares(variants: Sequence[Variant], barred: Collection[str]) -> dict[str, float]:
    given = {one.key: one.share for one in variants if one.share is not None}
    free = [one.key for one in variants if one.share is None and one.key not in barred]
    return given | dict.fromkeys(free, (1 - math.fsum(given.values())) / max(len(free), 1))
