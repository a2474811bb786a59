"""A large release is read from a copy that all workers map: 300,000 customers, of whom each bought two of 50 items."""

from pathlib import Path

import numpy as np
import pytest

from features.interactions import FILE, Interactions
from features.workspace import Workspace, create
from serving.decisions.copies import FOLDER, forget_copies, read_copy, tidy
from training.recommenders.popularity import Popularity
from training.release import load_release, point, save_model, write_release

CUSTOMERS = 300_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = create(tmp_path_factory.mktemp("copies") / "shop")
    customer = np.repeat(np.arange(CUSTOMERS, dtype=np.int32), 2)
    item = np.tile(np.array([1, 7], np.int32), CUSTOMERS)
    one, day = np.ones(len(item), np.float32), np.full(len(item), "2026-01-01", "M8[us]")
    names = np.array([f"customer-{number:06d}" for number in range(CUSTOMERS)])
    items = np.array([f"item-{number:02d}" for number in range(50)])
    known = Interactions(names, items, customer, item, one, one, day, day)
    known.save(workspace.runs / "r")
    save_model(
        Popularity().fit(known), workspace.runs / "model", {"kind": "recommender", "name": "popularity", "as_of": ""}
    )
    return workspace


@pytest.fixture
def release(shop: Workspace) -> Path:
    """The release, written anew; it is the one that is served."""
    forget_copies(shop)
    folder = write_release(shop, shop.runs / "model", version="1", run_id="r", facts={})
    point(shop, "recommender", "1")
    return folder


def of_its_own() -> int:
    """Bytes of memory that stand in no file, so that no other process can share them."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def values(known: Interactions) -> float:
    numbers = (known.customer, known.item, known.weight, known.purchases)
    return float(sum(array.sum() for array in (*numbers, known.customers.view(np.uint32))))  # each page is looked at


def test_a_further_worker_adds_little_memory_of_its_own(shop: Workspace, release: Path) -> None:
    size = (release / "customers" / FILE).stat().st_size
    read_copy(shop, release)  # what the first import and the first copy leave behind
    before = of_its_own()
    known = read_copy(shop, release).interactions
    found, grown = values(known), of_its_own() - before
    assert found == values(load_release(release).interactions)
    assert grown < size / 10


def test_what_happens_to_the_release_reaches_no_worker(shop: Workspace, release: Path) -> None:
    known = read_copy(shop, release).interactions
    whole = values(known)
    (release / "customers" / FILE).write_bytes(b"changed in place")
    assert values(known) == whole
    assert known.weight.flags.writeable  # who writes has a copy: libraries ask for arrays that may be written to


def test_a_broken_release_is_told_by_its_own_name_and_read_when_it_is_whole_again(
    shop: Workspace, release: Path
) -> None:
    path = release / "customers" / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    with pytest.raises(ValueError, match=f"{path}: the checksum is not the manifest's"):
        read_copy(shop, release)
    path.write_bytes(whole)
    assert read_copy(shop, release).version == "1"


def test_copies_that_nobody_serves_go(shop: Workspace, release: Path) -> None:
    read_copy(shop, release)
    tidy(shop, ("recommender", "uplift"))
    assert [path.name[:14] for path in (shop.state / FOLDER).iterdir()] == ["recommender-1-"]
    point(shop, "recommender", "2")
    tidy(shop, ("recommender", "uplift"))
    assert list((shop.state / FOLDER).iterdir()) == []
