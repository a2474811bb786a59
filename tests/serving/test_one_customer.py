"""The smallest shop: one customer who buys one item, from the file to the answer."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from features.workspace import Workspace, create

DAYS = ("01-05", "02-10", "03-10", "04-10", "05-01", "05-20", "06-10")  # the split needs three times four weeks
MAP = """columns: {customer: customer, time: time, item: item, price: price}
consent: {purposes: [personalisation], proof: till}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Workspace:
    rows = "".join(f"ann,2026-{day} 10:00:00,tea,3\n" for day in DAYS)
    (tmp_path / "log.csv").write_text(f"customer,time,item,price\n{rows}")
    (tmp_path / "map.yaml").write_text(MAP)
    return create(tmp_path / "shop")


def attune(tiny: Workspace, *words: str) -> None:
    home = tiny.folder.parent
    command = [sys.executable, "-m", "serving.cli", *words, "-w", str(tiny.folder)]
    own = os.environ | {"ATTUNE_MLRUNS": str(home / "mlruns")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home, env=own)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_one_customer_and_one_item_are_trained_promoted_and_answered(
    tiny: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]
) -> None:
    attune(tiny, "import", "events", "log.csv", "--map", "map.yaml")
    attune(tiny, "train", "recommender")
    attune(tiny, "promote", "recommender", "latest")
    with serving(tiny) as service:
        for customer in ("ann", "nobody known"):
            answer = service.post("/v1/recommend", json={"customer": customer, "k": 3})
            assert answer.status_code == 200, answer.text
            assert [one["item"] for one in answer.json()["items"]] == ["tea"]
        answer = service.post("/v1/recommend/similar", json={"item": "tea", "k": 3})
        assert (answer.status_code, answer.json()["items"]) == (200, [])
