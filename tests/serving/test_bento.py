"""A bento answers from an empty directory, without a workspace, with the code that it carries."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import bentoml
import httpx
import pytest

from benchmarks.served import free_port
from features.assignment import arm as assigned
from features.workspace import Workspace
from serving.bundle import write
from serving.process import THREADS
from training.policies.prices import FILE as PLAN
from training.policies.prices import Prices

CONTAINER = Path(__file__).parents[2] / "docs" / "operations" / "Containerfile"
SITE = Path(bentoml.__file__).parent.parent


def test_the_bundle_carries_the_prices_of_the_plan(shop: Workspace, tmp_path: Path) -> None:
    plan = shop.releases / "uplift" / "1" / PLAN
    plan.write_text('{"prices": {"coupon": {"money": 0.5, "contact": 0.1}}}')
    try:
        write(shop, tmp_path / "context")
    finally:
        plan.unlink()
    carried = Prices.read(tmp_path / "context" / "serving" / "bundled" / "uplift")
    assert carried == Prices({"coupon": 0.5}, {"coupon": 0.1})


def test_the_bundle_holds_no_customer(shop: Workspace, tmp_path: Path) -> None:
    write(shop, tmp_path / "context")
    bundled = tmp_path / "context" / "serving" / "bundled"
    assert sorted(path.name for path in bundled.iterdir()) == [
        "attune.yaml",
        "catalog.csv",
        "experiments",
        "offers.yaml",
        "placements.yaml",
        "recommender",
        "segments",
        "slots",
        "templates",
        "uplift",
        "workspace.json",
    ]
    files = [path for path in bundled.rglob("*") if path.is_file()]
    assert [
        path for path in files if re.search(rb"\bc001\b", path.read_bytes())
    ] == []  # a checksum may hold the letters
    assert [path for path in files if "c001".encode("utf-32-le") in path.read_bytes()] == []  # as numpy keeps texts
    assert not list(bundled.rglob("customers"))
    with pytest.raises(ValueError, match="exists already"):
        write(shop, tmp_path / "context")


@pytest.mark.slow
def test_a_bento_answers_with_a_stated_fallback(shop: Workspace, tmp_path: Path) -> None:
    from features.assignment import bucket  # noqa: F401  # the checkout's own packages import here, and not below

    write(shop, tmp_path / "context")
    empty = tmp_path / "empty"
    empty.mkdir()
    # the base interpreter with the installed packages on its path reads no .pth file: our editable install is absent
    python = str(getattr(sys, "_base_executable", sys.executable))
    unwanted = ("ATTUNE_WORKSPACE", "VIRTUAL_ENV", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"PYTHONPATH": str(SITE), "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "true"}
    absent = subprocess.run(
        [python, "-c", "import serving"], cwd=empty, env=environment, capture_output=True, check=False
    )
    assert absent.returncode != 0
    build = [python, "-m", "bentoml", "build"]
    built = subprocess.run(
        build, cwd=tmp_path / "context", env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (source,) = (tmp_path / "home" / "bentos" / "attune").glob("*/src")
    assert {path for path in copied() if not (source / path).exists()} == set()
    with bento([python, "-m", "bentoml", "serve", "attune:latest"], empty, environment) as client:
        answer = client.post("/v1/recommend", json={"customer": "c001", "k": 3}).json()
        assert len(answer["items"]) == 3
        assert "not known" in answer["fallback"]
        personal = client.post("/v1/recommend", json={"history": ["java", "mocha"], "include_bought": "never"}).json()
        assert personal["items"][0]["item"] == "robusta"
        unknown = client.post("/v1/offers/select", json={"customer": "c001"}).json()
        assert (unknown["offer"], unknown["workspace_hash"]) == (None, shop.hash)
        assert "no customers" in unknown["fallback"]
        loyal = [
            client.post("/v1/offers/select", json={"features": {"tenure": 1.0}, "offers": ["coupon"]}).json()
            for _ in range(30)
        ]
        assert [one["offer"] for one in loyal].count("coupon") > 20  # exploration is a tenth
        assert all(one["name"] == "10 % off" and one["fallback"] is None for one in loyal if one["offer"])
        for customer in ("c001", "somebody new"):
            arm = client.post("/v1/experiments/checkout-badge/assign", json={"customer": customer}).json()
            assert arm["arm"] == assigned("checkout-badge", customer, {"control": 0.5, "treatment": 0.5})
            assert arm["workspace_hash"] == shop.hash
        assert client.get("/v1/experiments/checkout-badge/report").status_code == 404
        keyed = {"json": {"features": {"tenure": 1.0}}, "headers": {"Idempotency-Key": "a"}}
        assert client.post("/v1/offers/select", **keyed).json() == client.post("/v1/offers/select", **keyed).json()


@pytest.mark.slow
def test_the_container_file_copies_what_is_there_and_its_command_answers(shop: Workspace, tmp_path: Path) -> None:
    write(shop, tmp_path / "image")
    assert {path for path in copied() if not (tmp_path / "image" / path).exists()} == set()
    python, *words = json.loads(re.findall(r"^CMD (.*)$", CONTAINER.read_text(), flags=re.MULTILINE)[0])
    assert python == "python"
    told = dict(
        re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV (.*)$", CONTAINER.read_text(), flags=re.MULTILINE)))
    )
    assert told.keys() == {"BENTOML_DO_NOT_TRACK", "BENTOML_HOME", *THREADS}
    environment = {name: value for name, value in os.environ.items() if name not in ("ATTUNE_WORKSPACE", "PYTHONPATH")}
    environment |= told | {"BENTOML_HOME": str(tmp_path / "home"), "ATTUNE_DECIDE_KEY": "of the platform"}
    command = [sys.executable, *words[: words.index("--host")]]
    with bento(command, tmp_path / "image", environment) as client:
        assert client.post("/v1/recommend", json={"k": 3}).status_code == 401
        asked = client.post("/v1/recommend", json={"k": 3}, auth=("of the platform", ""))
    assert len(asked.json()["items"]) == 3


def copied() -> list[str]:
    """What the container file copies."""
    return re.findall(r"^COPY (\S+) ", CONTAINER.read_text(), flags=re.MULTILINE)


def bento(serve: list[str], folder: Path, environment: dict[str, str]):
    from contextlib import contextmanager

    @contextmanager
    def running():
        import time

        port = free_port()
        command = [*serve, "--host", "127.0.0.1", "--port", str(port)]
        log = folder.parent / "bento.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline and process.poll() is None:
                    try:
                        if client.get("/readyz").status_code == 200:
                            break
                    except httpx.HTTPError:
                        time.sleep(0.2)
                else:
                    pytest.fail(f"the bento did not start: {log.read_text()[-3000:]}")
                yield client
        finally:
            process.terminate()
            process.wait(timeout=20)

    return running()
