"""The curl lines of docs/service.md do what the page says."""

import json
import re
import subprocess
from pathlib import Path

import httpx

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


def test_every_curl_line_of_the_page_is_answered(service: httpx.Client) -> None:
    lines = re.findall(r"^curl .*$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        ours = line.replace("http://127.0.0.1:3000", str(service.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", ours], capture_output=True, text=True, check=True)
        assert "decision_id" in json.loads(done.stdout), line
