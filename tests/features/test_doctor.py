"""The doctor names what is broken and what is stale, and changes nothing."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from benchmarks.served import free_port
from features.checksums import sha256
from features.codes import give, load_codes
from features.doctor import BROKEN, FINE, STALE, Check, checked, shown
from features.events import Event
from features.history import close_days, record
from features.ledger import Ledger
from features.migrations import APPLIED, NEWEST
from features.offers import read_offers
from features.spending import Spending, add
from features.workspace import Workspace, create

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    return create(tmp_path / "shop")


def found(shop: Workspace, what: str, **changes: int) -> Check:
    checks = checked(shop.folder, now=NOW, **{"port": free_port(), **changes})
    (one,) = [check for check in checks if check.what == what]
    return one


def test_a_new_workspace_has_nothing_broken(shop: Workspace) -> None:
    checks = checked(shop.folder, port=free_port(), now=NOW)
    assert BROKEN not in {check.state for check in checks}
    assert not shop.ledger_file.exists()
    assert len(shown(checks).splitlines()) == len(checks)


def test_a_folder_that_is_no_workspace_is_broken(tmp_path: Path) -> None:
    last = checked(tmp_path, port=free_port(), now=NOW)[-1]
    assert (last.what, last.state) == ("workspace", BROKEN)


def test_wrong_offers_are_broken(shop: Workspace) -> None:
    (shop.folder / "offers.yaml").write_text("offers: [{key: a}]\n")
    assert found(shop, "offers").state == BROKEN


LIMITED = """\
offers:
  - {key: mail, name: A, cost: 0.5, stock: 9, budget: 3.0, codes: codes/mail.txt}
  - {key: web, name: B}
