"""Looks at a running test: how far its z must be from 0, when the looks are planned and when they are at will.

Planned looks spend the error as O'Brien and Fleming would (Lan & DeMets 1983): little early, so that the last look is
nearly a test without looks. Looks at will use an asymptotic confidence sequence, which is wider at every moment.
A fraction is the share of the planned customers (more exactly: of the planned information) that a look rests on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import lambertw, ndtr, ndtri, roots_legendre

Array = NDArray[np.float64]
Mass = tuple[Array, Array]  # places on one side of 0, and the probability at each: the other side is alike

ALPHA = 0.05
CAP = 8.0  # z: chance goes beyond 1e-15 of the time, and an error smaller than that is not worth spending
CLOSEST = 1e-5  # of the plan between two looks: less is no news, and the grid would need thousands of places
DENSITY = 1.25  # places per standard deviation of a step: bounds are then right to 1e-6
FEWEST = 32
STEPS = 50  # of Newton's method, which needs 3 to 6
NEVER = 1e-15  # the smallest p-value that is told


def spent(fractions: Array | Sequence[float], alpha: float = ALPHA) -> Array:
    """The two-sided error spent until each fraction; all of it from 1 on.

    Each side spends 2 - 2 Phi(z(1 - a/2) / sqrt(t)) of its a = alpha / 2 (Lan & DeMets 1983).
    """
    times = np.clip(np.asarray(fractions, np.float64), 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(times)), np.float64)


def bounds(
    fractions: Array | Sequence[float], alpha: float = ALPHA, *, information: Array | Sequence[float] | None = None
) -> Array:
    """The |z| that each look has to exceed, for the looks really held; at most `CAP`.

    Looks need not be equally spaced nor planned in number: a bound depends on the looks before it only. A fraction
    over 1 (more customers came than planned) spends what is left, and no look after it can cross.
    Recursive integration: Armitage, McPherson & Rowe (1969); Reboussin, DeMets, Kim & Lan (2000). Error below 1e-6.

    `information`: where error is spent by another measure than what the looks rest on, as by days while customers come
    unevenly, that of each look, in any unit (Lan & DeMets 1989); else the fractions are both.
    """
    looks = _looks(fractions)
    return _bounds(looks, alpha) if information is None else _bounds(_known(information, looks), alpha, looks)


def passing(drift: float, fractions: Array | Sequence[float], limits: Array) -> Array:
    """The probability to have passed these limits, a |z| per look, on either side by each look: with `bounds` power.

    `drift`: the mean of z at fraction 1, the effect over its standard error there.
    """
    looks = _looks(fractions)
    inside = _followed(looks, limits)
    # With drift the density of a path is that of one without, times exp(drift x - drift^2 t / 2).
    crossed = [
        1 - float(np.exp(np.outer([drift, -drift], places) - drift**2 * look / 2).sum(axis=0) @ mass)
        for look, (places, mass) in zip(looks, inside, strict=True)
    ]
    return np.array(crossed)


def repeated_p_value(
    z: float, fractions: Array | Sequence[float], *, information: Array | Sequence[float] | None = None
) -> float:
    """The smallest alpha at which `z`, seen at the last of these looks, crosses; `NEVER` where it is smaller than that.

    `information` as `bounds` takes it. It is under alpha exactly when the repeated interval, estimate +- bound x
    standard error, excludes 0 (Jennison & Turnbull 1989).
    """
    times = _looks(fractions)
    looks = times if information is None else _known(information, times)

    def short(log_alpha: float) -> float:
        return float(_solved(looks, math.exp(log_alpha), times)[-1]) - abs(z)

    if short(0.0) >= 0:
        return 1.0
    if short(math.log(NEVER)) <= 0:
        return NEVER
    return math.exp(brentq(short, math.log(NEVER), 0.0, xtol=1e-10))


def anytime(fractions: Array | Sequence[float] | float, alpha: float = ALPHA) -> Array:
    """The multiplier of the standard error that covers at all moments at once, tightest at fraction 1.

    sqrt((1 + 1/v) (log(1 + v) - 2 log alpha)) with v = n rho^2: the Gaussian mixture boundary of Waudby-Smith, Arbour,
    Sinha, Kennedy & Ramdas (2024). Asymptotic: it holds from some hundreds of customers per arm on.
    """
    v = _mixed(fractions, alpha)
    return np.asarray(np.sqrt((1 + 1 / v) * (np.log1p(v) - 2 * math.log(alpha))), np.float64)


def anytime_p_value(z: Array | float, fractions: Array | Sequence[float] | float, alpha: float = ALPHA) -> Array:
    """The p-value of the same sequence, under alpha exactly when |z| exceeds `anytime`; above the fixed test's.

    One over the mixture's likelihood ratio, sqrt(1 + v) exp(-z^2 v / (2 (1 + v))); at most 1.
    """
    v = _mixed(fractions, alpha)
    log_p = np.log1p(v) / 2 - np.asarray(z, np.float64) ** 2 * v / (2 * (1 + v))
    return np.asarray(np.exp(np.minimum(log_p, 0.0)), np.float64)


def _mixed(fractions: Array | Sequence[float] | float, alpha: float) -> Array:
    """n rho^2, which at the planned n is best at -W(-alpha^2 / e) - 1, with the lower branch of Lambert's W."""
    times = np.asarray(fractions, np.float64)
    if not (times > 0).all():
        raise ValueError(f"fractions == {times.tolist()}, must be > 0")
    best = -float(lambertw(-(alpha**2) / math.e, -1).real) - 1
    return times * best


