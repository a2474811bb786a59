"""Erasure: nothing of a person is left in any file of the workspace, and nothing brings the person back.

`c002` bought tea like others; before it identified it looked at a tea on the phone that `c001` uses too, and once on
a tablet of its own. It is known as `c002-old` too.
"""

import csv
import fcntl
import json
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from features.codes import codes
from features.consent import About, Basis, consents, grant, say
from features.decisions import Decision, decisions
from features.erased import erased_ids
from features.events import SCHEMA, Event
from features.exposures import ExposureLog, Exposures, read_log, save_log
from features.history import append, close_days, read_events, record
from features.imports import Parsed, import_events
from features.interactions import Interactions
from features.ledger import Ledger
from features.registered import register_file
from features.rejects import keep
from features.sources.sdk import Call, taken
from features.sources.split import Broken
from features.table import Feature, FeatureTable
from features.workspace import Workspace
from serving import erasure
from serving.bundle import write
from serving.decisions.journal import Journal
from serving.erasure import SERVED, erase
from serving.http.app import Routes
from serving.watch import Watch
from training.export import export
from training.pipelines.recommend import train
from training.release import current, load_release
from training.uplift.customer_effects import CustomerEffects

GONE, OLD, TABLET, PHONE = "c002", "c002-old", "tablet-4711", "phone-0815"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = datetime(2026, 2, 1)  # UTC without a zone, as the tables keep it
Serving = Callable[..., AbstractContextManager[httpx.Client]]

pytestmark = pytest.mark.filterwarnings(  # MLflow's own
    "ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning"
)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """MLflow's store of this test alone."""
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    return tmp_path / "mlruns"


@pytest.fixture
def home(untouched: Workspace, tmp_path: Path) -> Workspace:
    """The small shop, with traces of the customer in every place that keeps some."""
    folder = tmp_path / "shop"
    shutil.copytree(untouched.folder, folder)
    home = Workspace.open(folder)
    ledger = Ledger.at(home.ledger)
    record(ledger, [*signals(), *aliases()])
    since = DAY + timedelta(hours=1)  # the two ids were merged
    say(ledger, GONE, "personalisation", granted=True, source="page", proof="clicked", time=since)
    close_days(home, DAY + timedelta(hours=1))
    record(ledger, signals(start=60))
    _orphan(home)
    _decide(home, ledger)
    _campaign(home)
    _run(home)
    (home.rejects.mkdir(exist_ok=True), home.reports.mkdir(exist_ok=True))
    rows = [["reason", "customer"], ["no time", GONE], ["no time", "c001"]]
    with (home.rejects / "web-1.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return home


def event(minute: int, name: str, customer: str | None, device: str | None, **more: object) -> Event:
    moment = DAY + timedelta(minutes=minute)
    properties = json.dumps(more) if more else None
    return Event(
        "web", f"m{minute}-{device}", name, moment, moment, customer=customer, anonymous=device, properties=properties
    )


def signals(start: int = 0) -> list[Event]:
    """What the customer and a neighbour do on the devices of the docstring."""
    return [
        event(start + 1, "Product Viewed", None, PHONE, note="of-c-zero"),
        event(start + 2, "Identify", GONE, PHONE, email="zero@example.com"),
        event(start + 3, "Product Viewed", None, PHONE),
        event(start + 4, "Identify", "c001", PHONE),
        event(start + 5, "Product Viewed", None, TABLET, note="of-c-zero"),
        event(start + 6, "Identify", GONE, TABLET),
        event(start + 7, "Product Viewed", None, TABLET, note="of-c-zero"),
    ]


def orders() -> pa.Table:
    """What the customer and neighbours order on every third day, so that there is something to learn from."""
    rows = [
        event(number * 1440, "Order Completed", who, None, order_id=f"{who}-{number}").row()
        | {"item": item, "message_id": f"{who}-{number}", "live": False, "source": "till"}
        for number in range(0, 60, 3)
        for who, item in ((GONE, "green"), ("c006", "black"), ("c004", "green"))
    ]
    return pa.Table.from_pylist([row | {"time": row["time"] - timedelta(days=40)} for row in rows], schema=SCHEMA)


def aliases() -> list[Event]:
    return [event(9, "Alias", GONE, None, previous_id=OLD)]


def _orphan(home: Workspace) -> None:
    """A file that a write left behind, which no version of the history names."""
    rows = pa.Table.from_pylist([event(50, "Product Viewed", GONE, TABLET).row()], schema=SCHEMA)
    pq.write_table(rows, home.history / "part-left-behind.parquet")


def _decide(home: Workspace, ledger: Ledger) -> None:
    made = Decision("d1", "assign", DAY, GONE, (), ("a",), 1.0, "hash", None, None, "x", "r")
    journal = Journal(home.state / "journal", ledger)
    journal.append(made)
    journal.append(replace(made, decision_id="d2", customer="c001"))
    journal.close()
    with ledger.write() as connection:
        row = {"offer": "coupon", "customer": GONE, "redemption_cost": 0.0, "of_revenue": False}
        connection.execute(codes.insert(), [{"code": "SAVE10", **row}])


def _campaign(home: Workspace) -> None:
    table = FeatureTable(
        pd.DataFrame({"tenure": [1.0, 2.0]}),
        (Feature("tenure", "profile", "count", "Known for long."),),
        np.array([GONE, "c001"], object),
    )
    exposures = Exposures(np.array(["none", "coupon"]), np.full(2, 0.5), np.ones(2))
    save_log(home, ExposureLog("spring", "file", table, exposures, pd.DataFrame({"conversion": [1.0, 0.0]})))


def _run(home: Workspace) -> None:
    """What trainings leave beside histories and effects."""
    everybody = Interactions.load(home.runs / "r1").customers
    rows = {"history": np.arange(len(everybody)), "als:all:recall": np.ones(len(everybody))}
    np.savez_compressed(home.runs / "r1" / "evaluation.npz", customers=everybody, **rows)
    sample = [{"customer": one, "items": 1, "history": [], "next": [], "answers": {}} for one in (GONE, "c001")]
    (home.runs / "r1" / "sample.json").write_text(json.dumps(sample))
    home.reports.mkdir(exist_ok=True)
    (home.reports / "model-r1.html").write_text("what ten customers bought")
    customers = CustomerEffects.load(home.runs / "u1").customers
    assert customers is not None
    unit = np.repeat(np.arange(len(customers)), 2)
    arrays = {
        "unit": unit,
        "arm": np.repeat("none", len(unit)),
        "prediction:t": np.arange(len(unit) * 2.0).reshape(-1, 2),
    }
    np.savez_compressed(home.runs / "u1" / "oof.npz", offers=np.array(["coupon", "mail"]), **arrays)
    pd.DataFrame({"tenure": unit.astype(float)}).to_parquet(home.runs / "u1" / "features.parquet")


def texts(path: Path) -> Iterator[str]:
    """Everything that a file says, decoded."""
    content = path.read_bytes()
    yield content.decode("latin-1")
    yield content.decode("utf-32-le", "ignore")  # as numpy keeps texts
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            yield from (str(values.tolist()) for values in arrays.values())
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pylist())
        yield str(pq.read_metadata(path).to_dict())
    if path.suffix == ".db":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            yield "\n".join(connection.iterdump())


