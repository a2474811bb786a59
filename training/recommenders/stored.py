"""A model's files: its parameters as JSON and its arrays as npz. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions

PARAMETERS = "parameters.json"
ARRAYS = "arrays.npz"


def parameters(model: Any) -> dict[str, Any]:
    """The constructor's arguments of a model that is a dataclass; learned state (`init=False`) is left out."""
    return {field.name: getattr(model, field.name) for field in fields(model) if field.init}


def write(folder: Path, model: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the two files; the folder is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAMETERS).write_text(json.dumps(parameters(model), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    np.savez(folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # numpy types the keyword `allow_pickle` among them


def read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The parameters and the arrays that `write` wrote."""
    given = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        return given, dict(arrays)


def learnable(interactions: Interactions) -> Interactions:
    """The same interactions, or an error when there is nothing to learn from."""
    if not len(interactions):
        raise ValueError("the interactions hold no pair of a customer and an item; a recommender needs at least one")
    return interactions
