"""How features were distributed and are now, by counts that are made by hand."""

import json
from math import log

import numpy as np
import pandas as pd
import pytest

from features.table import Feature, FeatureTable
from training.stability import LEAST, SHARED, Shape, index, says, shapes

HALVES = ((101, 100, 202.5), (50, 150, 201.5))  # zeros, ones, and all with the three empty bins


def column(*values: float | str | None) -> "pd.Series[object]":
    return pd.Series(values)


def shape_of(values: "pd.Series[object]") -> Shape:
    (kept,) = shapes(FeatureTable(values.to_frame("x"), (Feature("x", "own", "", "What x is."),)))
    return Shape.read(json.loads(json.dumps(kept)))


def test_numbers_are_compared_by_the_deciles_of_then_and_what_was_on_an_edge_by_itself() -> None:
    """Half are 0 and half are 1; then three quarters are 1."""
    then = shape_of(column(*[0.0] * 101, *[1.0] * 100))
    assert (then.edges, then.counts) == ((0.0, 1.0), (0, 101, 0, 100, 0))
    now = then.of_now(column(*[0.0] * 50, *[1.0] * 150))
    assert (now.counts, now.mean) == ((0, 50, 0, 150, 0), 0.75)
    old, new = ([half / total for half in (0.5, zeros, 0.5, ones, 0.5)] for zeros, ones, total in HALVES)
    by_hand = sum((after - before) * log(after / before) for before, after in zip(old, new, strict=True))
    assert then.index_to(now) == pytest.approx(by_hand)


def test_what_is_no_longer_known_has_drifted() -> None:
    then = shape_of(column(*range(1_000)))
    same = then.of_now(column(*range(1_000)))
    assert then.index_to(same) == pytest.approx(0)
    gone = then.of_now(column(*range(500), *[None] * 500))
    assert gone.unknown == 500
    assert says(then.index_to(gone)) == "drifted: train again"


def test_words_are_compared_one_by_one_and_those_of_few_customers_are_not_kept() -> None:
    then = shape_of(column(*["tea"] * 60, *["coffee"] * 40, *["ann@example.org"] * (SHARED - 1), None))
    assert (then.names, then.counts, then.unknown) == (("tea", "coffee"), (60, 40, 9), 1)
    now = then.of_now(column(*["tea"] * 30, *["coffee"] * 40, *["milk"] * 40))
    assert now.counts == (30, 40, 40)
    assert then.index_to(now) == pytest.approx(index([60, 40, 9, 1], [30, 40, 40, 0]))


def test_of_too_few_nothing_is_kept_and_nothing_is_said() -> None:
    few = FeatureTable(column(*range(LEAST - 1)).to_frame("x"), (Feature("x", "own", "", ""),))
    assert shapes(few) == []
    then = shape_of(column(*range(LEAST)))
    found = then.index_to(then.of_now(column(*range(LEAST - 1))))
    assert found is None
    assert says(found) == "fewer than 100 of a time: not known"


def test_what_chance_alone_reaches_is_called_stable_95_times_in_100() -> None:
    """Two times 150 customers of the same kind, in ten bins: the index is above 0.1 most of the time."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(400):
        then = Shape.of(rng.integers(0, 10, 150).astype(float))
        pairs.append((then, then.of_now(pd.Series(rng.integers(0, 10, 150).astype(float)))))
    indices = np.array([then.index_to(now) for then, now in pairs])
    said = [says(then.index_to(now), then.by_chance(now)) for then, now in pairs]
    assert (indices > 0.1).mean() > 0.4
    assert said.count("stable") / 400 > 0.91  # of 95 %, less three standard errors
