"""Elements: what each variant of a content's elements does, from one test of the content.

    customer   headline   button   spent          headline, picture and button are drawn independently of each other, so
    ann        short      red         20          one test of n customers tells of each of them what a test of its own
    bob        default    red          0          with n customers would

The effects are those of one model with all of them (least squares, main effects only): a variant against the element's
default, or where nobody saw that against the one most customers saw. Who may see a variant can depend on the customer
(`when`), and shares change; customers are compared only with those who might have seen the same: each set of chances
with which decisions were made has a level of its own in the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.slots import DEFAULT
from serving.experiments.analysis import ALPHA, Shape, verdict
from serving.experiments.discovery import adjusted
from serving.experiments.gathered import Gathered
from serving.experiments.moments import Moments
from serving.experiments.values import MEANS, Columns, cells
from serving.experiments.variants import DRAWN, Combination, ranked

ENDS = ("difference", "lower", "upper")
Array = NDArray[np.float64]
Said = dict[str, Any]
Level = tuple[str, str]  # an element and a variant


@dataclass(frozen=True)
class Fit:
    """The effects of the levels, their standard errors, and the degrees of freedom of the variance they share."""

    effects: Array
    errors: Array
    freedom: int


def elements(gathered: Gathered) -> Said | None:
    """The variants of all elements by what they do to each primary metric; None where the test is of no content."""
    if gathered.experiment.shows is None or not ranked(gathered.experiment.shows):
        return None
    told = gathered.columns(gathered.primary, MEANS)
    shown = gathered.capped.filter(gathered.capped[DRAWN].notnull())
    found = {Combination.read(text): one for (text,), one in cells(shown, told, gathered.now, by=(DRAWN,)).items()}
    people = Counter(text for text in gathered.people[DRAWN].to_pylist() if text is not None)
    seen = _seen({Combination.read(text): count for text, count in people.items()})
    references = {element: _reference(variants) for element, variants in seen.items()}
    metrics = {one.metric.key: _ranked(one, found, seen, references, gathered) for one in told}
    return {
        "customers": sum(people.values()),
        "references": references,
        "variants": {element: dict(variants) for element, variants in seen.items()},
        "metrics": metrics,
    }


def _seen(people: Mapping[Combination, int]) -> dict[str, Counter[str]]:
    """By element the customers of each variant; without the elements of which everybody saw the same."""
    found: dict[str, Counter[str]] = {}
    for one, count in people.items():
        for element, variant in one.picked:
            found.setdefault(element, Counter())[variant] += count
    return {element: variants for element, variants in sorted(found.items()) if len(variants) > 1}


def _reference(variants: Counter[str]) -> str:
    return DEFAULT if DEFAULT in variants else max(sorted(variants), key=variants.__getitem__)


def _ranked(
    one: Columns,
    found: Mapping[Combination, Mapping[str, Moments]],
    seen: Mapping[str, Counter[str]],
    references: Mapping[str, str],
    gathered: Gathered,
) -> list[Said]:
    """The variants, the best first; none where they cannot be told apart: where some were always shown together."""
    customers = {place: moments[one.metric.key] for place, moments in found.items() if moments[one.metric.key].count}
    known = {level for place in customers for level in place.picked}
    levels = [(name, variant) for name, variant in sorted(known) if references.get(name, variant) != variant]
    fit = fitted(customers, levels, Shape.of(one.metric))
    if fit is None:
        return []
    bound = gathered.looks.bound(one.window)
    reach = float(stats.t.isf(ALPHA / 2, fit.freedom)) if bound is None else bound
    rows = []
    for (name, variant), effect, error in zip(levels, fit.effects.tolist(), fit.errors.tolist(), strict=True):
        p_value = gathered.looks.p_value(effect / error, one.window)
        ends = effect, effect - reach * error, effect + reach * error
        p_value = 2 * float(stats.t.sf(abs(effect) / error, fit.freedom)) if p_value is None else p_value
        said = {"element": name, "variant": variant, "customers": seen[name][variant], "verdict": verdict(*ends[1:])}
        told = (value if np.isfinite(value) else None for value in ends)  # JSON has no other numbers
        rows.append(said | dict(zip(ENDS, told, strict=True)) | {"p_value": p_value})
    for row, p_value in zip(rows, adjusted(np.array([row["p_value"] for row in rows])).tolist(), strict=True):
        row["p_adjusted"] = p_value
    return sorted(rows, key=lambda row: row["difference"], reverse=one.metric.better == "higher")


def fitted(customers: Mapping[Combination, Moments], levels: list[Level], shape: Shape) -> Fit | None:
    """Least squares over customers, from the moments of those who saw the same; None where levels cannot be told apart.

    Sum of (y - x b)^2 = sum over combinations of (n - 1) variance + n (mean - x b)^2.
    """
    if not levels or not customers:
        return None
    total = reduce(Moments.__add__, customers.values())
    weights = shape.rest(total, shape.explained(total))
    told = [one.along(weights) for one in customers.values()]
    counts, means = np.array([one.count for one in customers.values()], float), np.array([mean for mean, _ in told])
    design = _design(list(customers), levels)
    squares = design.T @ (counts[:, None] * design)
    freedom = int(counts.sum()) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(squares, hermitian=True) < len(squares):
        return None
    inverse = np.linalg.inv(squares)
    effects = inverse @ (design.T @ (counts * means))
    within = sum((count - 1) * variance for count, (_, variance) in zip(counts.tolist(), told, strict=True))
    left = within + float(counts @ (means - design @ effects) ** 2)
    errors = np.sqrt(np.diag(inverse) * left / freedom)[-len(levels) :]
    return Fit(effects[-len(levels) :], errors, freedom) if left > 0 else None


def _design(customers: list[Combination], levels: list[Level]) -> Array:
    """A row per combination: which chances it was drawn with, and which levels it has."""
    chances = sorted({one.chances for one in customers})
    rows = [
        [*(one.chances == some for some in chances), *(level in one.picked for level in levels)] for one in customers
    ]
    return np.array(rows, np.float64)
