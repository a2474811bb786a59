"""Two workers read one release of `als`: 20,000 items of 32 factors, 2.5 MB that stand in memory once.

process 1 --+
            +--> .attune/.serving/recommender-1-.../model/arrays.npz.unpacked/factors_.npy
process 2 --+
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from features.interactions import Interactions
from features.workspace import Workspace, create
from serving.decisions.copies import FOLDER
from training.recommenders.als import Als
from training.release import point, save_model, write_release

ITEMS, FACTORS = 20_000, 32
SIZE = ITEMS * FACTORS * 4  # bytes of float32
WORKER = """
import sys
from pathlib import Path
from features.workspace import Workspace
from serving.decisions.copies import read_copy
from training.release import current
workspace = Workspace.open(Path(sys.argv[1]))
factors = read_copy(workspace, current(workspace, "recommender")).recommender.factors_
print(repr(float(factors.sum(dtype="float64"))), flush=True)  # each page was looked at
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def model() -> Als:
    item = np.arange(ITEMS, dtype=np.int32)
    one, day = np.ones(ITEMS, np.float32), np.full(ITEMS, "2026-01-01", "M8[us]")
    names = np.array([f"item-{number:05d}" for number in range(ITEMS)])
    customers = np.array([f"customer-{number:03d}" for number in range(100)])
    known = Interactions(customers, names, item // (ITEMS // 100), item, one, one, day, day)
    return Als(factors=FACTORS, iterations=1, threads=1).fit(known)


@pytest.fixture(scope="module")
def shop(model: Als, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = create(tmp_path_factory.mktemp("mapped") / "shop")
    workspace.runs.mkdir(parents=True, exist_ok=True)
    save_model(model, workspace.runs / "model", {"kind": "recommender", "name": "als", "as_of": ""})
    write_release(workspace, workspace.runs / "model", version="1", run_id="none", facts={})
    point(workspace, "recommender", "1")
    return workspace


@pytest.fixture
def workers(shop: Workspace) -> Iterator[list["subprocess.Popen[str]"]]:
    """Two processes that have begun to read the release; each ends with its standard input."""
    command = [sys.executable, "-c", WORKER, str(shop.folder)]
    with ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        yield [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(2)]


def mapped(process: "subprocess.Popen[str]") -> tuple[set[tuple[str, str]], Counter[str]]:
    """The device and inode of the file of factors that the process maps, and bytes of it by the kind of its pages."""
    files, kinds, inside = set(), Counter[str](), False
    for line in Path(f"/proc/{process.pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):  # the line that begins a mapping: range, rights, offset, device, inode, path
            inside = words[-1].endswith("factors_.npy")
            files |= {(words[3], words[4])} if inside else set()
        elif inside and words[-1] == "kB":
            kinds[words[0].rstrip(":")] += int(words[1]) * 1024
    return files, kinds


def test_two_processes_hold_the_factors_of_items_in_one_mapped_file(
    shop: Workspace, model: Als, workers: list["subprocess.Popen[str]"]
) -> None:
    sums = [float(process.stdout.readline()) for process in workers]
    assert sums == pytest.approx([float(model.factors_.sum(dtype=np.float64))] * 2)
    (path,) = (shop.state / FOLDER).rglob("factors_.npy")
    (first, of_first), (second, of_second) = map(mapped, workers)
    assert first == second
    assert {inode for _, inode in first} == {str(path.stat().st_ino)}
    for kinds in (of_first, of_second):
        assert kinds["Rss"] >= SIZE
        assert kinds["Shared_Clean"] + kinds["Shared_Dirty"] == kinds["Rss"]
        assert kinds["Anonymous"] == 0