def traces(folder: Path, *words: str) -> list[str]:
    """The files below the folder that say one of the words."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [f"{path.relative_to(folder)}: {word}" for path in files for word in words if _says(path, word)]


def _says(path: Path, word: str) -> bool:
    whole = re.compile(rf"(?<![0-9A-Za-z]){re.escape(word)}(?![0-9A-Za-z])")  # a checksum may hold the letters
    return any(whole.search(text) for text in texts(path))


def test_before_an_erasure_the_traces_are_found_where_they_are(home: Workspace) -> None:
    found = "\n".join(traces(home.state, GONE, "of-c-zero", "zero@example.com"))
    for place in ("ledger.db", "history/part-", "_delta_log", "exposures/spring", "rejects", "runs/r1/interactions"):
        assert place in found
    for place in ("runs/u1/effects", "runs/r1/evaluation", "runs/r1/sample", "releases/uplift", "left-behind"):
        assert place in found


def test_after_an_erasure_no_file_says_anything_of_the_customer(home: Workspace) -> None:
    rows = read_events(home).before(NOW)
    others = rows.filter(rows.customer != GONE).count().to_pyarrow().as_py()
    said = "\n".join(erase(home, OLD, NOW))  # any id names the person
    assert traces(home.folder, GONE, OLD, TABLET, "of-c-zero", "zero@example.com") == []
    left = read_events(home).before(NOW)
    assert left.filter(left.customer.notnull()).count().to_pyarrow().as_py() == others
    for place in ("history", "exposures spring", "run r1", "run u1", "release recommender 1", "ledger, decisions"):
        assert place in said


def test_what_is_left_reads_as_before(home: Workspace) -> None:
    list(erase(home, GONE, NOW))
    for kind in ("recommender", "uplift"):
        folder = current(home, kind)
        assert folder is not None
        load_release(folder)
    assert "c001" in Interactions.load(home.runs / "r1").customers
    assert read_log(home, "spring").exposures.arm.tolist() == ["coupon"]
    with np.load(home.runs / "u1" / "oof.npz") as arrays:
        assert arrays["unit"].tolist()[:4] == [0, 0, 1, 1]
        assert arrays["prediction:t"][4].tolist() == [12.0, 13.0]  # of c003, behind those of the customer
        assert arrays["offers"].tolist() == ["coupon", "mail"]
        assert len(arrays["unit"]) == len(pd.read_parquet(home.runs / "u1" / "features.parquet"))
    with Ledger.at(home.ledger).read() as connection:
        assert connection.execute(select(codes.c.customer)).scalars().all() == [None]
        assert connection.execute(select(decisions.c.decision_id)).scalars().all() == ["d2"]


def test_no_event_and_no_import_brings_the_person_back(home: Workspace) -> None:
    list(erase(home, GONE, NOW))
    ledger = Ledger.at(home.ledger)
    record(ledger, [event(90, "Product Viewed", GONE, None), event(91, "Alias", "c006", None, previous_id=OLD)])
    grant(ledger, [GONE, "c006"], Basis(("ads",), "a list"), source="list", time=DAY)
    rows = [event(95, "Identify", who, None).row() | {"source": "crm", "live": False} for who in (OLD, "c006")]
    rejected = pa.table({"reason": ["no time"], "id": [GONE]})
    parsed = Parsed(pa.Table.from_pylist(rows, schema=SCHEMA), rejected, {}, 3)
    found = import_events(
        home, parsed, source="crm", path=home.folder, mark="m", basis=Basis(("ads",), "a list"), time=NOW
    )
    assert found.noted == {"of a customer who was erased: not stored": 1}
    assert traces(home.folder, GONE, OLD) == []
    with ledger.read() as connection:
        ads = select(func.count()).select_from(consents).where(consents.c.purpose == "ads")
        assert connection.execute(ads).scalar_one() == 2  # c006, by the list and by the import


def test_no_import_brings_an_address_back(home: Workspace) -> None:
    """An e-mail provider reports by the address alone, and a list names people by it."""
    ledger = Ledger.at(home.ledger)
    about = About(address="Other@example.com", channel="email")
    say(ledger, GONE, "marketing", granted=True, source="page", proof="clicked", time=DAY, about=about)
    list(erase(home, GONE, NOW))
    record(ledger, [event(97, "Email Bounced", "zero@example.com", None)])
    grant(ledger, ["zero@example.com", "other@example.com"], Basis(("ads",), "a list"), source="list", time=DAY)
    assert traces(home.folder, "zero@example.com", "other@example.com", "Other@example.com") == []


def test_rejects_that_name_the_person_anywhere_go_too(home: Workspace) -> None:
    ledger, context = Ledger.at(home.ledger), Call.of({}, "web", DAY, home.settings)
    broken = [
        {"type": "shout", "userId": GONE},
        {"type": "alias", "userId": "c001", "previousId": OLD, "timestamp": "x"},
        {"type": "shout", "userId": "c001", "traits": {"friend": GONE}},
        Broken(f'{{"userId": "{GONE}", \\xff', "not JSON"),
    ]
    with ledger.write() as connection:
        keep(connection, [reject for _, reject in taken([*broken, {"type": "shout", "userId": "c001"}], context)[1]])
    assert "ledger, rejects: 4 rows" in list(erase(home, GONE, NOW))
    assert traces(home.folder, GONE, OLD) == []
    with ledger.write() as connection:
        keep(connection, [reject for _, reject in taken(broken[::3], context)[1]])
    assert traces(home.folder, GONE, OLD) == []


def test_a_day_that_closes_meanwhile_carries_nothing_past_the_erasure(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the history and the ledger an erasure waits for living workers: here for one that never looks."""
    monkeypatch.setattr(erasure, "PATIENCE", 2.0)
    segment = home.state / "journal" / "worker-other.segment"
    closing = threading.Timer(0.0, close_days, [home, DAY + timedelta(days=1)])
    waited = erasure._replaced

    def replaced(journal: Path) -> Iterator[str]:
        closing.start()
        yield from waited(journal)

    with segment.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        monkeypatch.setattr(erasure, "_replaced", replaced)
        list(erase(home, GONE, NOW))
    closing.join()
    assert traces(home.state / "history", GONE, OLD) == []


