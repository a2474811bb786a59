"""The ledger: one schema for all processes, nothing half written, no two writers at once."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

import features.migrations
from features.events import Event
from features.history import close_days, live_events, message_keys, read_events
from features.ledger import Ledger, metadata
from features.migrations import APPLIED, NEWEST
from features.workspace import Workspace

NOON = datetime(2026, 1, 1, 12)  # UTC without a zone, as the tables keep it
OPEN = "import sys; from features.ledger import Ledger; Ledger.at(sys.argv[1])"


def test_processes_that_migrate_at_once_all_succeed(ledger_url: str) -> None:
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", OPEN, ledger_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    ledger = Ledger.at(ledger_url)
    assert ledger.revision() == NEWEST
    ledger.close()


def test_the_migrations_make_the_tables_that_the_nouns_declare(ledger_url: str) -> None:
    import features.consent
    import features.decisions
    import features.imports  # noqa: F401  # importing declares the tables

    ledger = Ledger.at(ledger_url)
    found = set(ledger.tables())
    ledger.close()
    assert set(metadata.tables) <= found


def upgrades() -> list[Script]:
    """All migrations, the first one first."""
    scripts = ScriptDirectory(str(Path(features.migrations.__file__).parent))
    return list(scripts.walk_revisions())[::-1]


def older(url: str, revision: str) -> Ledger:
    """A ledger as the Attune of this revision left it, with one event and one agreement."""
    ledger = Ledger(url)
    with ledger.write() as connection, Operations.context(context := MigrationContext.configure(connection)):
        for script in upgrades():
            if script.revision <= revision:
                script.module.upgrade()
        context.stamp(ScriptDirectory(str(Path(features.migrations.__file__).parent)), revision)
        event = Event("app", "m1", "Product Viewed", NOON, NOON, customer="ann", item="tea")
        body = orjson.dumps(event.row()).decode()
        connection.execute(insert(live_events), [{"received_at": NOON, "customer": "ann", "body": body}])
    return ledger


@pytest.mark.parametrize("revision", [script.revision for script in upgrades()[:-1]])
def test_an_old_ledger_is_refused_until_it_is_migrated_and_then_opens_with_all_it_held(
    shop: Workspace, revision: str
) -> None:
    old = older(shop.ledger, revision)
    for refused in (Ledger.at, lambda _: read_events(shop), lambda _: close_days(shop, NOON)):
        with pytest.raises(OSError, match=f"revision {revision}, this Attune needs {NEWEST}; run .*`attune migrate`$"):
            refused(shop.ledger)
    assert old.revision() == revision
    assert old.migrate() == revision
    assert Ledger.at(shop.ledger).revision() == NEWEST
    assert close_days(shop, NOON + timedelta(days=1)) == 1
    assert read_events(shop).before(NOON + timedelta(days=1)).customer.to_pyarrow().to_pylist() == ["ann"]
    old.close()


def test_a_ledger_of_a_newer_attune_is_refused_and_left_as_it_is(ledger_url: str) -> None:
    ledger = Ledger.at(ledger_url)
    with ledger.write() as connection:
        connection.execute(update(APPLIED).values(version_num="9999"))
    for refused in (Ledger.at, lambda url: Ledger(url).migrate()):
        with pytest.raises(OSError, match=f"revision 9999, this Attune knows {NEWEST}; install the newer Attune$"):
            refused(ledger_url)
    assert ledger.revision() == "9999"
    ledger.close()


def test_migrating_again_changes_nothing(ledger_url: str) -> None:
    ledger = Ledger.at(ledger_url)
    with ledger.write() as connection:
        connection.execute(insert(message_keys), [{"key": b"k" * 16}])
    assert ledger.migrate() == NEWEST
    with ledger.read() as connection:
        assert connection.execute(select(message_keys.c.key)).scalars().all() == [b"k" * 16]
    ledger.close()


def test_a_failed_transaction_leaves_nothing(ledger_url: str) -> None:
    ledger = Ledger.at(ledger_url)
    with pytest.raises(IntegrityError), ledger.write() as connection:
        connection.execute(insert(message_keys), [{"key": b"k" * 16}, {"key": b"k" * 16}])
    with ledger.read() as connection:
        assert connection.execute(select(message_keys)).all() == []
    ledger.close()


def test_a_commit_reaches_the_disk_before_it_is_answered(ledger_url: str) -> None:
    ledger = Ledger.at(ledger_url)
    with ledger.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    ledger.close()


def test_a_store_without_tables_has_no_revision_and_looking_makes_none(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    assert ledger.revision() is None
    if ledger_url.startswith("sqlite:"):
        assert not Path(ledger_url.removeprefix("sqlite:///")).exists()
    else:
        assert ledger.tables() == []


def test_a_writer_that_had_to_wait_sees_what_was_committed_meanwhile(ledger_url: str) -> None:
    """Ten threads read the largest sequence and write the next: no two may have read the same."""

    def count_up(_: int) -> None:
        with ledger.write() as connection:
            last = connection.execute(select(func.max(live_events.c.sequence))).scalar() or 0
            row = {"sequence": last + 1, "received_at": NOON, "customer": None, "body": "{}"}
            connection.execute(insert(live_events), [row])

    ledger = Ledger.at(ledger_url)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(count_up, range(50)))
    with ledger.read() as connection:
        assert connection.execute(select(func.max(live_events.c.sequence))).scalar() == 50
    ledger.close()


def test_a_reader_keeps_the_view_it_began_with(ledger_url: str) -> None:
    ledger = Ledger.at(ledger_url)
    with ledger.read() as reader:
        before = reader.execute(select(func.count()).select_from(message_keys)).scalar()
        with ledger.write() as writer:
            writer.execute(insert(message_keys), [{"key": b"k" * 16}])
        assert reader.execute(select(func.count()).select_from(message_keys)).scalar() == before == 0
    ledger.close()


def test_a_ledger_that_is_let_go_leaves_no_connection(postgresql: str, new_database: Callable[[], str]) -> None:
    address = f"{new_database()}&application_name=let-go"
    for _ in range(3):
        assert Ledger.at(address).tables()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'let-go'"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        open_ = [connection.execute(query).fetchone() for _ in range(20) if not time.sleep(0.05)]
    assert open_[-1] == (0,)


def test_a_server_that_does_not_answer_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "very-secret")
    with pytest.raises(
        OSError, match=r"^postgresql://attune@127\.0\.0\.1:1/shop: the ledger could not be read: "
    ) as told:
        Ledger.at("postgresql://attune@127.0.0.1:1/shop")
    assert "\n" not in str(told.value)
    assert "very-secret" not in str(told.value)


def test_a_wrong_password_is_one_line_without_it(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_database()
    monkeypatch.setenv("PGPASSWORD", "very-secret")
    with pytest.raises(OSError, match="password authentication failed") as told:
        Ledger.at(address)
    assert "\n" not in str(told.value)
    assert "very-secret" not in str(told.value)


def test_a_file_that_is_no_database_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(OSError, match=r"ledger.db: the ledger could not be .*: file is not a database"):
        Ledger.at(f"sqlite:///{path}")


def test_the_revision_that_the_code_needs_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(features.migrations.__file__).parent))
    assert scripts.get_current_head() == NEWEST


def test_a_ledger_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.at(url)
    looked = (
        "import sys; from features.ledger import Ledger; Ledger.at(sys.argv[1]); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", looked, url], check=True)
