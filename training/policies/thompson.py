"""Thompson: every option is drawn as often as it may be the best one, by what is known about its profit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from features.decisions import Option
from training.policies.base import Choice, best

Array = NDArray[np.float64]
QUANTILES = np.linspace(-8, 8, 33)  # beyond lies 1e-15 of a normal
SURE = 1e-9  # a spread that small beside the scores is none


@dataclass(frozen=True)
class Thompson:
    """P(option) = P(its draw is the highest), draws independent: normal around the score (Thompson 1933).

    `spreads`: option -> standard error of its score; 0 where not named or not a number. Ties go by key.
    """

    spreads: Mapping[str, float]
    name: ClassVar[str] = "thompson"

    def choose(self, options: Sequence[Option], rng: Generator) -> Choice:
        """An option drawn with the probabilities it answers, which are those of being best and not one draw's."""
        best(options)  # an error in one line where there is none
        scores = {option.key: option.score for option in options if option.eligible and option.score is not None}
        keys = sorted(scores)
        spread = np.nan_to_num([self.spreads.get(key, 0.0) for key in keys], nan=0.0, posinf=0.0)
        shares = chances(np.array([scores[key] for key in keys]), spread)
        drawn = keys[int(rng.choice(len(keys), p=shares))]
        return Choice(
            drawn,
            dict.fromkeys((option.key for option in options), 0.0) | dict(zip(keys, shares.tolist(), strict=True)),
        )


def chances(mean: Array, spread: Array) -> Array:
    """P(j has the highest draw) = integral of phi_j x product over the others of Phi_k; of equals the first."""
    from scipy.special import ndtr  # half a second, which services with another policy need not wait for

    sure = spread <= SURE * max(float(np.abs(mean).max()), float(spread.max()))
    floor = mean[sure].max(initial=-np.inf)
    moving, result = np.flatnonzero(~sure), np.zeros(len(mean))
    if sure.any():
        first = np.flatnonzero(sure & (mean == floor))[0]
        result[first] = ndtr((floor - mean[moving]) / spread[moving]).prod()
    if len(moving):
        result[moving] = _integrals(mean[moving], spread[moving], floor)
    shares: Array = result / result.sum()
    return shares


def _integrals(mean: Array, spread: Array, floor: float) -> Array:
    """Above the floor. The grid is made of every option's own quantiles: a narrow one beside a wide one is seen."""
    from scipy.special import ndtr

    nodes, weights = _rule()
    edges = np.unique(np.maximum(mean + spread * QUANTILES[:, None], floor))
    half = np.diff(edges) / 2
    x = ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel()
    weight = (half[:, None] * weights).ravel()
    z = (x - mean[:, None]) / spread[:, None]
    density, below = np.exp(-(z**2) / 2) / (spread[:, None] * np.sqrt(2 * np.pi)), ndtr(z)
    return np.array([(weight * density[j] * np.delete(below, j, axis=0).prod(axis=0)).sum() for j in range(len(mean))])


@cache
def _rule() -> tuple[Array, Array]:
    """Nodes and weights between two quantiles (Gauss and Legendre): exact to 1e-12."""
    return np.polynomial.legendre.leggauss(6)