def test_only_salted_hashes_stay_and_they_differ_between_ledgers(home: Workspace, tmp_path: Path) -> None:
    list(erase(home, GONE, NOW))
    list(erase(home, GONE, NOW))  # a second time finds nothing and adds nothing
    with Ledger.at(home.ledger).read() as connection:
        kept = set(connection.execute(select(erased_ids.c.hash)).scalars())
    assert len(kept) == 3
    other = Ledger.at(f"sqlite:///{tmp_path / 'other.db'}")
    from features.erased import hashes

    with other.read() as connection:
        assert not kept & hashes(connection, [GONE, OLD, "zero@example.com"]).keys()


def test_files_that_were_asked_for_are_named(home: Workspace, tmp_path: Path) -> None:
    register_file(Ledger.at(home.ledger), tmp_path / "scores.csv", kind="score uplift", time=NOW)
    export(home, GONE, tmp_path / "export.json", NOW)
    said = "\n".join(erase(home, GONE, NOW))
    assert f"not erased: {tmp_path / 'scores.csv'} (score uplift)" in said
    assert f"not erased: {tmp_path / 'export.json'} (export)" in said


def test_an_id_of_nobody_erases_nothing(home: Workspace) -> None:
    assert next(iter(erase(home, "nobody", NOW))) == "nothing was known of the customer"


