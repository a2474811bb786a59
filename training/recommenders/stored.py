"""A model's files: its parameters as JSON and what it learned as npz. Never a pickle.

A model is a dataclass: the fields of its constructor are parameters, the fields that `fit` sets (`init=False`) are
learned, each a numpy array or a sparse matrix, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.arrays import read_arrays

PARAMETERS = "parameters.json"
ARRAYS = "arrays.npz"
PARTS = ("data", "indices", "indptr", "shape")  # of a sparse matrix

Model = TypeVar("Model")


def parameters(model: Any) -> dict[str, Any]:
    """The constructor's arguments."""
    return {field.name: getattr(model, field.name) for field in fields(model) if field.init}


def takes(kind: Any, parameter: str) -> bool:
    """Whether models of this class are constructed with this parameter."""
    return any(field.name == parameter for field in fields(kind) if field.init)


def write(folder: Path, model: Any) -> None:
    """Writes the two files; the folder is made when it is not there."""
    write_parameters(folder, model)
    arrays: dict[str, Any] = {}
    for name in _learned(model):
        arrays |= _taken_apart(name, getattr(model, name))
    np.savez(folder / ARRAYS, **arrays)


def read(folder: Path, kind: type[Model]) -> Model:
    """The model that `write` wrote."""
    model = kind(**read_parameters(folder))
    arrays = read_arrays(folder / ARRAYS)
    for name in _learned(kind):
        setattr(model, name, arrays[name] if name in arrays else _put_together(name, arrays))
    return model


def write_parameters(folder: Path, model: Any) -> None:
    """Writes the constructor's arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAMETERS).write_text(json.dumps(parameters(model), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_parameters(folder: Path) -> dict[str, Any]:
    """The constructor's arguments that were written."""
    given: dict[str, Any] = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
    return given


def _learned(model: Any) -> list[str]:
    return [field.name for field in fields(model) if not field.init]


def _taken_apart(name: str, value: Any) -> dict[str, NDArray[Any]]:
    if isinstance(value, np.ndarray):
        return {name: value}
    return {f"{name}.{part}": np.asarray(getattr(value, part)) for part in PARTS}


def _put_together(name: str, arrays: dict[str, NDArray[Any]]) -> sparse.csr_matrix:
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in PARTS)
    return sparse.csr_matrix((data, indices, indptr), shape=tuple(shape))
