"""Fixtures that every floor's tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that ATTUNE_DATA names; the test is skipped where it is not set."""
    folder = os.environ.get("ATTUNE_DATA")
    if not folder:
        pytest.skip("needs real data: set ATTUNE_DATA to the folder that holds it")
    assert Path(folder).is_dir(), f"ATTUNE_DATA == {folder!r} is no folder"
    return Path(folder)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With ATTUNE_NO_SKIPS=1 a skipped test fails the run: everything that the tests need is said to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("ATTUNE_NO_SKIPS") == "1" and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} tests were skipped although ATTUNE_NO_SKIPS == 1", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
