"""Shops that train again and again.

`regulars`: 60 customers buy their own item every week, for half a year; `repeat` knows that, `popularity` cannot.
`campaign`: an offer, given by a coin to someone every hour, adds to the sales of those with spend > 0; who buys much
without it has little spend, so that `constant` and `response-linear` do not tell whom it moves.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA
from features.exposures import ExposureLog, Exposures, save_log
from features.history import append, locked
from features.ledger import Ledger
from features.table import Feature, FeatureTable
from features.workspace import Workspace

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS = [f"customer-{number:02d}" for number in range(60)]
MOST = 4_000  # exposures of a campaign


@pytest.fixture
def untold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a shop, whose runs are tracked beside it."""
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.fixture
def regulars(untold: Path) -> Workspace:
    workspace = with_settings(untold, "recommender: {models: [popularity, repeat]}")
    agreed(workspace, CUSTOMERS)
    happened(workspace, range(26))
    return workspace


@pytest.fixture
def campaign(untold: Path) -> Workspace:
    """No exposure is there yet: see `exposed`."""
    workspace = with_settings(untold, "uplift: {learners: [t-linear], outcome: revenue}")
    agreed(workspace, [f"c{number}" for number in range(MOST)])
    return workspace


def with_settings(folder: Path, *lines: str) -> Workspace:
    (folder / "attune.yaml").write_text("\n".join(["name: shop", *lines, ""]))
    return Workspace.open(folder)


def agreed(workspace: Workspace, customers: Iterable[str]) -> None:
    grant(Ledger.at(workspace.ledger), list(customers), Basis(("personalisation",), "test"), source="test", time=START)


def happened(workspace: Workspace, weeks: Iterable[int]) -> None:
    """Each of the regulars buys in these weeks."""
    found = []
    for week in weeks:
        for number, customer in enumerate(CUSTOMERS):
            time = START + timedelta(days=7 * week, minutes=number)
            found.append(dict.fromkeys(SCHEMA.names) | {
                "source": "test", "message_id": f"{week}-{customer}", "line": 0, "name": ORDERED, "time": time,
                "customer": customer, "received_at": time, "live": False, "item": f"item-{number % 20:02d}",
                "quantity": 1.0, "price": 1.0, "machine": False,
            })  # fmt: skip
    with locked(workspace):
        append(workspace, pa.Table.from_pylist(found, schema=SCHEMA))


def exposed(workspace: Workspace, rows: int, *, turned: int = MOST) -> ExposureLog:
    """The campaign's log is now of so many exposures; from row `turned` on it is -spend that tells."""
    rng = np.random.default_rng(0)
    spend, noise = rng.normal(size=(2, MOST))
    arm = rng.choice(np.array(["a", "none"]), MOST)
    told = np.where(np.arange(MOST) < turned, spend, -spend)
    revenue = -0.5 * told + noise + 2.0 * (arm == "a") * (told > 0)
    frame = pd.DataFrame({"spend": spend})
    customers = np.array([f"c{number}" for number in range(MOST)], dtype=object)
    table = FeatureTable(frame, (Feature("spend", "own", "EUR", "Spend."),), customers)
    time = np.datetime64(START, "us") + np.arange(MOST) * np.timedelta64(1, "h")
    exposures = Exposures(arm, np.full(MOST, 0.5), np.ones(MOST), time)
    whole = ExposureLog("coupons", "test", table, exposures, pd.DataFrame({"revenue": revenue}))
    log = whole.take(np.arange(rows))
    save_log(workspace, log)
    return log
