"""The curl and attune lines of docs/sources.md do what the page says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from features.catalog import read_catalog
from features.keys import CATALOG, SEND, create
from features.ledger import Ledger
from features.webhooks import keep
from features.workspace import Workspace

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def copied(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("docs") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def client(copied: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serving(copied) as client:
        yield client


def test_every_curl_line_of_the_page_is_answered(client: httpx.Client, copied: Workspace) -> None:
    ledger = Ledger.at(copied.ledger)
    keys = {name: create(ledger, "web", role, NOW) for name, role in (("CATALOG_KEY", CATALOG), ("SEND_KEY", SEND))}
    lines = re.findall(r"^curl .*$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        ours = line.replace("http://127.0.0.1:3000", str(client.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", ours], capture_output=True, text=True, check=True, env=os.environ | keys)
        assert json.loads(done.stdout)["accepted"], line
    assert read_catalog(copied).out_of_stock.tolist().count("green") == 1


def test_the_receipt_of_the_page_is_taken(client: httpx.Client, copied: Workspace) -> None:
    (body,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    time = datetime.now(UTC)
    signature = Webhook(keep(Ledger.at(copied.ledger), "mailer", None, NOW)).sign("w1", time, body)
    headers = {"webhook-id": "w1", "webhook-timestamp": str(int(time.timestamp())), "webhook-signature": signature}
    told = client.post("/v1/receipts/mailer", content=body, headers=headers)
    assert told.json() == {"accepted": 1, "event": "Email Link Clicked", "machine": None}


def test_the_form_of_the_page_names_the_fields_that_have_a_meaning(client: httpx.Client, copied: Workspace) -> None:
    (form,) = re.findall(r"```html\n(.*?)```", PAGE, flags=re.DOTALL)
    names = re.findall(r'name="(\w+)"', form)
    sent = dict.fromkeys(names, "Yes") | {
        "email": "a@b.example",
        "consent": "marketing",
        "leave_empty": "",
        "redirect": "",
    }
    key = create(Ledger.at(copied.ledger), "page", SEND, NOW)
    assert client.post(f"/v1/forms/{key}", data=sent).json() == {"accepted": True, "consent": ["marketing"]}


def test_the_imports_of_the_page_run(copied: Workspace, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item,price\ngreen,4.4\n")
    (tmp_path / "crm.csv").write_text("customer,city\nc000,Dresden\n")
    shutil.copytree(copied.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    lines = [line for line in re.findall(r"^attune .*$", PAGE, flags=re.MULTILINE) if "https://" not in line]
    assert len(lines) == 3
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in lines:
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, env=os.environ | {"PATH": path})
