"""The curl lines of docs/service.md do what the page says."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from serving.http.tokens import customer_of

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


def test_every_curl_line_of_the_page_is_answered(service: httpx.Client) -> None:
    lines = re.findall(r"^curl .*$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(lines) == 16
    for line in lines:
        ours = line.replace("http://127.0.0.1:3000", str(service.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", ours], capture_output=True, text=True, check=True)
        other = "answers" if "/recommend/batch" in line else "decision_id"
        told = "releases" if line.endswith("/v1/ready") else other
        assert told in json.loads(done.stdout), line


def test_the_token_that_python_signs_is_the_customers() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    given = {"secret": "of the key", "customer": "c000"}
    exec(compile(example, "docs/service.md", "exec"), given)  # noqa: S102  # our own page
    assert customer_of("of the key", given["token"], time.time()) == "c000"


def test_the_token_that_node_signs_is_the_customers() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    example = re.findall(r"```js\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0]
    program = f"const [secret, customer] = ['of the key', 'c000']\n{example}\nconsole.log(token)"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert customer_of("of the key", done.stdout.strip(), time.time()) == "c000"
