"""A refit serves what it trained where that is not worse than the champion, judged on the same newest split.

60 customers buy their own item every week, for half a year: `repeat` knows that, `popularity` cannot.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA
from features.history import append, locked
from features.ledger import Ledger
from features.workspace import Workspace
from training import release, tracking
from training.refit import refit

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
START = datetime.fromisoformat("2024-01-01")
NOW = datetime(2024, 12, 1, tzinfo=UTC)
CUSTOMERS = [f"customer-{number:02d}" for number in range(60)]


def bought(weeks):
    found = []
    for week in weeks:
        for number, customer in enumerate(CUSTOMERS):
            time = START + timedelta(days=7 * week, minutes=number)
            found.append(dict.fromkeys(SCHEMA.names) | {
                "source": "test", "message_id": f"{week}-{customer}", "line": 0, "name": ORDERED, "time": time,
                "customer": customer, "received_at": time, "live": False, "item": f"item-{number % 20:02d}",
                "quantity": 1.0, "price": 1.0, "machine": False,
            })  # fmt: skip
    return pa.Table.from_pylist(found, schema=SCHEMA)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "shop").mkdir()
    workspace = of_models(tmp_path / "shop", "popularity, repeat")
    grant(Ledger.at(workspace.ledger), CUSTOMERS, Basis(("personalisation",), "test"), source="test", time=START)
    with locked(workspace):
        append(workspace, bought(range(26)))
    return workspace


def of_models(folder, models):
    (folder / "attune.yaml").write_text(f"name: shop\nrecommender: {{models: [{models}]}}\n")
    return Workspace.open(folder)


def served(workspace):
    return release.current(workspace, "recommender").name


def test_what_is_not_worse_than_the_champion_serves_and_what_is_worse_does_not(shop):
    first = list(refit(shop, "recommender", NOW))
    assert first[0] == "registered: recommender 1 (repeat)"
    assert first[1].startswith("recommender 1 is the champion and is served")
    assert list(refit(shop, "recommender", NOW))[1] == "what was served stays: there was nothing new to learn from"
    with locked(shop):
        append(shop, bought([26]))
    worse = list(refit(of_models(shop.folder, "popularity"), "recommender", NOW))
    assert worse[0] == "registered: recommender 2 (popularity)"
    assert (
        "stays: recommender 2 was not promoted: it is worse than the champion 1 (repeat) on the newest split"
        in worse[1]
    )
    found = tracking.evaluation(tracking.find("recommender", "2"))
    assert found["champion"]["value"] > found["model"]  # the champion's model, on the split of the new run
    assert found["champion"]["difference"] == pytest.approx(found["model"] - found["champion"]["value"])
    assert served(shop) == "1"
    fresher = list(refit(of_models(shop.folder, "popularity, repeat"), "recommender", NOW))
    assert fresher[1].startswith("recommender 3 is the champion and is served")
    release.challenge(shop, "recommender", "1", 0.1)
    with locked(shop):
        append(shop, bought([27]))
    assert list(refit(shop, "recommender", NOW))[1] == "what was served stays: recommender 1 is being tried beside 3"
    assert np.isfinite(found["champion"]["lower"])
