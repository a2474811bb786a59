"""The recommenders, by the name that `attune.yaml` and a release use."""

from __future__ import annotations

import difflib

from training.recommenders.als import Als
from training.recommenders.base import Recommender
from training.recommenders.blend import Blend
from training.recommenders.bm25 import Bm25
from training.recommenders.bpr import Bpr
from training.recommenders.content import Content
from training.recommenders.ease import Ease
from training.recommenders.graph_filter import GraphFilter
from training.recommenders.neighbours import Neighbours
from training.recommenders.popularity import Popularity
from training.recommenders.ranker import Ranker
from training.recommenders.repeat import Repeat
from training.recommenders.scorer import Scorer
from training.recommenders.softmax import Softmax
from training.recommenders.tifu import Tifu

RECOMMENDERS: dict[str, type[Recommender]] = {
    "popularity": Popularity,
    "neighbours": Neighbours,
    "graph-filter": GraphFilter,
    "ease": Ease,
    "als": Als,
    "bpr": Bpr,
    "softmax": Softmax,
    "bm25": Bm25,
    "repeat": Repeat,
    "content": Content,
    "tifu": Tifu,
    "blend": Blend,
    "ranker": Ranker,
}


def scorer(name: str) -> type[Scorer]:
    """The class of this name among those that score all items: what a ranker or a blend can have as a member."""
    kind = known_recommender(name)
    if not issubclass(kind, Scorer):
        raise ValueError(f"member {name!r} does not score all items; a member must be a Scorer")
    return kind


def known_recommender(name: str) -> type[Recommender]:
    """The class of this name; an error that names the nearest known one when there is none."""
    if name in RECOMMENDERS:
        return RECOMMENDERS[name]
    near = difflib.get_close_matches(name, RECOMMENDERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(RECOMMENDERS)}"
    raise ValueError(f"recommender {name!r} is not known; {hint} (recommender.models in attune.yaml, or --model)")
