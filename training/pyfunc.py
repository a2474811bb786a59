"""What MLflow loads: the registered model's folder, answering data frames in any process and directory.

recommender: one row per history, column `history` (a list of item ids) -> `items` (the ten best, a list of ids).
uplift: one row per customer with the feature columns -> one column of effects per offer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from features.interactions import Interactions
from features.table import Feature, FeatureTable
from training.recommenders.base import ItemFilter
from training.recommenders.own import Own
from training.release import load_model

K = 10


class Model(PythonModel):
    """Wraps a recommender or an uplift model."""

    def load_context(self, context: Any) -> None:
        own = Own((context.model_config or {}).get("own", ()))
        self.facts, self.model = load_model(Path(context.artifacts["model"]), own)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002  # the protocol's
        answer = self._recommend if self.facts["kind"] == "recommender" else self._effect
        return answer(model_input)

    def _recommend(self, frame: pd.DataFrame) -> pd.DataFrame:
        histories = [[str(item) for item in history] for history in frame["history"]]
        rankings = self.model.recommend_for(_interactions(histories), K, items=ItemFilter(), as_of=None)
        return pd.DataFrame({"items": [items.tolist() for items in rankings.items]})

    def _effect(self, frame: pd.DataFrame) -> pd.DataFrame:
        features = tuple(Feature(name, "given", "", "") for name in frame.columns)
        effects = self.model.effect(FeatureTable(frame, features))
        return pd.DataFrame(effects.effect, columns=list(effects.offers))


def _interactions(histories: list[list[str]]) -> Interactions:
    items = np.unique(np.array([item for history in histories for item in history], dtype=np.str_))
    pairs = [np.unique(np.searchsorted(items, np.array(history, dtype=np.str_))) for history in histories]
    customer = np.repeat(np.arange(len(histories)), [len(pair) for pair in pairs]).astype(np.int32)
    item = np.concatenate([*pairs, np.empty(0, np.int64)]).astype(np.int32)
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    names = np.arange(len(histories)).astype(np.str_)
    return Interactions(names, items, customer, item, ones, ones, never, never)


set_model(Model())
