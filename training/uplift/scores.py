"""Scores: what an uplift release says of a customer, under the names that conditions ask for.

effect of KEY   what the offer KEY changes, in units of the outcome
baseline        the outcome that is expected without an offer
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from training.uplift.bases import Matrix
from training.uplift.customer_effects import CustomerEffects

BASELINE = "baseline"


def score_names(offers: Iterable[str]) -> list[str]:
    """The scores that a release for these offers may have."""
    return [*map(_effect, offers), BASELINE]


def scores_of(stored: CustomerEffects | None, customer: str) -> dict[str, float]:
    """The scores of one customer; none where the release does not know the customer."""
    row = None if stored is None else stored.row(customer)
    if stored is None or row is None:
        return {}
    return {name: float(column[row]) for name, column in _columns(stored).items()}


def score_tables(stored: CustomerEffects | None, names: Iterable[str]) -> dict[str, pa.Table]:
    """The scores of all customers by name; a table without rows where no release has a score of the name."""
    columns, customers = ({}, None) if stored is None else (_columns(stored), stored.customers)
    found = {name: columns[name] for name in names if customers is not None and name in columns}
    nobody = pa.table({"customer": pa.array([], pa.string()), "score": pa.array([], pa.float64())})
    return dict.fromkeys(names, nobody) | {
        name: pa.table({"customer": pa.array(customers, pa.string()), "score": column})
        for name, column in found.items()
    }


def _effect(offer: str) -> str:
    return f"effect of {offer}"


def _columns(stored: CustomerEffects) -> dict[str, Matrix]:
    effects = dict(zip(map(_effect, stored.effects.offers), stored.effects.effect.T, strict=True))
    return effects if stored.baseline is None else effects | {BASELINE: stored.baseline}
