"""The examples of docs/integrate.md, one after the other: keys, curl, Python, a page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import PATIENT, Place, site

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
KEYS = ("DECIDE_KEY", "SEND_KEY", "PAGE_KEY", "DECISION")


def blocks(language: str, place: Place) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [block.replace("http://127.0.0.1:3000", place.url) for block in found]


def shell(place: Place, folder: Path, origin: str) -> dict[str, str]:
    """Runs the lines of the page, with the shop as `shop`; what they exported."""
    (folder / "shop").symlink_to(place.workspace.folder)
    lines = "".join(blocks("sh", place)).replace("https://shop.example", origin).replace("curl -s ", "curl -sS --fail ")
    show = "\n".join(f'echo "{name}=${name}"' for name in KEYS)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    words = ["bash", "-euo", "pipefail", "-c", f"{lines}\n{show}"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines()[-len(KEYS) :])


def told(place: Place, name: str) -> list[dict[str, Any]]:
    return [json.loads(one["properties"]) for one in place.events("c000") if one["name"] == name]


@pytest.mark.browser
def test_every_example_does_what_the_page_says(place: Place, browser: Any, tmp_path: Path) -> None:
    with site(tmp_path) as address, browser.new_context() as context:
        exported = shell(place, tmp_path, address.rstrip("/"))
        assert exported["DECISION"] in {one["decision_id"] for one in told(place, "Experience Viewed")}
        assert "o-1" in {one["order_id"] for one in place.events("c000") if one["name"] == "Order Completed"}

        (program,) = blocks("python", place)
        words = [sys.executable, "-c", program]
        environment = os.environ | exported | {"PYTHONPATH": str(ROOT / "clients" / "python")}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(told(place, "Experience Viewed")) == 2
        assert "o-2" in {one["order_id"] for one in place.events("c000") if one["name"] == "Order Completed"}

        (page,) = blocks("html", place)
        (tmp_path / "index.html").write_text(page.replace("PAGE_KEY", exported["PAGE_KEY"]))
        tab = context.new_page()
        tab.add_init_script(PATIENT)
        tab.goto(address)
        tab.wait_for_function("localStorage.attune", timeout=20_000)
        device = tab.evaluate("localStorage.attune.split('\\n')[0]")
        events = place.awaited(device, 2)
        assert [one["name"] for one in events] == ["Identify", "Experience Viewed"]
        assert json.loads(events[1]["properties"])["decision_id"] in place.decided(device)
