"""Ranker: what several members would recommend, ordered by trees that learned which of them is right when.

    log as of an earlier moment -> members -> candidates -> which of them were bought afterwards?    the lesson
    the lesson -> LambdaRank (Burges 2010) and a binary model, averaged                              the trees
    the whole log -> members again -> candidates -> trees -> the k best                              the answer

The earlier moment is `interactions.earlier`; without one a share of the pairs is held out, three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from features.lines import Lines
from training.recommenders import members, stored
from training.recommenders.base import Allowed, ItemFilter, Reason
from training.recommenders.basket_columns import BasketFacts, basket_columns
from training.recommenders.candidates import Candidates, Mask, candidates
from training.recommenders.lesson import Lesson, lessons
from training.recommenders.members import Given, Members
from training.recommenders.pair_features import ItemFacts, pair_columns
from training.recommenders.reasons import POPULAR
from training.recommenders.scorer import Places, Scorer, Scores, popularity
from training.recommenders.topk import Block, over_blocks
from training.recommenders.trees import Trees

DEFAULT: Given = {"graph-filter": {}, "als": {}, "repeat": {}, "popularity": {}}
BASKETS = "baskets.npz"
OTHERS = 2**40  # apart: a customer of another lesson is another list to rank
FEWEST = 30  # rounds however little there is to learn from
ROWS = 4000  # candidates that a round of trees is worth: more rounds on fewer only cost time


@dataclass
class Ranker(Scorer):
    """LightGBM over the candidates of its members.

    `members`: label -> parameters, with `model` where the label is not the registry's name. `each`: candidates per
    member. `learners`: customers of a lesson, at most.
    """

    name: ClassVar[str] = "ranker"
    members: Given = field(default_factory=lambda: dict(DEFAULT))
    each: int = 40
    learners: int = 12_000
    rounds: int = 250
    seed: int = 0
    threads: int = 0
    members_: Members = field(init=False, repr=False)
    facts_: ItemFacts = field(init=False, repr=False)
    baskets_: BasketFacts | None = field(init=False, repr=False)  # where purchases were known one by one
    trees_: Trees = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        self.trees_ = self._taught(lessons(interactions, self.seed))
        self._know(interactions)
        return self

    def beside(self, interactions: Interactions) -> Self:
        """This ranker of members that are each beside these customers."""
        model = copy(self)
        model.members_ = members.beside(self.members_, interactions)
        return model

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        everything = Allowed(ItemFilter(), self.items_, len(histories.customers))
        return self.scores_among(histories, everything, self.each, as_of)

    def scores_among(self, histories: Interactions, allowed: Allowed, k: int, as_of: datetime | None) -> Scores:
        """Above 0 for the candidates, 0 for everything else and where there is no history.

        The first member's own where nobody bought anything later that could have taught the trees.
        """
        if not self.trees_.models:
            return next(iter(self.members_.values())).scores(histories, as_of)
        some = allowed.mask & (np.diff(histories.starts) > 0)[:, None]
        found = self._candidates(histories, some, max(self.each, k), as_of)
        scores = np.zeros(some.shape, dtype=np.float32)
        if len(found.row):
            scores[found.row, found.item] = self.trees_.predict(_table(found)[0])
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        """The reason of the member that puts the item highest; `popular` where no member's best hold it for another."""
        given = [member.scores(history, as_of)[0] for member in self.members_.values()]
        above = [np.where(scores[places] > 0, _above(scores, places), len(scores)) for scores in given]
        said = [member.explain(history, places, as_of) for member in self.members_.values()]
        other = np.array([[reason != POPULAR for reason in reasons] for reasons in said], dtype=bool)
        last = np.where(other & (np.array(above) < self.each), 0, len(self.items_))
        return [said[member][slot] for slot, member in enumerate(np.argmin(above + last, axis=0).tolist())]

    def likeness(self, place: int) -> Scores:
        """That of the first member: likeness needs no history."""
        return next(iter(self.members_.values())).likeness(place)

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        return next(iter(self.members_.values())).likeness_between(rows, columns)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stored.write_parameters(folder, self)
        np.savez(folder / "items.npz", items=self.items_, chance=self.chance_, **vars(self.facts_))
        if self.baskets_ is not None:
            np.savez(folder / BASKETS, **vars(self.baskets_))
        members.save(self.members_, folder)
        self.trees_.save(folder / "trees")

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls(**stored.read_parameters(folder))
        with np.load(folder / "items.npz", allow_pickle=False) as kept:
            arrays = dict(kept)
        model.items_, model.popularity_ = arrays.pop("items"), arrays["popularity"]
        model.chance_ = arrays.pop("chance")
        model.facts_ = ItemFacts(**arrays)
        model.baskets_ = None
        if (folder / BASKETS).exists():
            with np.load(folder / BASKETS, allow_pickle=False) as kept:
                model.baskets_ = BasketFacts(**kept)
        model.members_ = members.load(folder)
        model.trees_ = Trees.load(folder / "trees")
        return model

    def _know(self, log: Interactions) -> None:
        """The members and the items' facts as this log shows them."""
        self.members_ = {}  # room for those that come
        self.members_ = members.fitted(self.members, log, seed=self.seed, threads=self.threads)
        self.facts_ = ItemFacts.of(log, popularity(log))
        self.baskets_ = None
        if log.lines is not None:
            self.baskets_ = BasketFacts.of(log.lines, len(log.customers), len(log.items))

    def _taught(self, learned: Sequence[Lesson]) -> Trees:
        """The trees that rank the candidates of the lessons' customers as they bought."""
        blocks = [block for number, one in enumerate(learned) for block in self._shown(one, number)]
        if not blocks:
            return Trees((), ())
        customer, bought, table = (np.concatenate([block[place] for block in blocks]) for place in (0, 1, 2))
        rounds = min(self.rounds, max(FEWEST, len(customer) // ROWS))
        return Trees.grow(table, bought, customer, blocks[0][3], rounds, self.seed, self.threads)

    def _shown(self, learned: Lesson, number: int) -> list[tuple[Any, Any, Any, list[str]]]:
        """Candidates of a lesson's customers: whose, whether they were bought, their columns and the columns' names."""
        past, rows = learned.past, learned.learners(self.learners, self.seed)
        self._know(past)
        self.members_ = members.beside(self.members_, past)  # as they answer later
        histories = replace(past.rows(past.customers[rows].tolist()), customers=rows.astype(np.str_))
        owned = None if learned.repeats else [past.items[history.item] for history in histories.each()]

        def found(block: Block) -> tuple[Any, Any, Any, list[str]]:
            pairs = self._candidates(block[0], block[1].mask, self.each, past.as_of)
            customer = block[0].customers.astype(np.int64)[pairs.row]
            bought = np.isin(customer * len(past.items) + pairs.item, learned.keys)
            return customer + number * OTHERS, bought, *_table(pairs)

        return over_blocks(found, histories, ItemFilter(excluded_each=owned))

    def _candidates(self, histories: Interactions, mask: Mask, each: int, as_of: datetime | None) -> Candidates:
        found = candidates(self.members_, histories, mask, each, as_of)
        columns = found.columns | pair_columns(found, histories, self.facts_, as_of)
        if self.baskets_ is not None:
            rows = len(histories.customers)
            lines = Lines.of_pairs(histories) if histories.lines is None else histories.lines
            of_baskets = basket_columns(found.row, found.item, lines, rows, self.baskets_, as_of)
            columns |= {f"baskets.{name}": values for name, values in of_baskets.items()}
        return Candidates(found.row, found.item, columns)


def _table(found: Candidates) -> tuple[NDArray[np.float32], list[str]]:
    """The columns side by side, and their names."""
    names = list(found.columns)
    return np.column_stack([found.columns[name] for name in names]).astype(np.float32), names


def _above(scores: Scores, places: Places) -> NDArray[np.intp]:
    """How many items score higher than each of these."""
    return np.asarray((scores[None, :] > scores[places, None]).sum(axis=1))
