"""Steps: what the model is asked by each step of a request's chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from features.events import ADDED, VIEWED
from features.interactions import Interactions, event_weights
from features.placements import POPULAR
from serving.decisions.asked import Asked
from serving.decisions.boosted import BROAD, boosted
from serving.decisions.chain import Ask, Chain, Ranked, Step, among
from serving.decisions.histories import described, weighing
from serving.decisions.pace import LetDownError
from serving.decisions.requests import HistoryEntry
from serving.decisions.state import State
from serving.decisions.where import in_categories
from training.recommenders.base import ItemFilter, Rankings, Reason, Recommender
from training.recommenders.reasons import filled_by
from training.recommenders.variety import pooled, varied

ABSENT = "no recommender is released; run `attune promote recommender latest`"


@dataclass(frozen=True)
class Steps:
    """The steps of one request; each answer is had before its time is over."""

    state: State
    asked: Asked
    now: datetime

    @cached_property
    def model(self) -> Recommender:
        """The model; LetDownError where there is none."""
        release = self.state.recommender
        if release is None or release.recommender is None:
            refused = self.state.refused.get("recommender")
            raise LetDownError(f"the recommender is refused ({refused})" if refused else ABSENT)
        return release.recommender

    def chain(self) -> Chain:
        """The steps of the placement that have something to go by."""
        asks = ((name, self._ask(name)) for name in self.asked.placement.steps)
        return self._chain(*(Step(name, ask, sure=name == "popular-in-category") for name, ask in asks if ask))

    def completing(self, cart: Sequence[str]) -> Chain:
        """What goes with a cart."""
        return self._chain(Step("similar", lambda k, items: self._going_with(cart, k, items)))

    def alike(self, item: str) -> Chain:
        """What is like an item."""
        return self._chain(Step("similar", lambda k, items: self._like(item, k, items)))

    def _chain(self, *steps: Step) -> Chain:
        own = () if self.asked.apart else steps
        return Chain(own, lambda k, items: self._ranked(self._nobody, k, items), self._counted)

    def _ask(self, step: str) -> Ask | None:
        """What the step asks; None where it has nothing to go by."""
        asked = self.asked
        if step == asked.lead and asked.why is None:
            return lambda k, items: self._ranked(asked.history, k, items)
        if not asked.seen or step in ("personal", POPULAR):
            return None
        if step == "session":
            visit = self._visit
            return None if visit is None else (lambda k, items: self._ranked(visit, k, items))
        if step == "similar":
            return lambda k, items: self._going_with(asked.seen, k, items)
        near = in_categories(self.state.catalog, asked.seen)
        return None if near is None else (lambda k, items: self._ranked(self._nobody, k, among(items, near)))

    @cached_property
    def _visit(self) -> Interactions | None:
        """The items on the page as looked at, those in the cart as put there; None where neither weighs anything."""
        settings, page = weighing(self.state, self.state.recommender), self.asked.request.context
        weights = event_weights(settings)
        did = [] if page is None else [(item, VIEWED) for item in page.items] + [(item, ADDED) for item in page.cart]
        entries = [HistoryEntry(item=item, event=event) for item, event in did if event in weights]
        return described(entries, settings, self.now) if entries else None

    @cached_property
    def _nobody(self) -> Interactions:
        if not len(self.asked.history):
            return self.asked.history
        return described([], weighing(self.state, self.state.recommender), self.now)

    def _ranked(self, history: Interactions, k: int, items: ItemFilter) -> Ranked:
        model, moment = self.model, self.now.replace(tzinfo=None)

        def had() -> Ranked:
            pool = model.recommend_for(history, self._pooled(k), items=items, as_of=moment)
            rankings = self._chosen(pool, k)
            return rankings, model.reasons(history, rankings, as_of=moment)[0]

        return self._had(had)

    def _going_with(self, cart: Sequence[str], k: int, items: ItemFilter) -> Ranked:
        model = self.model

        def had() -> Ranked:
            rankings = self._chosen(model.complete(cart, self._pooled(k), items=items), k)
            return rankings, model.goes_with(cart, rankings)

        return self._had(had)

    def _like(self, item: str, k: int, items: ItemFilter) -> Ranked:
        model, alike = self.model, Reason("similar", (item,))

        def had() -> Ranked:
            rankings = self._chosen(model.similar(item, self._pooled(k), items=items), k)
            others = filled_by(model.chance_of_repeat(rankings.items[0]))
            scores = rankings.scores[0].tolist()
            return rankings, [alike if score > 0 else other for score, other in zip(scores, others, strict=True)]

        found = self._had(had)
        if not len(found[0].items[0]):
            raise LetDownError(f"the model does not know the item {item!r}")
        return found

    def _counted(self, k: int, items: ItemFilter) -> Ranked:
        return self.state.popular.ranked(self.state.catalog, k, items, self.now)

    def _had(self, call: Callable[[], Ranked]) -> Ranked:
        return self.state.pace.had(self.model, call, self.asked.until)

    def _pooled(self, k: int) -> int:
        return pooled(k, BROAD if self.asked.request.boost else self.asked.variety)

    def _chosen(self, pool: Rankings, k: int) -> Rankings:
        """The k of a pool, moved by what is boosted, then as unlike as was asked for."""
        if self.asked.request.boost:
            pool = boosted(self.state.catalog, self.asked.request.boost, pool)
            if not self.asked.variety:
                return Rankings((pool.items[0][:k],), (pool.scores[0][:k],))
        return varied(self.model, pool, k, variety=self.asked.variety)
