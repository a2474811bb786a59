"""What `serving` compares with: the same top 10 of the same factors, each as its own users would serve it.

    bare       a Starlette app: numpy, orjson, nothing written down
    implicit   the same with implicit's `recommend`
    api        a default BentoML `@api`
    mlflow     `mlflow models serve` of a `pyfunc` model

ARRAYS names the folder that `serving_shop` wrote.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 10


class Factors:
    """Both sides in memory, mapped from files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ids: list[str] = self._read("ids").tolist()
        self.items, self.customers = self._read("items"), self._read("customers")
        self.starts, self.seen = self._read("starts"), self._read("seen")

    @classmethod
    def here(cls) -> Factors:
        return cls(Path(os.environ["ARRAYS"]))

    def best(self, customer: str, k: int) -> list[dict[str, Any]]:
        """The k best items that the customer has not seen."""
        row = int(customer)
        scores = self.items @ self.customers[row]
        scores[self.seen[self.starts[row] : self.starts[row + 1]]] = -np.inf
        top = np.argpartition(-scores, k)[:k]
        top = top[np.argsort(-scores[top])]
        return self._told(top, scores[top])

    def implicit_best(self, customer: str, k: int) -> list[dict[str, Any]]:
        """The same by implicit."""
        row = int(customer)
        model, liked = self._implicit
        return self._told(*model.recommend(row, liked[row], N=k, filter_already_liked_items=True))

    @cached_property
    def _implicit(self) -> tuple[Any, Any]:
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy import sparse

        model = AlternatingLeastSquares(factors=self.items.shape[1], num_threads=1)
        model.item_factors, model.user_factors = self.items, self.customers
        shape = (len(self.customers), len(self.items))
        return model, sparse.csr_matrix((np.ones(len(self.seen), np.float32), self.seen, self.starts), shape=shape)

    def _told(self, places: NDArray[Any], scores: NDArray[Any]) -> list[dict[str, Any]]:
        pairs = zip(places.tolist(), scores.tolist(), strict=True)
        return [{"item": self.ids[place], "score": score} for place, score in pairs]

    def _read(self, name: str) -> NDArray[Any]:
        return np.asarray(np.load(self._folder / f"{name}.npy", mmap_mode="r"))
