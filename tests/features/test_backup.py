"""A backup is a workspace in one file: whole while others write, and refused when it is not as it was written."""

import io
import tarfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from features.backup import MANIFEST, backup, not_held, restore
from features.events import Event
from features.history import close_days, read_events, record
from features.ledger import Ledger
from features.migrations import APPLIED
from features.registered import registered_files
from features.workspace import Workspace, create

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def event(number: int) -> Event:
    return Event("app", str(number), "Product Viewed", NOW, NOW, customer=f"c{number % 5}", item="tea")


def numbers(workspace: Workspace) -> list[int]:
    table = read_events(workspace).before(LATER)
    return sorted(int(one) for one in table.message_id.to_pyarrow().to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    """Ten events in the history, ten more waiting in the ledger."""
    shop = create(tmp_path / "shop")
    ledger = Ledger.at(shop.ledger)
    record(ledger, [event(number) for number in range(10)])
    close_days(shop, LATER)
    record(ledger, [event(number) for number in range(10, 20)])
    return shop


def test_what_was_backed_up_is_there_again(shop: Workspace, tmp_path: Path) -> None:
    (shop.releases / "uplift" / "1").mkdir(parents=True)
    (shop.releases / "uplift" / "1" / "manifest.json").write_text("{}")
    (shop.folder / "codes").mkdir()
    (shop.folder / "codes" / "summer.txt").write_text("A\n")
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    restore(tmp_path / "shop.tar.gz", tmp_path / "again")
    again = Workspace.open(tmp_path / "again")
    assert numbers(again) == list(range(20))
    assert again.hash == shop.hash
    assert (again.folder / "codes" / "summer.txt").read_text() == "A\n"
    assert (again.releases / "uplift" / "1" / "manifest.json").read_text() == "{}"


def test_an_old_ledger_is_backed_up_before_it_is_migrated(shop: Workspace, tmp_path: Path) -> None:
    with Ledger.at(shop.ledger).write() as connection:
        connection.execute(update(APPLIED).values(version_num="0001"))
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    restore(tmp_path / "shop.tar.gz", tmp_path / "again")
    assert Ledger(Workspace.open(tmp_path / "again").ledger).revision() == "0001"


def test_a_backup_beside_a_writer_holds_each_event_once(shop: Workspace, tmp_path: Path) -> None:
    """One thread records events and closes days; whatever prefix the backup saw, it holds each event of it once."""
    stop, written = threading.Event(), [20]

    def write() -> None:
        ledger = Ledger.at(shop.ledger)
        while not stop.is_set():
            record(ledger, [event(written[0])])
            written[0] += 1
            if written[0] % 7 == 0:
                close_days(shop, LATER)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for turn in range(3):
            before = written[0]
            backup(shop, tmp_path / f"{turn}.tar.gz", NOW)
            restore(tmp_path / f"{turn}.tar.gz", tmp_path / str(turn))
            found = numbers(Workspace.open(tmp_path / str(turn)))
            assert found == list(range(len(found)))
            assert len(found) >= before
    finally:
        stop.set()
        thread.join()
    assert written[0] > 20


def test_a_backup_is_registered_as_a_file_that_holds_customers(shop: Workspace, tmp_path: Path) -> None:
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    assert (str(tmp_path / "shop.tar.gz"), "backup") in registered_files(Ledger.at(shop.ledger))


def test_a_folder_that_is_not_empty_is_left_alone(shop: Workspace, tmp_path: Path) -> None:
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        restore(tmp_path / "shop.tar.gz", full)
    assert [path.name for path in full.iterdir()] == ["mine.txt"]


def rewritten(source: Path, target: Path, *, change: str = "", extra: str = "", leave_out: str = "") -> Path:
    """The same archive with one member changed, added or left out."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        members = [(one.name, old.extractfile(one).read()) for one in old]
        for name, content in [*members, *([(extra, b"x")] if extra else [])]:
            info = tarfile.TarInfo(name)
            text = content + b"#" if name == change else content
            info.size = len(text)
            if name != leave_out:
                new.addfile(info, io.BytesIO(text))
    return target


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"change": "offers.yaml"}, "checksums"),
        ({"leave_out": "offers.yaml"}, "checksums"),
        ({"extra": "more.yaml"}, "checksums"),
        ({"leave_out": MANIFEST}, "not a whole backup"),
        ({"extra": "../outside.txt"}, "no plain file inside"),
        ({"extra": "/outside.txt"}, "no plain file inside"),
    ],
)
def test_an_altered_backup_leaves_nothing(shop: Workspace, tmp_path: Path, how: dict[str, str], error: str) -> None:
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    rewritten(tmp_path / "shop.tar.gz", tmp_path / "bad.tar.gz", **how)
    with pytest.raises(ValueError, match=error):
        restore(tmp_path / "bad.tar.gz", tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "shop", "shop.tar.gz"]


def test_a_cut_file_and_a_file_of_something_else_are_refused(shop: Workspace, tmp_path: Path) -> None:
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    whole = (tmp_path / "shop.tar.gz").read_bytes()
    for content in (whole[: len(whole) // 2], b"not a backup", b""):
        (tmp_path / "bad.tar.gz").write_bytes(content)
        with pytest.raises(ValueError, match="could not be restored"):
            restore(tmp_path / "bad.tar.gz", tmp_path / "again")
        assert not (tmp_path / "again").exists()


def test_a_backup_without_the_servers_ledger_says_so(tmp_path: Path, new_database: Callable[[], str]) -> None:
    shop = create(tmp_path / "shop")
    assert not_held(shop) is None
    with (shop.folder / "attune.yaml").open("a") as settings:
        settings.write(f"ledger: {new_database()}\n")
    shop = Workspace.open(shop.folder)
    backup(shop, tmp_path / "shop.tar.gz", NOW)
    restore(tmp_path / "shop.tar.gz", tmp_path / "again")
    assert shop.ledger in (not_held(Workspace.open(tmp_path / "again")) or "")
    assert (str(tmp_path / "shop.tar.gz"), "backup") in registered_files(Ledger.at(shop.ledger))