def test_an_export_holds_what_every_place_knows(home: Workspace, tmp_path: Path) -> None:
    export(home, OLD, tmp_path / "export.json", NOW)
    found = json.loads((tmp_path / "export.json").read_text())
    assert found["ids"] == [GONE, OLD]
    assert sorted(found["devices"]) == sorted([OLD, GONE, PHONE, TABLET])
    assert sum("of-c-zero" in (one["properties"] or "") for one in found["events"]) == 6
    assert {one["purpose"] for one in found["ledger"]["consents"]} == {"personalisation", "analytics"}
    assert [one["decision_id"] for one in found["ledger"]["decisions"]] == ["d1"]
    assert found["ledger"]["codes"][0]["code"] == "SAVE10"
    assert found["exposures"]["spring"][0]["arm"] == "none"
    assert set(found["runs"]["u1"]["effects.npz"][0]) == {"coupon", "mail"}
    assert {one["item"] for one in found["runs"]["r1"]["interactions.npz"]} == {"green", "black", "oolong"}
    assert found["features"]["orders"] == 3


def test_a_worker_answers_from_releases_without_the_person_at_its_next_look(home: Workspace) -> None:
    routes = Routes(lambda: NOW)
    watch = Watch(home.folder, routes, routes.now)
    watch.look()
    try:
        assert GONE in routes.state.recommender.interactions.customers
        assert SERVED in list(erase(home, GONE, NOW))
        watch.look()
        assert GONE not in routes.state.recommender.interactions.customers
    finally:
        routes.state.intake.close()
        routes.state.journal.close()


def test_a_running_service_forgets_too(home: Workspace, serving: Serving) -> None:
    with serving(home) as client:
        before = client.post("/v1/recommend", json={"customer": GONE}).json()
        assert before["fallback"] is None
        said = "\n".join(erase(home, GONE, NOW))
        assert "from releases without the customer in seconds" in said
        assert "erase again" not in said
        after = client.post("/v1/recommend", json={"customer": GONE}).json()
        assert "what is popular" in after["fallback"]
        time.sleep(1)
        assert [one for one in traces(home.state, GONE) if "service-" not in one] == []
    row = _decision(home, after["decision_id"])
    assert row.customer is None


def _decision(home: Workspace, decision_id: str) -> object:
    with Ledger.at(home.ledger).read() as connection:
        return connection.execute(select(decisions).where(decisions.c.decision_id == decision_id)).one()


def test_models_that_learned_from_the_person_are_listed_and_hold_nothing_of_it(
    home: Workspace, registry: Path, tmp_path: Path
) -> None:
    with (home.folder / "attune.yaml").open("a") as settings:
        settings.write("recommender: {horizon_days: 9}\n")
    home = Workspace.open(home.folder)
    append(home, orders())
    train(home, ["popularity"], now=NOW, seed=0)
    said = "\n".join(erase(home, GONE, NOW))
    assert "learned from the customer: recommender 1; train again and promote" in said
    write(home, tmp_path / "bento")
    assert (
        traces(home.folder, GONE)
        == traces(registry, GONE)
        == traces(tmp_path / "bento" / "serving" / "bundled", GONE)
        == []
    )
