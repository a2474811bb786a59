"""Elements: drawn by the hash with the probabilities that are logged, independent of each other and steady."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from features.conditions import Facts
from features.events import IDENTIFIED, Event
from features.slots import Variant
from serving.content.elements import drawn, held_out

MOMENT = datetime(2026, 1, 2)
UNITS = [f"customer-{number}" for number in range(20_000)]
NOBODY = Facts.of([], MOMENT)
LYON = {"trait": "city", "is": "Lyon"}
PARIS = {"trait": "city", "is": "Paris"}


def living_in(city: str) -> Facts:
    time = datetime(2026, 1, 1)
    told = Event("crm", city, IDENTIFIED, time, time, customer="ann", properties=json.dumps({"city": city}))
    return Facts.of([told.row()], MOMENT)


def variants(*said: dict[str, object]) -> list[Variant]:
    return [Variant.model_validate({"text": "-"} | one) for one in said]


MIXED = variants({"key": "a", "share": 0.3}, {"key": "b", "share": 0.2, "when": LYON}, {"key": "c", "when": LYON})


@pytest.mark.parametrize(
    ("facts", "chances"),
    [(NOBODY, {"a": 0.3, "default": 0.7}), (living_in("Lyon"), {"a": 0.3, "b": 0.2, "c": 0.5})],
    ids=["nobody", "of Lyon"],
)
def test_the_shares_seen_are_the_probabilities_logged(facts: Facts, chances: dict[str, float]) -> None:
    found = [drawn("hero", "head", MIXED, unit, facts) for unit in UNITS]
    logged = {option.key: option.probability for option in found[0].options if option.eligible}
    assert logged == pytest.approx({f"head:{key}": chance for key, chance in chances.items()})
    assert all(one.probability == logged[one.key] for one in found)
    counts = [sum(one.variant == key for one in found) for key in chances]
    assert chisquare(counts, [chance * len(UNITS) for chance in chances.values()]).pvalue > 0.001


def test_a_variant_that_is_not_for_the_customer_says_why() -> None:
    options = drawn("hero", "head", MIXED, "ann", living_in("Paris")).options
    barred = {option.key: option.reason for option in options if not option.eligible}
    assert barred == dict.fromkeys(["head:b", "head:c"], "city 'Paris' is not 'Lyon'")


def test_variants_without_a_share_are_for_whom_their_conditions_hold() -> None:
    cities = variants({"key": "lyon", "when": LYON}, {"key": "paris", "when": PARIS})
    for city in ("Lyon", "Paris"):
        found = drawn("hero", "head", cities, "ann", living_in(city))
        assert (found.variant, found.probability) == (city.lower(), 1.0)
    assert drawn("hero", "head", cities, "ann", NOBODY).variant == "default"


def test_a_customer_keeps_a_variant_when_another_is_no_longer_for_them() -> None:
    for unit in UNITS[:2000]:
        before, after = (drawn("hero", "head", MIXED, unit, facts).variant for facts in (living_in("Lyon"), NOBODY))
        assert after == (before if before == "a" else "default")


def test_elements_slots_and_the_holdout_are_drawn_independently() -> None:
    halves = variants({"key": "a", "share": 0.5})

    def sides(slot: str, element: str) -> list[bool]:
        return [drawn(slot, element, halves, unit, NOBODY).variant == "a" for unit in UNITS]

    out = [held_out("hero", 0.5, unit) for unit in UNITS]
    for other in (sides("hero", "cta"), sides("footer", "head"), out):
        table = np.histogram2d(sides("hero", "head"), other, bins=2)[0]
        assert chi2_contingency(table).pvalue > 0.001
