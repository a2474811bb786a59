"""Blend: a weighted sum of what several members say, each on the scale of what it likes best for the customer.

    score(u, i) = sum over members m of weight_m * max(m(u, i), 0) / max over items j of m(u, j)

Members differ in their units, so each is divided by its best for that customer: what a member has no opinion on counts
0. Costs what its members cost; it knows the items that any of them knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, reduce
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from features.catalog import Catalog
from features.interactions import Interactions
from training.recommenders import members, stored
from training.recommenders.base import Allowed, ItemFilter, Reason
from training.recommenders.members import Given, Members
from training.recommenders.reasons import POPULAR
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.topk import aligned

DEFAULT: Given = {"graph-filter": {}, "als": {}, "repeat": {}}
TINY = np.float32(1e-12)  # in place of the best score of a member without an opinion


@dataclass
class Blend(Scorer):
    """`members`: label -> parameters, as of the ranker. `weights`: label -> weight, 1 where it is not given."""

    name: ClassVar[str] = "blend"
    members: Given = field(default_factory=lambda: dict(DEFAULT))
    weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    threads: int = 0
    members_: Members = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        self._check()
        self.members_ = members.fitted(self.members, interactions, seed=self.seed, threads=self.threads)
        return self

    def beside(self, interactions: Interactions) -> Self:
        """This blend of members that are each beside these customers."""
        model = copy(self)
        model.members_ = members.beside(self.members_, interactions)
        return model

    def admit(self, catalog: Catalog) -> Self:
        """This blend of members that each know what they can of the catalogue."""
        model = type(self)(**stored.parameters(self))
        model.members_ = {label: member.admit(catalog) for label, member in self.members_.items()}
        model.items_ = reduce(np.union1d, [self.items_, *(member.items_ for member in model.members_.values())])
        known = np.searchsorted(model.items_, self.items_)
        model.popularity_, model.chance_ = np.zeros((2, len(model.items_)), dtype=np.float32)
        model.popularity_[known], model.chance_[known] = self.popularity_, self.chance_
        return model

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        everything = Allowed(ItemFilter(), self.items_, len(histories.customers))
        return self.scores_among(histories, everything, len(self.items_), as_of)

    def scores_among(self, histories: Interactions, allowed: Allowed, k: int, as_of: datetime | None) -> Scores:
        """The weighted sum; members that look closely at a few items do so at the allowed ones."""
        total = np.zeros((allowed.rows, len(self.items_)), dtype=np.float32)
        for label in self.members_:
            total += self._part(label, histories, allowed, k, as_of)
        return total

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        """The reason of the member that adds most to the item's score."""
        everything = Allowed(ItemFilter(), self.items_, 1)
        size = len(self.items_)
        parts = np.stack([self._part(label, history, everything, size, as_of)[0, places] for label in self.members_])
        most, said = np.argmax(parts, axis=0), [POPULAR] * len(places)
        for number, (label, member) in enumerate(self.members_.items()):
            slots = np.flatnonzero((most == number) & (parts[number] > 0))
            own = np.searchsorted(member.items_, self.items_[places[slots]])
            near = self._near(label, history)
            for slot, reason in zip(slots.tolist(), member.explain(near, own, as_of), strict=True):
                said[slot] = reason
        return said

    def likeness(self, place: int) -> Scores:
        """The weighted sum of the members' likeness, each on the scale of the item most like this one."""
        total = np.zeros(len(self.items_), dtype=np.float32)
        for label, member in self.members_.items():
            own = int(np.searchsorted(member.items_, self.items_[place]))
            if own < len(member.items_) and member.items_[own] == self.items_[place]:
                like = member.likeness(own).copy()
                like[own] = 0  # itself is no measure of how like the others are
                total += self._weight(label) * self._wide(label, _scaled(like[None, :]))[0]
        return total

    def save(self, folder: Path) -> None:
        stored.write_parameters(folder, self)
        np.savez(folder / "items.npz", items=self.items_, popularity=self.popularity_, chance=self.chance_)
        members.save(self.members_, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls(**stored.read_parameters(folder))
        with np.load(folder / "items.npz", allow_pickle=False) as kept:
            model.items_, model.popularity_, model.chance_ = kept["items"], kept["popularity"], kept["chance"]
        model.members_ = members.load(folder)
        return model

    def _part(self, label: str, histories: Interactions, allowed: Allowed, k: int, as_of: datetime | None) -> Scores:
        """What one member adds."""
        mine = self._places[label]
        among = allowed if mine is None else replace(allowed, items=self.items_[mine])
        given = self.members_[label].scores_among(self._near(label, histories), among, k, as_of)
        return self._wide(label, self._weight(label) * _scaled(given))

    def _near(self, label: str, histories: Interactions) -> Interactions:
        """The histories over the member's items."""
        return histories if self._places[label] is None else aligned(histories, self.members_[label].items_)

    def _wide(self, label: str, scores: Scores) -> Scores:
        """The member's scores over the blend's items."""
        mine = self._places[label]
        if mine is None:
            return scores
        wide = np.zeros((len(scores), len(self.items_)), dtype=np.float32)
        wide[:, mine] = scores
        return wide

    @cached_property
    def _places(self) -> dict[str, Places | None]:
        """Where the members' items stand among the blend's; None where they are the same."""
        same = {label: np.array_equal(member.items_, self.items_) for label, member in self.members_.items()}
        return {
            label: None if same[label] else np.searchsorted(self.items_, member.items_)
            for label, member in self.members_.items()
        }

    def _weight(self, label: str) -> np.float32:
        return np.float32(self.weights.get(label, 1.0))

    def _check(self) -> None:
        if not self.members:
            raise ValueError("members == {}, a blend needs at least one")
        if unknown := sorted(set(self.weights) - set(self.members)):
            raise ValueError(f"weights name {unknown}; the members are {sorted(self.members)}")
        for label, weight in self.weights.items():
            if not (np.isfinite(weight) and weight > 0):
                raise ValueError(f"weight == {weight} of member {label!r}, must be a finite number > 0")


def _scaled(scores: Scores) -> Scores:
    """What is above 0, as a share of the largest of its row."""
    above = np.maximum(scores, 0)
    return np.asarray(above / np.maximum(above.max(axis=1, keepdims=True), TINY), dtype=np.float32)
