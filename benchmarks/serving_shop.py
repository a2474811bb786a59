"""The shop that `serving` asks about: a release as training leaves it, and the same numbers as arrays for the others.

Factors are those of ALS on a simulated log, three iterations; every customer has seen 20 items and agreed. The uplift
release is learned from a log of 20,000 customers with 30 features, of which each offer's effect depends on three.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.recommend_scale import EACH, simulated
from features.consent import Basis, grant
from features.events import utc
from features.exposures import Exposures
from features.interactions import Interactions
from features.ledger import Ledger
from features.table import Feature, FeatureTable
from features.workspace import Workspace, create
from training.recommenders.als import Als
from training.release import point, save_model, write_release
from training.uplift.baseline import FOLDER as BASELINE
from training.uplift.baseline import Baseline
from training.uplift.customer_effects import CustomerEffects
from training.uplift.t import TLinear

Ids = NDArray[np.str_]
OFFERS, FEATURES, EXPOSED = 5, 30, 20_000
CATEGORIES = 12


def shop(folder: Path, items: int, customers: int, seed: int) -> Workspace:
    """The workspace, and beside it `arrays/`; made in a process of its own, whose memory goes with it."""
    words = [str(folder), str(items), str(customers), str(seed)]
    subprocess.run([sys.executable, "-m", "benchmarks.serving_shop", *words], check=True, stdout=sys.stderr)
    return Workspace.open(folder)


def made(folder: Path, items: int, customers: int, seed: int) -> None:
    """Writes it."""
    workspace, as_of = create(folder), datetime.now(UTC) - timedelta(days=1)
    log = simulated(customers * EACH, items, seed)
    (folder / "offers.yaml").write_text(_offers())
    _catalog(log.items, seed).to_csv(folder / "catalog.csv", index=False)
    basis = Basis(("personalisation",), "a box")
    grant(Ledger.at(workspace.ledger), log.customers.tolist(), basis, source="shop", time=as_of)
    model = Als(iterations=3, seed=seed).fit(log)
    _recommender(workspace, replace(log, as_of=utc(as_of)), model)
    _uplift(workspace, log.customers, as_of, seed)
    _arrays(folder / "arrays", log, model)


def features(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """What is known of so many customers: numbers by name."""
    return pd.DataFrame(rng.normal(size=(rows, FEATURES)), columns=[f"f{number:02}" for number in range(FEATURES)])


def _offers() -> str:
    rows = (f"  - {{key: o{one}, name: Offer {one}, value: 20.0, cost: 0.{one + 1}}}" for one in range(OFFERS))
    return "\n".join(["offers:", *rows, ""])


def _catalog(items: Ids, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "item": items,
            "name": [f"Item {one}" for one in items],
            "category": [f"category {one}" for one in rng.integers(CATEGORIES, size=len(items))],
            "price": rng.lognormal(3, 1, len(items)).round(2),
            "stock": np.where(rng.random(len(items)) < 0.01, 0, 50),
        }
    )


def _recommender(workspace: Workspace, log: Interactions, model: Als) -> None:
    log.save(workspace.runs / "r1")
    _release(workspace, model, {"kind": "recommender", "name": "als", "as_of": log.as_of}, "r1")


def _uplift(workspace: Workspace, customers: Ids, as_of: datetime, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = features(rng, EXPOSED)
    arm = rng.choice(np.array(["none", *(f"o{one}" for one in range(OFFERS))]), EXPOSED)
    lifted = [
        (arm == f"o{one}") * (1 + frame.iloc[:, 3 * one : 3 * one + 3].to_numpy().sum(axis=1)) for one in range(OFFERS)
    ]
    outcome = (rng.random(EXPOSED) < np.clip(0.1 + 0.02 * sum(lifted), 0, 1)).astype(float)
    exposures = Exposures(arm, np.full(EXPOSED, 1 / (OFFERS + 1)), np.ones(EXPOSED), None)
    model = TLinear().fit(_table(frame), exposures, outcome)
    baseline, everybody = Baseline().fit(_table(frame), exposures, outcome), _table(features(rng, len(customers)))
    CustomerEffects(customers, model.effect(everybody), baseline.expected(everybody)).save(workspace.runs / "u1")
    baseline.save(workspace.runs / "u1" / "registered" / "model" / BASELINE)
    _release(workspace, model, {"kind": "uplift", "name": "t-linear", "as_of": as_of}, "u1")


def _table(frame: pd.DataFrame) -> FeatureTable:
    return FeatureTable(frame, tuple(Feature(name, "profile", "number", "Simulated.") for name in frame.columns))


def _release(workspace: Workspace, model: object, facts: dict[str, object], run: str) -> None:
    folder = workspace.runs / run / "registered"
    save_model(model, folder, facts)  # type: ignore[arg-type]  # either kind
    write_release(workspace, folder, version="1", run_id=run, facts={})
    point(workspace, str(facts["kind"]), "1")


def _arrays(folder: Path, log: Interactions, model: Als) -> None:
    """What those who serve factors themselves would load: both sides, and what each customer has seen."""
    folder.mkdir()
    parts = {"ids": log.items, "items": model.factors_, "customers": model.customers(log)}
    for name, values in (parts | {"starts": log.starts, "seen": log.item}).items():
        np.save(folder / f"{name}.npy", values)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "2"
    made(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
