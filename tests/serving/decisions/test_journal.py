"""No decision whose append returned is lost: not to kill -9, not to a torn line, not beside a second worker."""

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from features.decisions import Decision, Option, decisions
from features.ledger import Ledger
from serving.decisions.journal import SEGMENT, Journal, find, line, read_segment, recover

NOON = datetime(2026, 1, 1, 12)  # UTC without a zone, as the tables keep it
WORKER = """
import sys
from pathlib import Path
from datetime import datetime
from features.decisions import Decision, Option
from features.ledger import Ledger
from serving.decisions.journal import Journal
folder, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
journal = Journal(folder / "journal", Ledger(url))
for number in range(1_000_000):
    key = f"{name}-{number}"
    made = (key, "recommend", datetime(2026, 1, 1), "ann", (Option("a", 1.0),), ("a",), 1.0)
    journal.append(Decision(*made, "top", None, None, "h", "r"))
    sys.stdout.write(key + "\\n")
    sys.stdout.flush()
"""


def decision(key: str) -> Decision:
    return Decision(
        decision_id=key,
        kind="recommend",
        time=NOON,
        customer="ann",
        options=(Option("tea", 1.0), Option("coffee", 0.5)),
        chosen=("tea", "coffee"),
        probability=1.0,
        policy="top",
        model="als",
        model_version="3",
        workspace_hash="0" * 12,
        reason="because",
        context={"k": 2},
    )


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    return Ledger.at(ledger_url)


def stored(ledger: Ledger) -> set[str]:
    with ledger.read() as connection:
        return set(connection.execute(select(decisions.c.decision_id)).scalars())


def test_a_closed_journal_has_committed_everything_and_leaves_no_segment(tmp_path: Path, ledger: Ledger) -> None:
    journal = Journal(tmp_path / "journal", ledger)
    for number in range(50):
        journal.append(decision(f"d{number}"))
    journal.close()
    assert stored(ledger) == {f"d{number}" for number in range(50)}
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_was_journalled_is_found_as_it_was(tmp_path: Path, ledger: Ledger) -> None:
    journal = Journal(tmp_path / "journal", ledger)
    journal.append(decision("d1"))
    early = find(tmp_path / "journal", ledger, "d1")  # in the segment, maybe not yet in the ledger
    journal.close()
    late = find(tmp_path / "journal", ledger, "d1")
    assert early == late
    assert late is not None
    assert (late["chosen"], late["context"], late["time"]) == (["tea", "coffee"], {"k": 2}, NOON)
    assert find(tmp_path / "journal", ledger, "another") is None


def test_kill_9_of_two_workers_loses_no_decision(tmp_path: Path, ledger: Ledger, ledger_url: str) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), ledger_url]
    workers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    for worker in workers:  # both have answered before either is killed
        assert worker.stdout is not None
        worker.stdout.readline()
    time.sleep(0.5)  # over several group commits
    answered: set[str] = set()
    for worker, name in zip(workers, ("one", "two"), strict=True):
        os.kill(worker.pid, signal.SIGKILL)
        rest, _ = worker.communicate()
        complete = rest[: rest.rfind("\n")].split("\n") if "\n" in rest else []
        answered |= {f"{name}-0", *complete}
    assert len(answered) > 100
    recover(tmp_path / "journal", ledger)
    assert answered - stored(ledger) == set()
    assert list((tmp_path / "journal").glob(f"*{SEGMENT}")) == []


def test_the_segment_of_a_living_worker_is_left_alone(tmp_path: Path, ledger: Ledger) -> None:
    journal = Journal(tmp_path / "journal", ledger)
    journal.append(decision("d1"))
    recover(tmp_path / "journal", ledger)
    assert len(list((tmp_path / "journal").glob(f"*{SEGMENT}"))) == 1
    journal.append(decision("d2"))
    journal.close()
    assert stored(ledger) == {"d1", "d2"}


def test_a_torn_tail_is_skipped_and_counted(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger)
    for number in range(3):
        journal.append(decision(f"d{number}"))
    whole = next(folder.glob(f"*{SEGMENT}")).read_bytes()
    journal.close()
    (folder / f"worker-dead{SEGMENT}").write_bytes(whole[:-20])
    rows, torn = read_segment(folder / f"worker-dead{SEGMENT}")
    assert ([row["decision_id"] for row in rows], torn) == (["d0", "d1"], 1)
    fresh = Ledger.at(f"sqlite:///{tmp_path / 'other.db'}")
    assert recover(folder, fresh) == (2, 1)
    assert stored(fresh) == {"d0", "d1"}


def test_a_changed_byte_is_noticed(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger)
    journal.append(decision("d0"))
    whole = next(folder.glob(f"*{SEGMENT}")).read_bytes()
    journal.close()
    (folder / f"worker-dead{SEGMENT}").write_bytes(whole.replace(b"because", b"becauso"))
    assert read_segment(folder / f"worker-dead{SEGMENT}") == ([], 1)


def test_a_disk_that_was_full_spoils_no_line_after_it(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger)
    journal.append(decision("d0"))
    segment = next(folder.glob(f"*{SEGMENT}"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 40, hard))  # room for a part of a line
        with pytest.raises(OSError, match="large"):
            journal.append(decision("refused"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    journal.append(decision("d1"))
    rows, torn = read_segment(segment)
    journal.close()
    assert ([row["decision_id"] for row in rows], torn) == (["d0", "d1"], 0)
    assert stored(ledger) == {"d0", "d1"}


def test_the_segment_of_a_busy_worker_stays_small_and_loses_nothing(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.decisions.journal.ROTATE_BYTES", 20_000)
    monkeypatch.setattr("serving.decisions.journal.GROUP_SECONDS", 0.001)
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger)
    sizes = []
    for number in range(5_000):  # a decision arrives during every commit, not faster than the ledger takes them
        journal.append(decision(f"d{number}"))
        while len(journal._pending) > 500:
            time.sleep(0.001)
        with suppress(FileNotFoundError):  # replaced between being listed and being measured
            sizes.extend(segment.stat().st_size for segment in folder.glob(f"*{SEGMENT}"))
    journal.close()
    assert max(sizes) < 5_000 * len(line(decision("d0").row() | {"time": NOON})) / 2
    assert len(stored(ledger)) == 5_000
    assert list(folder.iterdir()) == []


def test_several_workers_recover_at_once_and_none_fails(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger)
    journal.append(decision("d0"))
    whole = next(folder.glob(f"*{SEGMENT}")).read_bytes()
    journal.close()
    for number in range(60):
        (folder / f"worker-dead-{number}{SEGMENT}").write_bytes(whole)
    with ThreadPoolExecutor(4) as pool:
        for found in [pool.submit(recover, folder, ledger) for _ in range(4)]:
            found.result()
    assert list(folder.iterdir()) == []
    assert stored(ledger) == {"d0"}


def test_one_decision_id_is_stored_once_and_the_first_stays(tmp_path: Path, ledger: Ledger) -> None:
    for policy in ("first", "second"):
        journal = Journal(tmp_path / "journal", ledger)
        journal.append(Decision(**{**decision("d1").row(), "options": (), "policy": policy}))
        journal.close()
    with ledger.read() as connection:
        assert connection.execute(select(func.count(), func.min(decisions.c.policy))).one() == (1, "first")