def _looks(fractions: Array | Sequence[float]) -> tuple[float, ...]:
    """The door of the fractions: rising from above 0."""
    times = np.asarray(fractions, np.float64)
    if times.ndim != 1 or not len(times) or not (np.diff(times, prepend=0.0) >= CLOSEST).all():
        raise ValueError(f"fractions == {times.tolist()}, must rise by at least {CLOSEST} from 0 and from look to look")
    return tuple(times.tolist())


def _known(information: Array | Sequence[float], times: tuple[float, ...]) -> tuple[float, ...]:
    """The information of the looks, in the unit in which the last one's is its fraction."""
    known = np.asarray(information, np.float64)
    if known.shape != (len(times),) or not known[-1] > 0:
        raise ValueError(f"information == {known.tolist()}, must be that of {len(times)} looks and > 0")
    return _looks(known / known[-1] * times[-1])


@lru_cache(maxsize=4096)
def _bounds(looks: tuple[float, ...], alpha: float, times: tuple[float, ...] | None = None) -> Array:
    found = _solved(looks, alpha, times)
    found.setflags(write=False)  # it is everybody's
    return found


def _solved(looks: tuple[float, ...], alpha: float, times: tuple[float, ...] | None = None) -> Array:
    """The bounds, look after look: each is where what it has to spend by its time lies beyond it."""
    due = np.diff(spent(times or looks, alpha), prepend=0.0)
    found, mass = np.empty(len(looks)), _start()
    for place, look in enumerate(looks):
        step = _step(looks, place)
        end = _root(mass, step, float(due[place]), math.sqrt(look))
        mass, found[place] = _moved(mass, step, end, _finest(looks, place)), end / math.sqrt(look)
    return found


def _followed(looks: tuple[float, ...], limits: Array) -> list[Mass]:
    """Per look the paths that have not crossed any limit so far."""
    found, mass = [], _start()
    for place, look in enumerate(looks):
        mass = _moved(mass, _step(looks, place), limits[place] * math.sqrt(look), _finest(looks, place))
        found.append(mass)
    return found


def _start() -> Mass:
    """A path starts in 0, which is half of each side."""
    return np.zeros(1), np.array([0.5])


def _step(looks: tuple[float, ...], place: int) -> float:
    """The standard deviation of the path's step to this look."""
    return math.sqrt(looks[place] - (looks[place - 1] if place else 0.0))


def _finest(looks: tuple[float, ...], place: int) -> float:
    """The smaller of the steps to this look and from it: both must be seen by the grid."""
    return min(_step(looks, each) for each in (place, place + 1) if each < len(looks))


def _root(mass: Mass, step: float, due: float, deviation: float) -> float:
    """Where the probability to be outside, on both sides, is `due`; at most `CAP` standard deviations of the path.

    Newton's method on its logarithm, which is concave: from a start outside it comes inward and never overshoots.
    """
    cap = CAP * deviation
    if _outside(mass, step, cap) >= due:
        return cap
    quantile = -float(ndtri(due / 2))
    end = min(cap, quantile * deviation, float(mass[0][-1]) + quantile * step)
    for _ in range(STEPS):
        outside = _outside(mass, step, end)
        move = outside * math.log(outside / due) / (2 * float(_density(mass, step, np.array([end]))[0]))
        end = min(max(end + move, 0.0), cap)
        if abs(move) < 1e-12:
            break
    return end


def _outside(mass: Mass, step: float, end: float) -> float:
    """The probability to be beyond `end` on either side after this step."""
    places, weights = mass
    return 2 * float(weights @ (ndtr((places - end) / step) + ndtr((-places - end) / step)))


def _density(mass: Mass, step: float, at: Array) -> Array:
    """The density after this step, on one side of 0."""
    places, weights = mass
    near, far = (at[:, None] - places) / step, (at[:, None] + places) / step
    return (np.exp(-(near**2) / 2) + np.exp(-(far**2) / 2)) @ weights / (step * math.sqrt(2 * math.pi))


def _moved(mass: Mass, step: float, end: float, finest: float) -> Mass:
    """The mass within `end` after this step, at the places of Gauss and Legendre."""
    nodes, weights = _grid(max(FEWEST, 2 ** math.ceil(math.log2(DENSITY * max(end, finest) / finest))))
    places = end * nodes
    return places, end * weights * _density(mass, step, places)


@lru_cache(maxsize=16)
def _grid(size: int) -> Mass:
    """Places and weights on 0 to 1."""
    nodes, weights = roots_legendre(size)
    return (nodes + 1) / 2, weights / 2
