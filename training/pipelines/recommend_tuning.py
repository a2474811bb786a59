"""How a training run tunes: on the validation period only, first how events are weighed, then each model.

    weights and half-life    by the model that is best without tuning, for all models: they share one matrix
    each model               its own parameters, where it declares `search`

A `blend`, the `ranker` and what declares nothing are trained as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from features.events import ORDERED
from features.progress import step
from features.workspace import InteractionSettings
from training.recommenders.search import Space, Span
from training.tuning import Attempt, Given, attempts, best

Value = Callable[[str, Given, InteractionSettings], float]  # of the model with these parameters on these interactions
HALF_LIFE = Span(7.0, 720.0, log=True)  # days
WEIGHT = Span(0.01, 1.0, log=True)  # of an event, where an order counts 1
INTERACTIONS = "interactions"  # the name of the first stage


@dataclass(frozen=True)
class Tuned:
    """What was found; `attempts` by stage, in their order."""

    interactions: InteractionSettings
    parameters: Mapping[str, Given]
    attempts: Mapping[str, Sequence[Attempt]]

    def figures(self) -> dict[str, Any]:
        """Per stage the best of the attempts, and what the first gave, which was untuned; for `evaluation.json`."""
        return {
            stage: {
                "attempts": len(made),
                "best": dict(best(list(made)).given),
                "validation": best(list(made)).value,
                "untuned": made[0].value,
            }
            for stage, made in self.attempts.items()
        }


def tuned(
    kinds: Mapping[str, type[Any]],
    settings: InteractionSettings,
    events: Sequence[str],
    value: Value,
    *,
    trials: int,
    seed: int,
) -> Tuned:
    """The best that so many attempts a stage find. `events`: the names that occur in the log."""
    spaces = {name: space for name, kind in kinds.items() if (space := space_of(kind))}
    if not spaces:
        raise ValueError(f"--tune {trials}: none of the models {sorted(kinds)} declares what can be tuned (`search`)")
    with step("tuning", total=len(spaces) + trials * (1 + len(spaces))) as bar:

        def told(name: str, given: Given, interactions: InteractionSettings) -> float:
            found = value(name, given, interactions)
            bar.say(f"tuning {name}: {found:.4f}")
            bar.advance()
            return found

        untuned = {name: told(name, {}, settings) for name in spaces}
        first = max(untuned, key=untuned.__getitem__)
        weighed = attempts(
            weighing(settings, events),
            _start(settings, events),
            lambda given: told(first, {}, weighed_by(settings, given)),
            trials=trials,
            seed=seed,
        )
        chosen, made = weighed_by(settings, best(weighed).given), {INTERACTIONS: weighed}
        for name, space in spaces.items():
            start = {parameter: default(kinds[name], parameter) for parameter in space}
            asked = partial(told, name, interactions=chosen)
            made[name] = attempts(space, start, asked, trials=trials, seed=seed)
    return Tuned(chosen, {name: best(made[name]).given for name in spaces}, made)


def space_of(kind: type[Any]) -> Space:
    """What the class declares, checked; empty where it declares nothing."""
    space: Space = getattr(kind, "search", {})
    for name, span in space.items():
        if not isinstance(span, Span) or not isinstance(default(kind, name), int | float):
            raise ValueError(f"search of {kind.name!r}: {name!r} == {span!r}, must be a Span of a parameter's numbers")
    return space


def default(kind: type[Any], parameter: str) -> Any:
    """The parameter's default; None where the class has no such parameter."""
    return next((field.default for field in fields(kind) if field.init and field.name == parameter), None)


def weighing(settings: InteractionSettings, events: Sequence[str]) -> Space:
    """What of the settings is tuned: the half-life, and the weights of events that occur and count; an order is 1."""
    weights = dict.fromkeys(_weighed(settings, events), WEIGHT)
    return {"half_life_days": HALF_LIFE, **weights}


def weighed_by(settings: InteractionSettings, given: Given) -> InteractionSettings:
    """The settings with these numbers."""
    weights = {name: value for name, value in given.items() if name != "half_life_days"}
    changed = {"half_life_days": given["half_life_days"], "weights": {**settings.weights, **weights}}
    return settings.model_copy(update=changed)


def _start(settings: InteractionSettings, events: Sequence[str]) -> Given:
    weights = {name: settings.weights[name] for name in _weighed(settings, events)}
    return {"half_life_days": settings.half_life_days, **weights}


def _weighed(settings: InteractionSettings, events: Sequence[str]) -> list[str]:
    return [name for name, weight in settings.weights.items() if weight > 0 and name != ORDERED and name in events]
