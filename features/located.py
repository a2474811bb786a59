"""Located: where values stand among rising ones, by a binary search of each; nothing is made of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def located(known: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Per wanted value its place in `known`, which rises, and whether it is there; any place where it is not."""
    if not len(known):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    found: NDArray[np.intp] = known.searchsorted(wanted.astype(known.dtype, copy=False))  # another width copies all
    found[found == len(known)] = 0
    return found, known[found] == wanted
