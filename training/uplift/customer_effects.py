"""The effects of every customer, as an uplift run leaves them and a release holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.arrays import read_arrays
from features.located import located
from training.uplift.base import Effects

FILE = "effects.npz"


@dataclass(frozen=True)
class CustomerEffects:
    """The effects of every known customer, as the model saw them when it was trained.

    `customers` are sorted ids; None where the log named nobody: a row of effects then belongs to that row of the log.
    `baseline` is the outcome expected without an offer; None in a release from before it was kept.
    """

    customers: NDArray[np.str_] | None
    effects: Effects
    baseline: NDArray[np.float64] | None = None

    @property
    def names(self) -> NDArray[np.str_]:
        """Who each row is: the customer, or the row's position from 0 in a log that named nobody."""
        return np.arange(len(self.effects.effect)).astype(np.str_) if self.customers is None else self.customers

    def row(self, customer: str) -> int | None:
        """Where the customer stands, or None."""
        if self.customers is None:
            return None
        (row,), (known,) = located(self.customers, np.array([customer]))
        return int(row) if known else None

    def save(self, folder: Path) -> None:
        """Writes the one file that `load` reads; holds customers, so it stays under `.attune/`."""
        folder.mkdir(parents=True, exist_ok=True)
        optional = {"customers": self.customers, "baseline": self.baseline}
        np.savez(
            folder / FILE,
            allow_pickle=False,
            **{name: values for name, values in optional.items() if values is not None},
            offers=np.array(self.effects.offers, np.str_),
            effect=self.effects.effect,
            standard_error=self.effects.standard_error,
        )

    @classmethod
    def load(cls, folder: Path) -> CustomerEffects:
        """The effects that `save` wrote."""
        arrays = read_arrays(folder / FILE)
        effects = Effects(tuple(arrays["offers"].tolist()), arrays["effect"], arrays["standard_error"])
        return cls(arrays.get("customers"), effects, arrays.get("baseline"))
