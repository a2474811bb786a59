"""A shop with a test whose truth is known, and its report.

day 0 to 9   40 customers a day come into the test `badge`, every second one into `treatment`
after it     of the control every fourth orders for 20, of the treatment every second; one day after the exposure
             every tenth who ordered gives 5 back
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.consent import Basis, grant
from features.events import ORDERED, REFUNDED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.experiments.definitions import read_experiments
from serving.experiments.exposures import VIEWED
from serving.experiments.report import build
from serving.reports.experiment import write

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
NOW = datetime(2026, 2, 1, tzinfo=UTC)
DAYS, EACH_DAY = 10, 40
TEST = """\
key: badge
description: Does a badge <b>sell</b> more?
hypothesis: A badge makes people order who look.
arms: {control: 0.5, treatment: 0.5}
"""


@pytest.fixture(scope="session")
def badge_shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shop of the docstring; its report is stored."""
    workspace = create(tmp_path_factory.mktemp("badge") / "shop")
    for path in (workspace.folder / "experiments").glob("*.yaml"):
        path.unlink()
    (workspace.folder / "experiments" / "badge.yaml").write_text(TEST)
    people = [f"b{number:03}" for number in range(DAYS * EACH_DAY)]
    append(workspace, pa.Table.from_pylist([one.row() for one in events(people)], schema=SCHEMA))
    basis = Basis(("analytics",), "a box ticked")
    grant(Ledger.at(workspace.ledger), people, basis, source="test", time=START)
    write(workspace, build(workspace, read_experiments(workspace.folder)["badge"], NOW))
    return workspace


@pytest.fixture(scope="session")
def badge(badge_shop: Workspace) -> dict[str, Any]:
    """The report."""
    return build(badge_shop, read_experiments(badge_shop.folder)["badge"], NOW)


@pytest.fixture(scope="session")
def badge_page(badge_shop: Workspace) -> Path:
    """Its HTML file."""
    return badge_shop.reports / "experiment-badge.html"


def events(people: list[str]) -> Iterator[Event]:
    for number, customer in enumerate(people):
        arm, day = ("control", "treatment")[number % 2], number // EACH_DAY
        seen = START + timedelta(days=day, minutes=number)
        shown = f'{{"experiment_id": "badge", "variation": "{arm}"}}'
        yield _event(VIEWED, customer, seen, properties=shown)
        if number % 8 == 0 or number % 4 == 1:
            yield _event(ORDERED, customer, seen + timedelta(days=1), item="tea", quantity=1.0, price=20.0)
        if number % 80 in (8, 41):
            yield _event(REFUNDED, customer, seen + timedelta(days=2), item="tea", quantity=1.0, price=5.0)


def _event(name: str, customer: str, time: datetime, **more: Any) -> Event:
    return Event("test", f"{customer}-{name}", name, time, time, customer=customer, live=False, **more)
