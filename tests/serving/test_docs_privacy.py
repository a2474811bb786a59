"""The examples of docs/privacy.md do what the page says, one after the other, on a shop of their own."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import yaml

from features.workspace import Settings, Workspace

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
Serving = Callable[..., AbstractContextManager[httpx.Client]]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(shop: Workspace, tmp_path: Path) -> Path:
    """A folder with a copy of the session's shop, `shop`."""
    ignored = shutil.ignore_patterns("journal", "*.log", "ledger.db-*")
    shutil.copytree(shop.folder, tmp_path / "shop", ignore=ignored)
    with (
        sqlite3.connect(shop.ledger_file) as live,
        sqlite3.connect(tmp_path / "shop" / ".attune" / "ledger.db") as own,
    ):
        live.backup(own)
    return tmp_path


def test_every_example_runs_and_the_last_leaves_nothing(folder: Path, serving: Serving) -> None:
    environment = os.environ | {"ATTUNE_MLRUNS": str(folder / "mlruns")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def said(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    with serving(Workspace.open(folder / "shop")) as client:
        address = str(client.base_url).rstrip("/")
        lines = [line for block in blocks("sh") for line in block.splitlines()]
        for line in lines:
            told = said("bash", "-c", line.replace("http://127.0.0.1:3000", address))
            if line.startswith("attune link"):
                assert client.get(told.strip()).status_code == 200
        assert "a salted hash of each stays" in told
        assert client.get("/v1/customers/c007").status_code == 404
    (example,) = blocks("python")
    said(sys.executable, "-c", example)
    (settings,) = blocks("yaml")
    assert Settings(name="shop", **yaml.safe_load(settings)).topics["news"] == "Weekly news"
