"""A refit that the schedule began: on newer events, with what it came to said, and the better version served.

60 customers buy their own item every week, for half a year; `repeat` knows that, `popularity` cannot. The worker looks
at noon of one day after another, and the refit is due at three in the morning.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA
from features.history import append, locked
from features.ledger import Ledger
from features.workspace import Workspace
from serving import work
from serving.schedule import LOG
from training.release import current, load_release

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS = [f"customer-{number:02d}" for number in range(60)]


def bought(weeks: Iterable[int]) -> pa.Table:
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
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "shop").mkdir()
    workspace = of_models(tmp_path / "shop", "popularity, repeat")
    grant(Ledger.at(workspace.ledger), CUSTOMERS, Basis(("personalisation",), "test"), source="test", time=START)
    happened(workspace, range(26))
    work.once(workspace, noon(1))  # the schedule is newer than today's time: it begins tomorrow
    return workspace


def of_models(folder: Path, models: str) -> Workspace:
    schedule = "schedule: {recommender: '03:00'}"
    (folder / "attune.yaml").write_text(f"name: shop\nrecommender: {{models: [{models}]}}\n{schedule}\n")
    return Workspace.open(folder)


def happened(shop: Workspace, weeks: Iterable[int]) -> None:
    with locked(shop):
        append(shop, bought(weeks))


def noon(day: int) -> datetime:
    return datetime(2026, 3, day, 12, tzinfo=UTC)


def refitted(shop: Workspace, day: int) -> str:
    """What the worker said of the refit on this day."""
    (line,) = [line for line in work.once(shop, noon(day)) if line.startswith("refit")]
    return line


def newest(shop: Workspace) -> datetime:
    """Until when the release that is served has seen the customers."""
    served = load_release(current(shop, "recommender"))
    return served.interactions.last.max().item()


@pytest.mark.slow
def test_a_scheduled_refit_serves_the_better_version_and_keeps_it_from_a_worse_one_with_the_reason(
    shop: Workspace,
) -> None:
    assert current(shop, "recommender") is None
    first = refitted(shop, 2)
    assert first.startswith("refit recommender: recommender 1 is the champion and is served: ")
    before = newest(shop)
    happened(shop, [26])
    second = refitted(shop, 3)
    assert second.startswith("refit recommender: recommender 2 is the champion and is served: ")
    assert newest(shop) - before == timedelta(days=7)
    assert work.once(shop, noon(3)) == []  # once a day
    happened(shop, [27])
    third = refitted(of_models(shop.folder, "popularity"), 4)
    assert third.startswith(
        "refit recommender: what was served stays: recommender 3 was not promoted: it is worse than"
    )
    assert "the champion 2 (repeat) on the newest split" in third
    assert "registered: recommender 3 (popularity)" in (shop.state / LOG).read_text()
    assert current(shop, "recommender").name == "2"
    assert "there was nothing new to learn from" in refitted(of_models(shop.folder, "popularity"), 5)
