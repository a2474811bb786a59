"""Contract: what a user's own recommender must keep before it is trained, tried on a small log.

    from training.recommenders.contract import check
    check(Taste)                 nothing, or a BrokenModelError in one line that names the model and the rule

`attune train recommender` does the same with each class that attune.yaml names. What single answers must keep
(exactly k, known and allowed ids, a reason each) `Guarded` checks here and ever after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interactions import PAIR, Interactions
from training.recommenders.base import ItemFilter, Rankings
from training.recommenders.guarded import BrokenModelError, Guarded, told

AS_OF = datetime.fromisoformat("2024-06-01")
CUSTOMERS, ITEMS, TASTES = 24, 18, 3
CLOSE = {"rtol": 1e-3, "atol": 1e-5}  # sums may be taken in another order


def check(kind: type[Any], path: str = "", **parameters: Any) -> None:
    """Refuses a class whose models break what recommenders keep; `path` is how the message names it."""
    path = path or f"{kind.__module__}:{kind.__qualname__}"
    log = small_log()

    def fitted(interactions: Interactions) -> Guarded:
        return Guarded(told(path, "the constructor", kind, **parameters), path).fit(interactions)

    model = fitted(log)
    answer = _answers_under_every_filter(model, log)
    _one_by_one(model, log, answer)
    _same(path, answer, _asked(fitted(log), log), "fitted twice on one log it answers otherwise")
    _same(path, answer, _asked(fitted(_shuffled(log)), log), "the order of the log changes its answers")
    with TemporaryDirectory() as folder:
        model.save(Path(folder))
        loaded = Guarded.read(kind, path, Path(folder))
    _same(path, answer, _asked(loaded, log), "what is loaded answers otherwise than what was saved")
    _asked(model.beside(log), log)
    _asked(model.admit(Catalog.of(pd.DataFrame({"item": [*log.items, "item-new"]}))), log)
    _same(path, answer, _asked(model, log), "asked again it answers otherwise")


def small_log() -> Interactions:
    """24 customers with three tastes among 18 items: most of what they bought is to their taste."""
    rng = np.random.default_rng(0)
    customer, item = np.divmod(np.arange(CUSTOMERS * ITEMS), ITEMS)
    bought = rng.random(len(item)) < np.where(customer % TASTES == item % TASTES, 0.7, 0.1)
    customer, item = customer[bought].astype(np.int32), item[bought].astype(np.int32)
    purchases = rng.integers(0, 4, len(item)).astype(np.float32)  # 0: viewed
    last = np.datetime64(AS_OF, "us") - rng.integers(1, 60, len(item)).astype("m8[D]")
    names = np.array([f"customer-{number:02}" for number in range(CUSTOMERS)])
    items = np.array([f"item-{number:02}" for number in range(ITEMS)])
    first, weight = last - np.timedelta64(30, "D"), np.maximum(purchases, np.float32(0.1))
    return Interactions(names, items, customer, item, weight, purchases, first, last, AS_OF)


def _answers_under_every_filter(model: Guarded, log: Interactions) -> Rankings:
    """The answers without a filter, after those under filters, to somebody new and to a cart were found right."""
    bought, some = [log.items[history.item] for history in log.each()], log.items[::2]
    model.alike(some)
    model.chance_of_repeat(np.append(some, "no-such-item"))
    for k in (1, 5, 10 * ITEMS):
        for items in (
            ItemFilter(allowed=some, excluded=log.items[:3]),
            ItemFilter(excluded_each=bought),
            ItemFilter(required_each=bought),
            ItemFilter(allowed=log.items[:0]),
        ):
            _asked(model, log, k, items)
        cart = [str(log.items[4]), "no-such-item"]
        model.goes_with(cart, model.complete(cart, k, items=ItemFilter(excluded=some)))
        model.similar(str(log.items[4]), k, items=ItemFilter(excluded=some))
    _asked(model, log.rows(["nobody"]))
    return _asked(model, log)


def _asked(model: Guarded, log: Interactions, k: int = 5, items: ItemFilter | None = None) -> Rankings:
    answer = model.recommend_for(log, k, items=items or ItemFilter(), as_of=AS_OF)
    model.reasons(log, answer, as_of=AS_OF)
    return answer


def _one_by_one(model: Guarded, log: Interactions, batch: Rankings) -> None:
    each = [_asked(model, history) for history in log.each()]
    alone = Rankings(tuple(one.items[0] for one in each), tuple(one.scores[0] for one in each))
    _same(model.path, batch, alone, "a batch answers otherwise than one by one")


def _shuffled(log: Interactions) -> Interactions:
    order = np.random.default_rng(1).permutation(len(log))
    return replace(log, **{name: getattr(log, name)[order] for name in PAIR})


def _same(path: str, ours: Rankings, theirs: Rankings, rule: str) -> None:
    """Refuses answers with other scores: items of one score may change places where sums were taken otherwise."""
    for mine, other in zip(_floats(ours.scores), _floats(theirs.scores), strict=True):
        if mine.shape != other.shape or not np.allclose(mine, other, **CLOSE):  # type: ignore[arg-type]  # numpy types each keyword apart
            raise BrokenModelError(f"{path}: {rule}")


def _floats(scores: Sequence[Any]) -> list[NDArray[np.float64]]:
    return [np.asarray(row, dtype=np.float64) for row in scores]