"""


def test_what_is_left_of_a_limited_offer_is_a_line_and_looking_changes_nothing(shop: Workspace) -> None:
    (shop.folder / "offers.yaml").write_text(LIMITED)
    assert "mail.txt: no such file" in found(shop, "offers").found
    (shop.folder / "codes").mkdir()
    (shop.folder / "codes" / "mail.txt").write_text("A\nB\n")
    assert found(shop, "offers").found == "2 offers, 2 codes in their files"
    checks = checked(shop.folder, port=free_port(), now=NOW)
    assert [check for check in checks if check.what.startswith("offer ")] == []
    assert not shop.ledger_file.exists()
    offers, ledger = read_offers(shop.folder), Ledger.at(shop.ledger)
    load_codes(ledger, shop.folder, offers)
    for spent, line in ((0.0, "9 of 9 in stock, 0.00 of 3.00 EUR"), (2.8, "8 of 9 in stock, 2.80 of 3.00 EUR")):
        with ledger.write() as connection:
            add(connection, "mail", Spending(contacts=int(spent > 0), spent=spent))
        one = found(shop, "offer mail")
        assert one.found == f"2 of 2 codes left, 0 redeemed, {line} spent"
        assert one.state == (STALE if spent else FINE)
    with ledger.write() as connection:
        for code in ("A", "B"):
            give(connection, code, offers[0], "ann", datetime(2026, 1, 1), of_revenue=False)
    assert found(shop, "offer mail").found.startswith("0 of 2 codes left")


@pytest.mark.parametrize(("days", "state"), [(1, FINE), (30, STALE)])
def test_a_log_without_recent_events_is_stale(shop: Workspace, days: int, state: str) -> None:
    moment = NOW - timedelta(days=days)
    record(Ledger.at(shop.ledger), [Event("app", "1", "Product Viewed", moment, moment, customer="ann", item="tea")])
    assert found(shop, "history").state == state
    assert f"{days} days ago" in found(shop, "history").found


@pytest.mark.parametrize(("hours", "state"), [(30, FINE), (49, STALE)])
def test_days_that_nobody_closes_are_stale(shop: Workspace, hours: int, state: str) -> None:
    moment = NOW - timedelta(hours=hours)
    record(Ledger.at(shop.ledger), [Event("app", "1", "Product Viewed", moment, moment, customer="ann", item="tea")])
    assert found(shop, "worker").state == state
    close_days(shop, NOW)
    assert "worker" not in {check.what for check in checked(shop.folder, port=free_port(), now=NOW)}


def test_a_ledger_that_is_no_database_is_broken(shop: Workspace) -> None:
    shop.ledger_file.write_bytes(b"no database" * 1000)
    assert found(shop, "ledger").state == BROKEN


@pytest.mark.parametrize(("revision", "said"), [("0001", "`attune migrate`"), ("9999", "install the newer Attune")])
def test_a_ledger_of_another_revision_is_broken_and_what_to_run_is_said(
    shop: Workspace, revision: str, said: str
) -> None:
    with Ledger.at(shop.ledger).write() as connection:
        connection.execute(update(APPLIED).values(version_num=revision))
    one = found(shop, "ledger")
    assert one.state == BROKEN
    assert one.found.startswith(f"{shop.ledger_file}: the ledger is of revision {revision}, ")
    assert one.found.endswith(said)
    assert Ledger(shop.ledger).revision() == revision


def on_server(shop: Workspace, address: str) -> Workspace:
    with (shop.folder / "attune.yaml").open("a") as settings:
        settings.write(f"ledger: {address}\n")
    return Workspace.open(shop.folder)


def test_a_ledger_on_a_server_is_looked_at_and_left_as_it_is(shop: Workspace, new_database: Callable[[], str]) -> None:
    served = on_server(shop, new_database())
    assert "no tables yet" in found(served, "ledger").found
    assert Ledger(served.ledger).tables() == []
    Ledger.at(served.ledger)
    one = found(served, "ledger")
    assert (one.state, one.found) == (FINE, f"revision {NEWEST}, reachable at {served.ledger}")


def test_a_server_that_does_not_answer_is_broken(shop: Workspace) -> None:
    one = found(on_server(shop, "postgresql://attune@127.0.0.1:1/shop"), "ledger")
    assert one.state == BROKEN
    assert one.found.startswith("postgresql://attune@127.0.0.1:1/shop: the ledger could not be read")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(bytes(path.stat().st_size))])
def test_a_history_that_is_gone_or_overwritten_is_broken(shop: Workspace, damage: Callable[[Path], object]) -> None:
    record(Ledger.at(shop.ledger), [Event("app", "1", "Product Viewed", NOW, NOW, customer="ann", item="tea")])
    close_days(shop, NOW + timedelta(days=1))
    (path,) = shop.history.glob("*.parquet")
    damage(path)
    assert found(shop, "history").state == BROKEN


@pytest.mark.parametrize("manifest", ['{"as_of": "soon"}', "[]", '{"as_of": 7}'])
def test_a_manifest_that_cannot_be_read_is_broken(shop: Workspace, manifest: str) -> None:
    folder = shop.releases / "uplift"
    (folder / "1").mkdir(parents=True)
    (folder / "current.json").write_text(json.dumps({"version": "1"}))
    (folder / "1" / "manifest.json").write_text(manifest)
    assert found(shop, "uplift release").state == BROKEN


def test_a_release_that_is_named_but_absent_is_broken_and_an_old_one_stale(shop: Workspace) -> None:
    folder = shop.releases / "uplift"
    (folder / "1").mkdir(parents=True)
    (folder / "current.json").write_text(json.dumps({"version": "1"}))
    assert found(shop, "uplift release").state == BROKEN
    (folder / "1" / "manifest.json").write_text(json.dumps({"as_of": "2025-01-02T00:00:00", "files": {}}))
    assert found(shop, "uplift release").state == STALE


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_release_whose_file_is_not_the_manifests_is_broken_however_old(
    shop: Workspace, damage: Callable[[Path], object]
) -> None:
    folder = shop.releases / "recommender" / "4"
    (folder / "model").mkdir(parents=True)
    (folder.parent / "current.json").write_text(json.dumps({"version": "4"}))
    path = folder / "model" / "arrays.npz"
    path.write_bytes(b"learned")
    manifest = {"as_of": "2025-01-02T00:00:00", "files": {"model/arrays.npz": sha256(path)}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert found(shop, "recommender release").state == STALE
    damage(path)
    one = found(shop, "recommender release")
    assert one.state == BROKEN
    assert "version 4 is corrupted: model/arrays.npz" in one.found
    assert "`attune promote recommender 4`" in one.found


def test_a_port_in_use_is_said(shop: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert found(shop, "port", port=taken.getsockname()[1]).state == STALE
