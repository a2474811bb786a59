"""Impact of a shop whose truth is planted: treated customers order more, by what is known.

The holdout is the hash's own; of each customer a revenue is drawn, and 4 more per treated one.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import CLICKED, DELIVERED, ORDERED, PAGE, REFUNDED, SCHEMA, Event
from features.history import append
from features.holdout import held_out
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.impact.report import build

SHARE = 0.2
NOW = datetime(2026, 5, 1, tzinfo=UTC)
FIRST, LAST = date(2026, 1, 1), date(2026, 4, 30)
CATALOG = "item,name,category,price,stock,cost\ntea,Tea,tea,10.0,,6.0\ncup,Cup,cups,10.0,,\n"


def event(name: str, customer: str | None, time: datetime, money: float | None = None, **fields: Any) -> Event:
    sold = {} if money is None else {"quantity": money / 10, "price": 10.0, "item": "tea"}
    return Event(
        source="test",
        message_id=f"{name}-{customer}-{time.isoformat()}-{fields.get('campaign')}",
        name=name,
        customer=customer,
        time=time,
        received_at=time,
        live=False,
        **{**sold, **fields},
    )


def shop_of(folder: Path, events: list[Event], share: float = SHARE, zone: str = "Europe/Berlin") -> Workspace:
    made = create(folder / "shop")
    text = (made.folder / "attune.yaml").read_text().replace("timezone: Europe/Berlin", f"timezone: {zone}")
    (made.folder / "attune.yaml").write_text(text + f"holdout: {share}\n")
    (made.folder / "catalog.csv").write_text(CATALOG)
    shop = Workspace.open(made.folder)
    if events:
        append(shop, pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA))
    who = sorted({one.customer for one in events if one.customer and not one.customer.startswith("secret")})
    grant(Ledger.at(shop.ledger), who, Basis(("analytics",), "a box"), source="test", time=datetime(2025, 1, 1))
    return shop


def planted(customers: int, rng: np.random.Generator) -> list[Event]:
    """Everybody visits in December; orders in any month, of treated ones 4 more of money each, some by a campaign."""
    found = []
    for number in range(customers):
        who, day = f"c{number:05}", datetime(2025, 12, 1) + timedelta(hours=int(rng.integers(0, 600)))
        treated = not held_out(who, SHARE)
        found.append(event(PAGE, who, day))
        if rng.random() < 0.5:
            found.append(event(ORDERED, who, day + timedelta(hours=1), 10.0))
        time = datetime(2026, 1, 1) + timedelta(hours=int(rng.integers(0, 2800)))
        spring = "spring" if treated and rng.random() < 0.5 else None
        if treated:
            found.append(event(DELIVERED, who, time - timedelta(days=1), campaign="spring", channel="email"))
            found.append(event(CLICKED, who, time - timedelta(hours=3), campaign="spring", channel="email"))
        money = float(rng.integers(1, 4)) * 10 + (4.0 if treated else 0.0)
        found.append(event(ORDERED, who, time, money, channel="web", campaign=spring, order_id=f"o{number}"))
        if rng.random() < 0.1:
            found.append(event(REFUNDED, who, time + timedelta(days=2), 10.0, order_id=f"o{number}"))
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return shop_of(tmp_path_factory.mktemp("impact"), planted(800, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def report(shop: Workspace) -> dict[str, Any]:
    return build(shop, FIRST, LAST, NOW)


def test_the_planted_money_is_found(report: dict[str, Any]) -> None:
    revenue, treated = report["total"]["revenue"], report["holdout"]["treated"]
    assert revenue["lower"] < 4 * treated < revenue["upper"]
    assert revenue["verdict"] == "more"
    assert report["total"]["orders"]["incremental"] == pytest.approx(0, abs=1e-6)  # everybody orders once
