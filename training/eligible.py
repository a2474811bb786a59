"""Eligible: the offers whose conditions can be asked, and for which of many customers each condition holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import Catalog, read_catalog
from features.conditions import matching
from features.conditions.facts import require_attributes, require_scores
from features.conditions.grammar import Score, leaves
from features.history import read_events
from features.offers import FILE, Offer, read_offers
from features.workspace import Workspace
from training.uplift.customer_effects import CustomerEffects
from training.uplift.scores import score_names, score_tables

Masks = Mapping[str, NDArray[np.bool_]]  # per offer with a condition


def read_rules(folder: Path, catalog: Catalog, stored: CustomerEffects | None) -> tuple[Offer, ...]:
    """The offers of the workspace; no condition names an attribute that the catalogue lacks, or a score of no offer."""
    offers = read_offers(folder)
    require_known(folder, offers, catalog, stored)
    return offers


def require_known(folder: Path, offers: Sequence[Offer], catalog: Catalog, stored: CustomerEffects | None) -> None:
    """Refuses a condition that asks for an attribute that the catalogue lacks, or for a score of no offer."""
    learned = () if stored is None else stored.effects.offers
    names = score_names(dict.fromkeys([*(offer.key for offer in offers), *learned]))
    for offer in offers:
        if offer.eligible is None:
            continue
        try:
            require_attributes(offer.eligible, catalog)
            require_scores(offer.eligible, names)
        except ValueError as error:
            raise ValueError(f"{folder / FILE}: eligible of {offer.key!r}: {error}") from None


def eligible(
    workspace: Workspace,
    offers: Sequence[Offer],
    stored: CustomerEffects,
    customers: NDArray[np.str_],
    as_of: datetime,
) -> Masks:
    """Which of these customers the conditions of offers hold for; for nobody where the log named no customers."""
    asked = {offer.key: offer.eligible for offer in offers if offer.eligible is not None}
    if not asked or stored.customers is None:
        return {key: np.zeros(len(customers), dtype=bool) for key in asked}
    events, catalog, among = read_events(workspace), read_catalog(workspace), pa.array(customers, pa.string())
    found = {}
    for key, condition in asked.items():
        scores = score_tables(stored, {leaf.score for leaf in leaves(condition) if isinstance(leaf, Score)})
        names = matching(condition, events, as_of, among=among, scores=scores, catalog=catalog)
        found[key] = np.isin(customers, np.array(names, dtype=np.str_))
    return found


def told(masks: Masks, stored: CustomerEffects) -> Iterator[str]:
    """A line per condition on for how many it holds."""
    if masks and stored.customers is None:
        yield f"the log names no customers, so nobody can be asked for the conditions of the offers {list(masks)}"
        return
    for key, mask in masks.items():
        yield f"eligible: the condition of {key} holds for {int(mask.sum()):,} of {len(mask):,} customers"
