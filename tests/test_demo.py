"""The main job through public verbs, each in its own process: what is served follows from the log alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pandas as pd
import pytest
from sqlalchemy import select

from examples.demo import Service
from features.decisions import decisions
from features.ledger import Ledger

pytestmark = pytest.mark.slow
CUSTOMER = "customer-0000103"


def attune(folder: Path, *words: str) -> str:
    """What the verb wrote to stdout; its models are tracked inside the folder."""
    environment = os.environ | {"ATTUNE_MLRUNS": str(folder / "mlruns")}
    command = [sys.executable, "-m", "serving.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"attune {' '.join(words)}: {done.stderr[-800:]}"
    return done.stdout


def served(folder: Path, log: Path) -> list[str]:
    """The items that a shop which imported this log recommends to the customer."""
    shop = folder / "shop"
    attune(folder, "init", str(shop))
    attune(folder, "import", "events", str(log), "--map", str(folder.parent / "log" / "map.yaml"), "-w", str(shop))
    attune(folder, "train", "recommender", "--model", "repeat", "-w", str(shop))
    attune(folder, "promote", "recommender", "latest", "-w", str(shop))
    with Service(shop, 0) as service:
        answer = httpx.post(f"{service.url}/v1/recommend", json={"customer": CUSTOMER, "k": 3}, timeout=20).json()
    assert answer["fallback"] is None
    return [item["item"] for item in answer["items"]]


def test_one_purchase_more_changes_what_is_served_and_the_truth_is_not_needed(tmp_path):
    attune(tmp_path, "simulate", str(tmp_path / "log"), "--customers", "300")
    shutil.rmtree(tmp_path / "log" / "truth")
    log = tmp_path / "log" / "events.parquet"
    before = served(tmp_path / "before", log)

    events = pd.read_parquet(log)
    bought = events[events["name"] == "Order Completed"]
    never = sorted(set(bought["item"]) - set(bought.loc[bought["customer"] == CUSTOMER, "item"]) - set(before))[0]
    one = bought.iloc[[-1]].assign(
        customer=CUSTOMER, item=never, message_id="one-more", order_id="one-more", time=events["time"].max()
    )
    changed = tmp_path / "changed.parquet"
    pd.concat([events, one]).to_parquet(changed, index=False)

    after = served(tmp_path / "after", changed)
    assert never in after
    assert never not in before


def test_a_second_import_of_the_demo_doubles_nothing(tmp_path):
    attune(tmp_path, "simulate", str(tmp_path / "log"), "--customers", "50")
    attune(tmp_path, "init", str(tmp_path / "shop"))
    words = ["import", "events", str(tmp_path / "log" / "events.parquet"), "--map", str(tmp_path / "log" / "map.yaml")]
    first = attune(tmp_path, *words, "-w", str(tmp_path / "shop"))
    attune(tmp_path, "simulate", str(tmp_path / "log"), "--customers", "50")
    second = attune(tmp_path, *words, "-w", str(tmp_path / "shop"))
    assert "stored" in first
    assert "imported before; nothing changed" in second


def test_the_same_path_on_postgresql_ends_in_an_explained_decision(tmp_path, new_database):
    shop, address = tmp_path / "shop", new_database()
    attune(tmp_path, "simulate", str(tmp_path / "log"), "--customers", "100")
    attune(tmp_path, "init", str(shop))
    with (shop / "attune.yaml").open("a") as settings:
        settings.write(f"ledger: {address}\n")
    words = [str(tmp_path / "log" / "events.parquet"), "--map", str(tmp_path / "log" / "map.yaml"), "-w", str(shop)]
    attune(tmp_path, "import", "events", *words)
    assert "imported before; nothing changed" in attune(tmp_path, "import", "events", *words)
    attune(tmp_path, "train", "recommender", "--model", "repeat", "-w", str(shop))
    attune(tmp_path, "promote", "recommender", "latest", "-w", str(shop))
    with Service(shop, 0) as service:
        answer = httpx.post(f"{service.url}/v1/recommend", json={"customer": "customer-0000003"}, timeout=20).json()
    assert answer["fallback"] is None
    told = attune(tmp_path, "explain", answer["decision_id"], "-w", str(shop))
    assert f"decision      {answer['decision_id']} (recommend)" in told
    with Ledger(address).read() as connection:
        assert connection.execute(select(decisions.c.decision_id)).scalars().all() == [answer["decision_id"]]
    assert not (shop / ".attune" / "ledger.db").exists()
