"""scikit-uplift's models, to be compared with: judged in the candidates' folds, never weighed nor registered.

Their `predict` writes onto the model, so that one cannot answer for two at once; each fold fits its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.uplift.bases import ROUNDS, Matrix, tree_parameters
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows

if TYPE_CHECKING:
    from lightgbm import LGBMClassifier


class Solo(PerOffer):
    """`SoloModel`: one model that knows the arm."""

    name = "sklift-solo"
    kind = "lightgbm"

    def parts(self, rows: Rows) -> Parts:
        pair = rows.pair
        model = self.model(int(pair.sum()))
        model.fit(rows.X[pair], rows.outcome[pair].astype(int), rows.treated[pair].astype(int))
        return {"effect": model}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.full(len(X), np.nan)

    def model(self, rows: int) -> Any:
        """scikit-uplift's model, not yet fitted."""
        from sklift.models import SoloModel

        return SoloModel(self.base(rows))

    def base(self, rows: int) -> LGBMClassifier:
        """The same small LightGBM as ours."""
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=ROUNDS, **tree_parameters(rows, "binary", self.seed))


class TwoModels(Solo):
    """`TwoModels`: one model per arm."""

    name = "sklift-two-models"

    def model(self, rows: int) -> Any:
        from sklift.models import TwoModels as Models

        return Models(self.base(rows), self.base(rows))


class ClassTransformation(Solo):
    """`ClassTransformation`: one model of whether outcome and arm agree; for arms that a coin gave."""

    name = "sklift-class"

    def model(self, rows: int) -> Any:
        from sklift.models import ClassTransformation as Transformation

        return Transformation(self.base(rows))


COMPARED: dict[str, type[PerOffer]] = {one.name: one for one in (Solo, TwoModels, ClassTransformation)}
