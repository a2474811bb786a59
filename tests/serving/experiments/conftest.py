"""A shop in which a test ran: everybody is exposed on a day of their own, and does what the test file plants."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.experiments.exposures import VIEWED

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
Ran = Callable[[Sequence[Mapping[str, Any]]], Workspace]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    """A workspace in which this happened: dicts of customer, day, and arm, or money of an order, or another event."""

    def made(rows: Sequence[Mapping[str, Any]]) -> Workspace:
        workspace = create(tmp_path / "shop")
        customers = sorted({row["customer"] for row in rows})
        grant(Ledger.at(workspace.ledger), customers, Basis(("analytics",), "a box ticked"), source="test", time=START)
        table = [_event(number, row).row() | {"live": False} for number, row in enumerate(rows)]
        append(workspace, pa.Table.from_pylist(table, schema=SCHEMA))
        return workspace

    return made


def _event(number: int, row: Mapping[str, Any]) -> Event:
    time = START + timedelta(days=row["day"])
    name = VIEWED if "arm" in row else row.get("name", ORDERED)
    told = {"experiment_id": "badge", "variation": row["arm"]} if "arm" in row else row.get("told")
    money = row.get("money")
    return Event(
        source="test",
        message_id=str(number),
        name=name,
        time=time,
        received_at=time,
        customer=row["customer"],
        item=None if money is None else "tea",
        quantity=None if money is None else 1.0,
        price=money,
        order_id=None if money is None else f"o{number}",
        properties=None if told is None else json.dumps(told),
    )
