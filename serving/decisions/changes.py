"""Changes: what would change this? The nearest effect at which another option becomes the best one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, floor, log10
from typing import Any

from features.decisions import NOTHING
from serving.decisions.weighed import Weighed

DIGITS = 3  # of the distance to the flip
NEAR = 1e-9  # a flip that is nearer is a tie
TIE = 1e-6  # of a step: a crossing on a round number is one, also where it is a little off


@dataclass(frozen=True)
class Flip:
    """Where the effect of `offer` is not `effect` but `at`, not `best` but `then` is the best option."""

    offer: str
    effect: float
    at: float
    best: str
    then: str


def what_would_change(weighed: Sequence[Weighed]) -> dict[str, Any] | None:
    """The nearest flip in words and numbers; None where no effect changes anything."""
    flip = nearest(weighed)
    return None if flip is None else {"words": _words(flip, weighed), **asdict(flip)}


def nearest(weighed: Sequence[Weighed]) -> Flip | None:
    """The flip that asks for the smallest change of one effect."""
    flips = [flip for one in weighed for flip in _flips(one, weighed)]
    return min(flips, key=lambda flip: (abs(flip.at - flip.effect), flip.offer), default=None)


def best_of(weighed: Sequence[Weighed]) -> str:
    """The option that is worth most, nothing included; ties by key."""
    nets = worth(weighed)
    return min(nets, key=lambda key: (-nets[key], key))


def worth(weighed: Sequence[Weighed]) -> dict[str, float]:
    """What every option is worth after charges: 0 for nothing."""
    return {NOTHING: 0.0} | {one.offer.key: one.net(one.effect) for one in weighed}


def _flips(one: Weighed, weighed: Sequence[Weighed]) -> Iterator[Flip]:
    """Where the effect of this offer makes a difference; each is tried, so that what is said is true."""
    best, key = best_of(weighed), one.offer.key
    rival = best_of([other for other in weighed if other is not one]) if key == best else best
    for crossing in one.effects_at(worth(weighed)[rival]):
        at = _beyond(crossing, one.effect)
        then = best_of([replace(other, effect=at) if other is one else other for other in weighed])
        if then != best and abs(at) <= one.ceiling:
            yield Flip(key, one.effect, at, best, then)


def _beyond(crossing: float, effect: float) -> float:
    """The next round number past the crossing, seen from the effect."""
    digits = DIGITS - 1 - floor(log10(max(abs(crossing - effect), NEAR)))
    steps = crossing * 10.0**digits
    past = floor(steps + TIE) + 1 if crossing >= effect else ceil(steps - TIE) - 1
    return round(past / 10.0**digits, digits)


def _words(flip: Flip, weighed: Sequence[Weighed]) -> str:
    nets, moved = worth(weighed), next(one for one in weighed if one.offer.key == flip.offer)
    value, gain = moved.offer.value, moved.effect * moved.offer.value
    said = f"worth {nets[flip.best]:.4g}, {flip.then} {nets[flip.then]:.4g}"
    if NOTHING in (flip.best, flip.then):
        side = "below" if nets[flip.offer] <= 0 else "above"
        said = f"effect {moved.effect:.4g} x {value:g} = {gain:.4g} is {side} cost {gain - nets[flip.offer]:.4g}"
    start = "silent" if flip.best == NOTHING else flip.best
    turn = (
        f"from an effect of {flip.at:.12g}" if flip.at >= flip.effect else f"with an effect of {flip.at:.12g} or less"
    )
    whose = f" of {flip.offer}" if flip.then not in (flip.offer, NOTHING) else ""
    return f"{start}: {said}; {turn}{whose} {flip.then} wins"
