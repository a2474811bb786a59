"""Trees: LightGBM models that order candidates, averaged on one scale; kept as LightGBM's text."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

Matrix = NDArray[np.float32]
SETTINGS = {
    "learning_rate": 0.1,
    "num_leaves": 31,  # twice as many cost twice the time and rank no better on three logs
    "min_data_in_leaf": 100,
    "lambda_l2": 10.0,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,  # the same sums in the same order, whatever LightGBM measures to be faster
}
EACH_BOUGHT = 20  # candidates not bought that are learned from, for one that was: more cost time and teach nothing new
FEWEST = 2 * int(SETTINGS["min_data_in_leaf"])  # rows: with fewer no tree has a split
OBJECTIVES = ("lambdarank", "binary")  # each with a seed of its own


@dataclass(frozen=True)
class Trees:
    """The models, and by what each one's answer is divided before they are averaged."""

    models: tuple[lightgbm.Booster, ...]
    scales: tuple[float, ...]

    @classmethod
    def grow(
        cls,
        table: Matrix,
        bought: NDArray[np.bool_],
        customer: NDArray[np.intp],
        columns: list[str],
        rounds: int,
        seed: int,
        threads: int,
    ) -> Self:
        """Trees learned from the candidates of customers who bought one; none where they are too few to split.

        A customer's rows stand together. Of what was not bought a sample is enough.
        """
        import lightgbm

        some = np.isin(customer, np.unique(customer[bought]))
        some &= bought | _sampled(some, EACH_BOUGHT * bought.sum(), seed)
        if some.sum() < FEWEST:
            return cls((), ())
        ends = np.flatnonzero(np.diff(customer[some])) + 1
        groups = np.diff(np.concatenate([[0], ends, [int(some.sum())]]))
        data = lightgbm.Dataset(
            table[some], bought[some], group=groups, feature_name=columns, params=SETTINGS, free_raw_data=False
        )
        data.construct()

        def grown(turn: int) -> lightgbm.Booster:
            own = {"objective": OBJECTIVES[turn], "seed": seed + turn, "num_threads": 1}
            return lightgbm.train(SETTINGS | own, data, rounds)

        # a thread a model: threads that share one spin while they wait, four times the CPU time on busy cores
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            models = tuple(pool.map(grown, range(len(OBJECTIVES))))
        sample = table[some][:: max(1, int(some.sum()) // 100_000)]
        return cls(models, tuple(float(np.std(model.predict(sample, raw_score=True))) or 1.0 for model in models))

    def predict(self, table: Matrix) -> Matrix:
        """A score above 0 per candidate; higher is better."""
        raw = np.zeros(len(table))
        for model, scale in zip(self.models, self.scales, strict=True):
            raw += np.asarray(model.predict(table, raw_score=True, num_threads=1)) / scale
        return np.asarray(np.exp(np.clip(raw / len(self.models), -30, 30)), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Writes `N.txt` and the scales."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, model in enumerate(self.models):
            model.save_model(str(folder / f"{number}.txt"))
        (folder / "scales.json").write_text(json.dumps(self.scales))

    @classmethod
    def load(cls, folder: Path) -> Self:
        import lightgbm  # only who loads trees, or grows them, waits for it

        scales = json.loads((folder / "scales.json").read_text())
        models = tuple(lightgbm.Booster(model_file=str(folder / f"{number}.txt")) for number in range(len(scales)))
        return cls(models, tuple(scales))


def _sampled(rows: NDArray[np.bool_], most: int, seed: int) -> NDArray[np.bool_]:
    """About so many of these rows."""
    return np.asarray(np.random.default_rng(seed).random(len(rows)) * rows.sum() < most)
