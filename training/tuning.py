"""Tuning: which numbers in a space give the highest value, by Optuna's tree-structured Parzen estimator.

The first attempt is where one started from: on what it is tuned on, the best is never worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.recommenders.search import Space, Span

Given = Mapping[str, float]


@dataclass(frozen=True)
class Attempt:
    """What was tried, and what came of it."""

    given: Given
    value: float


def attempts(space: Space, start: Given, value: Callable[[Given], float], *, trials: int, seed: int) -> list[Attempt]:
    """So many attempts in their order, the first at `start`; the same seed makes the same."""
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

    def distribution(span: Span) -> BaseDistribution:
        if isinstance(span.low, int) and isinstance(span.high, int):
            return IntDistribution(span.low, span.high, log=span.log)
        return FloatDistribution(span.low, span.high, log=span.log)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(dict(start))
    within = {name: distribution(span.widened(start[name])) for name, span in space.items()}
    made = []
    for _ in range(trials):
        asked = study.ask(within)
        found = Attempt(dict(asked.params), value(asked.params))
        study.tell(asked, found.value)
        made.append(found)
    return made


def best(made: list[Attempt]) -> Attempt:
    """The first of those with the highest value."""
    return max(made, key=lambda attempt: attempt.value)
