"""Peers: asks `peers_uplift.py`, which runs in an environment of its own; without that there are no peers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT, LOCK = ROOT / "benchmarks" / "peers_uplift.py", ROOT / "requirements-peers.lock"
KEPT = ROOT / "benchmarks" / "results" / "peers"  # git-ignored
FORESTS = ("causal-forest", "uplift-forest")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
PEERS = (*FORESTS, "econml-dr", "causalml-x", "causalml-dr")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """One offer against none: features without gaps, who was treated, the outcome, the probability of being treated.

    `fold`: each from 0 on is answered by models of all other rows; rows with -1 are only learned from.
    `probability`: NaN where it is not known.
    """

    X: Array
    treated: NDArray[np.bool_]
    outcome: Array
    probability: Array
    fold: NDArray[np.intp]
    seed: int


@dataclass(frozen=True)
class Answer:
    """Effects per row and CPU seconds by peer."""

    effects: dict[str, Array]
    cpu_s: dict[str, float]


class Peers:
    """A process that answers one question after the other, so that its imports are paid once."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.versions: dict[str, str] = self._read()

    def ask(self, question: Question, names: Sequence[str] = PEERS) -> Answer:
        """What the named peers say; the same question, of the same script and versions, is answered from `KEPT`."""
        path = KEPT / f"{fingerprint(question, names)}.npz"
        if not path.exists():
            answer = self.measure(question, names)
            KEPT.mkdir(parents=True, exist_ok=True)
            np.savez(path, **answer.effects, cpu_s=np.array([answer.cpu_s[name] for name in names]))
        with np.load(path, allow_pickle=False) as kept:
            seconds = dict(zip(names, kept["cpu_s"].tolist(), strict=True))
            return Answer({name: kept[name] for name in names}, seconds)

    def measure(self, question: Question, names: Sequence[str] = PEERS) -> Answer:
        """As `ask`, always anew: the CPU seconds are of this run."""
        chosen = np.array(names, np.str_)
        np.savez(self.folder / "given.npz", **arrays(question), names=chosen, seed=np.array(question.seed))
        print(self.folder, file=self.process.stdin, flush=True)
        seconds = self._read()
        with np.load(self.folder / "effects.npz", allow_pickle=False) as told:
            return Answer(dict(told), seconds)

    def _read(self) -> Any:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RuntimeError("the peers' process ended; its last words are above (peers)")
        return json.loads(line)


def arrays(question: Question) -> dict[str, NDArray[Any]]:
    """The question's arrays by name."""
    named = {name: getattr(question, name) for name in ("X", "outcome", "probability", "fold")}
    return named | {"treated": question.treated.astype(np.int64)}


def fingerprint(question: Question, names: Sequence[str]) -> str:
    """Of all that decides the answer: the arrays, the seed, the names, the script and the versions."""
    found = hashlib.sha256(SCRIPT.read_bytes() + LOCK.read_bytes())
    found.update(f"{question.seed} {list(names)}".encode())
    for name, values in arrays(question).items():
        found.update(f"{name} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


@contextmanager
def peers() -> Iterator[Peers | None]:
    """The peers while the block runs; None where `make setup-peers` was not run."""
    if not PYTHON.exists():
        print("no .venv-peers: comparators are null (make setup-peers)", file=sys.stderr)
        yield None
        return
    command = [PYTHON, SCRIPT]
    with TemporaryDirectory() as folder:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | ONE_THREAD}
        process = subprocess.Popen(command, text=True, **pipes)
        with process:
            yield Peers(process, Path(folder))
