"""The ledger: one schema for all processes, nothing half written, no two writers at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from features.history import message_keys
from features.ledger import Ledger, metadata
from features.migrations import newest, revision, upgrade

OPEN = "import sys; from pathlib import Path; from features.ledger import Ledger; Ledger.at(Path(sys.argv[1]))"


def test_processes_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", OPEN, str(path)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    ledger = Ledger.at(path)
    assert revision(ledger.engine) == newest() == "0001"
    ledger.close()


def test_the_migrations_make_the_tables_that_the_nouns_declare(tmp_path: Path) -> None:
    import features.consent
    import features.decisions
    import features.imports  # noqa: F401  # importing declares the tables

    ledger = Ledger.at(tmp_path / "ledger.db")
    found = set(ledger.tables())
    ledger.close()
    assert set(metadata.tables) <= found


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger.at(tmp_path / "ledger.db")
    with ledger.write() as connection:
        connection.execute(insert(message_keys), [{"key": b"k" * 16}])
    upgrade(ledger.engine)
    with ledger.read() as connection:
        assert connection.execute(select(message_keys.c.key)).scalars().all() == [b"k" * 16]
    ledger.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    ledger = Ledger.at(tmp_path / "ledger.db")
    with pytest.raises(IntegrityError), ledger.write() as connection:
        connection.execute(insert(message_keys), [{"key": b"k" * 16}, {"key": b"k" * 16}])
    with ledger.read() as connection:
        assert connection.execute(select(message_keys)).all() == []
    ledger.close()


def test_a_commit_reaches_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    ledger = Ledger.at(tmp_path / "ledger.db")
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    ledger.close()


def test_a_store_without_tables_has_no_revision(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    assert revision(engine) is None
    engine.dispose()
