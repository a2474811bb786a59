"""A small shop with both releases, and the real service on a free port of the loopback.

tea drinkers c000, c002, ... bought green, black and white tea; coffee drinkers c001, c003, ... mocha, java, robusta.
The last ten customers did not agree to personalisation. `oolong` is out of stock, and every tea drinker bought it.
`coupon` lifts conversion by 0.4 for those with tenure 1 and by nothing for the others; `mail` by nothing.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.postgresql import NEEDED, Server, binaries, server
from benchmarks.served import free_port
from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, Event, Events
from features.exposures import Exposures
from features.history import append
from features.interactions import Interactions
from features.ledger import Ledger
from features.table import Feature, FeatureTable
from features.workspace import InteractionSettings, Workspace, create
from training.recommenders.neighbours import Neighbours
from training.release import point, save_model, write_release
from training.uplift.baseline import FOLDER as BASELINE
from training.uplift.baseline import Baseline
from training.uplift.customer_effects import CustomerEffects
from training.uplift.t import TLinear

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
CUSTOMERS = [f"c{number:03}" for number in range(60)]
TEAS, COFFEES = ["black", "green", "white", "oolong"], ["java", "mocha", "robusta"]
OFFERS = """\
offers:
  - {key: coupon, name: 10 % off, channel: web, value: 20.0, cost: 0.30}
  - {key: mail, name: A letter, channel: email, value: 20.0, cost: 0.20}
  - {key: sample, name: Free sample, channel: web, value: 5.0, cost: 1.0}
"""
CATALOG = (
    "item,name,category,price,stock\ngreen,Green tea,tea,4.0,\noolong,Oolong,tea,5.0,0\nmocha,Mocha,coffee,6.0,9\n"
)


@pytest.fixture(scope="session")
def shop(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace of the docstring, which the service of the session and all its tests write into."""
    folder = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(untouched.folder, folder)
    return Workspace.open(folder)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace of the docstring, both releases promoted; nobody writes into it."""
    workspace = create(tmp_path_factory.mktemp("serving") / "shop")
    (workspace.folder / "offers.yaml").write_text(OFFERS)
    (workspace.folder / "catalog.csv").write_text(CATALOG)
    workspace = Workspace.open(workspace.folder)
    log = _log()
    append(workspace, log)
    basis = Basis(("personalisation", "analytics"), "a box ticked")
    grant(Ledger.at(workspace.ledger), CUSTOMERS[:50], basis, source="test", time=START)
    _release_recommender(workspace, Events.of(log))
    _release_uplift(workspace)
    return workspace


@pytest.fixture(scope="session")
def service(shop: Workspace) -> Iterator[httpx.Client]:
    """A client of the service, which runs as `attune serve` for the whole session."""
    with serving(shop) as client:
        yield client


@pytest.fixture(name="serving", scope="session")
def serving_fixture() -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Starts a service of a test's own."""
    return serving


@pytest.fixture
def database() -> Iterator[Server]:
    if binaries() is None:
        pytest.skip(NEEDED)
    with server({"fsync": "off", "shared_buffers": "16MB"}) as started:
        yield started


@pytest.fixture
def away(untouched: Workspace, database: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The shop with its ledger on the server, where two customers agreed."""
    shutil.copytree(untouched.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    monkeypatch.setenv("ATTUNE_LEDGER_URL", database.address)
    shop = Workspace.open(tmp_path / "shop")
    basis = Basis(("personalisation",), "a box ticked")
    grant(Ledger.at(shop.ledger), ["c000", "c001"], basis, source="test", time=datetime(2026, 1, 1))
    return shop


@contextmanager
def serving(workspace: Workspace, *words: str) -> Iterator[httpx.Client]:
    """A client of a service of its own."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("attune")), "serve", "-w", str(workspace.folder), "--port", str(port)]
    log = workspace.state / f"service-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *words], stdout=out, stderr=out, env=os.environ | {"NO_COLOR": "1"})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until_ready(client, process, log)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns when the service answers; fails with its last words when it does not."""
    deadline = time.monotonic() + 180  # a busy machine takes a minute
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail(f"the service did not start: {log.read_text()[-3000:]}")


def _log() -> pa.Table:
    rows = []
    for number, customer in enumerate(CUSTOMERS):
        family = COFFEES if number % 2 else TEAS
        # everybody misses one item of the family, so that there is something to recommend
        for place, item in enumerate(item for item in family if item != family[number % 3]):
            time_ = START + timedelta(days=1 + place)
            rows.append(
                Event(
                    source="test",
                    message_id=f"{customer}-{item}",
                    name=ORDERED,
                    time=time_,
                    received_at=time_,
                    live=False,
                    customer=customer,
                    item=item,
                    quantity=1.0,
                    price=5.0,
                    order_id=f"{customer}-{item}",
                ).row()
            )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _release_recommender(workspace: Workspace, events: Events) -> None:
    interactions = Interactions.build(events, START + timedelta(days=30), InteractionSettings())
    interactions.save(workspace.runs / "r1")
    facts = {"kind": "recommender", "name": "neighbours", "as_of": START + timedelta(days=30)}
    _release(workspace, Neighbours().fit(interactions), facts, "r1")


def _release_uplift(workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    tenure = rng.integers(0, 2, 4000).astype(float)
    arm = rng.choice(np.array(["none", "coupon", "mail"]), 4000)
    outcome = (rng.random(4000) < 0.1 + 0.4 * tenure * (arm == "coupon")).astype(float)
    exposures = Exposures(arm, np.full(4000, 1 / 3), np.ones(4000), None)
    model = TLinear().fit(_table(tenure), exposures, outcome)
    baseline, everybody = Baseline().fit(_table(tenure), exposures, outcome), _table(np.arange(60) % 2 * 1.0)
    known = CustomerEffects(np.array(CUSTOMERS), model.effect(everybody), baseline.expected(everybody))
    known.save(workspace.runs / "u1")
    baseline.save(workspace.runs / "u1" / "registered" / "model" / BASELINE)
    _release(workspace, model, {"kind": "uplift", "name": "t-linear", "as_of": START}, "u1")


def _table(tenure: np.ndarray) -> FeatureTable:
    described = (Feature("tenure", "profile", "count", "Known for long."),)
    return FeatureTable(pd.DataFrame({"tenure": tenure}), described)


def _release(workspace: Workspace, model: object, facts: dict[str, object], run: str) -> None:
    folder = workspace.runs / run / "registered"
    save_model(model, folder, facts)
    write_release(workspace, folder, version="1", run_id=run, facts={})
    point(workspace, str(facts["kind"]), "1")
