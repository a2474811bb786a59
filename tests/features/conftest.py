"""A new workspace whose ledger is on each dialect in turn, and that ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.ledger import Ledger
from features.workspace import Workspace, create


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    shop = create(tmp_path / "shop")
    if request.param == "postgresql":
        with (shop.folder / "attune.yaml").open("a") as settings:
            settings.write(f"ledger: {request.getfixturevalue('new_database')()}\n")
    return Workspace.open(shop.folder)


@pytest.fixture
def ledger(shop: Workspace) -> Iterator[Ledger]:
    opened = Ledger.at(shop.ledger)
    yield opened
    opened.close()
