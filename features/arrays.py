"""Arrays: npz files, read. Where one was unpacked, its large arrays are mapped: one copy in memory for all processes.

FOLDER/model.npz
FOLDER/model.npz.unpacked/factors.npy      only what is large; the file itself stays the truth
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 20  # bytes; a smaller array costs more as a file of its own than it saves
SUFFIX = ".unpacked"


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays by name; what changes one that is mapped changes its own copy of it."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: _mapped(path, name) if _place(path, name).exists() else arrays[name] for name in arrays.files}


def unpack(path: Path) -> None:
    """Writes the large arrays of the file beside it."""
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            values = arrays[name]
            if values.nbytes >= LARGE:
                _place(path, name).parent.mkdir(exist_ok=True)
                np.save(_place(path, name), values, allow_pickle=False)


def _place(path: Path, name: str) -> Path:
    return path.with_name(path.name + SUFFIX) / f"{name}.npy"


def _mapped(path: Path, name: str) -> NDArray[Any]:
    place = _place(path, name)
    found: NDArray[Any] = np.load(place, mmap_mode="c", allow_pickle=False)
    return found.view(np.ndarray)  # a plain one: each step on the other class costs a microsecond
