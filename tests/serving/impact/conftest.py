"""Shops with a global holdout, made from a list of events."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import SCHEMA, Event
from features.history import append
from features.holdout import held_out
from features.ledger import Ledger
from features.workspace import Workspace, create

SHARE = 0.2
CATALOG = "item,name,category,price,stock,cost\ntea,Tea,tea,10.0,,6.0\ncup,Cup,cups,10.0,,\n"
AGREED = datetime(2025, 1, 1)  # UTC without a zone, as the tables keep it


class Maker:
    """Makes events and shops; of a shop's customers those whose name begins with `secret` agreed to nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def event(
        self, name: str, customer: str | None, time: datetime, money: float | None = None, **fields: Any
    ) -> Event:
        """An event; with money it is of tea at 10 each, of which 6 are cost."""
        sold = {} if money is None else {"quantity": money / 10, "price": 10.0, "item": "tea"}
        number = f"{name}-{customer}-{time.isoformat()}-{fields.get('campaign')}-{fields.get('item')}"
        given = {"source": "test", "message_id": number, "received_at": time, "live": False} | sold | fields
        return Event(name=name, customer=customer, time=time, **given)

    def shop(self, events: list[Event], share: float = SHARE, agreed: datetime = AGREED) -> Workspace:
        """A new shop with these events."""
        number = len(list(self.folder.iterdir()))
        made = create(self.folder / f"shop{number}")
        text = (made.folder / "attune.yaml").read_text()  # of Europe/Berlin, in EUR
        (made.folder / "attune.yaml").write_text(f"{text}holdout: {share}\n")
        (made.folder / "catalog.csv").write_text(CATALOG)
        shop = Workspace.open(made.folder)
        if events:
            append(shop, pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA))
        who = sorted({one.customer for one in events if one.customer and not one.customer.startswith("secret")})
        grant(Ledger.at(shop.ledger), who, Basis(("analytics",), "a box"), source="test", time=agreed)
        return shop

    def names(self, treated: int, held: int) -> tuple[list[str], list[str]]:
        """So many customers who are treated, and so many of the holdout."""
        named = [f"c{number:05}" for number in range(10 * (treated + held) + 50)]
        sides = {side: [one for one in named if held_out(one, SHARE) == side] for side in (False, True)}
        return sides[False][:treated], sides[True][:held]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture(scope="module")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("shops"))
