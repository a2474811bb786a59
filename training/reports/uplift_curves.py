"""The Qini curve of the choice with its band, beside those of the likeliest to respond and of chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.metrics.profit_curve import DRAWS, SHARES
from training.metrics.uplift import Array, Ranking, Trial, interval
from training.pipelines.uplift_evaluation import CHOSEN
from training.uplift import BASELINES

TOP = tuple(range(10, 101, 10))
RESPONSE = BASELINES[0]


def curves_of(
    predictions: Mapping[str, Array], trial: Trial, unit: NDArray[np.intp], rng: np.random.Generator
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """The curve's points, and what each share of `TOP` brings."""
    # One bootstrap (Poisson weights per customer) for all: the comparisons are paired.
    wanted = {name: Ranking(predictions[name], trial) for name in (CHOSEN, RESPONSE) if name in predictions}
    point = {name: ranking.curve().at(SHARES) for name, ranking in wanted.items()}
    drawn: dict[str, list[Array]] = {name: [] for name in wanted}
    for _ in range(DRAWS):
        weights = rng.poisson(1.0, int(unit.max()) + 1)[unit].astype(np.float64)
        for name, ranking in wanted.items():
            drawn[name].append(ranking.curve(weights).at(SHARES))
    draws = {name: np.array(values) for name, values in drawn.items()}
    every = range(len(SHARES))
    at = [int(np.flatnonzero(np.isclose(SHARES, share / 100))[0]) for share in TOP]
    return [_point(point, draws, place) for place in every], [_top(point, draws, place) for place in at]


def _point(point: Mapping[str, Array], draws: Mapping[str, Array], place: int) -> dict[str, float]:
    low, high = interval(draws[CHOSEN][:, place])
    end = float(point[CHOSEN][-1])
    found = {"share": 100 * float(SHARES[place]), "uplift": float(point[CHOSEN][place]), "lower": low, "upper": high}
    if RESPONSE in point:
        found["response"] = float(point[RESPONSE][place])
    return found | {"random": end * float(SHARES[place])}


def _top(point: Mapping[str, Array], draws: Mapping[str, Array], place: int) -> dict[str, float]:
    share, ours = float(SHARES[place]), draws[CHOSEN]
    low, high = interval(ours[:, place])
    above = interval(ours[:, place] - share * ours[:, -1])
    return {
        "share": round(100 * share),
        "extra": float(point[CHOSEN][place]),
        "lower": low,
        "upper": high,
        "per_treated": float(point[CHOSEN][place]) / share,
        "above_random": float(point[CHOSEN][place] - share * point[CHOSEN][-1]),
        "above_random_lower": above[0],
        "above_random_upper": above[1],
    }
