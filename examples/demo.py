"""The main job, end to end, on a simulated shop: `make demo`, or `make demo SERVE=1` to leave the service running.

Only public `attune` verbs run here, each in a process of its own, and only public routes are asked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
ATTUNE = Path(sys.executable).with_name("attune")
EXPERIMENT = "checkout-badge"
END = "2026-01-01"  # of the simulated year: as of today everything would be long ago


def main() -> None:
    """Runs the steps and prints the summary."""
    options = _options()
    log, shop = options.folder / "simulated", options.folder / "shop"
    started = time.monotonic()
    customers = [] if options.customers is None else ["--customers", str(options.customers)]
    attune("simulate", log, *customers)
    if not (shop / "attune.yaml").exists():
        attune("init", shop)
    shutil.copyfile(log / "catalog.csv", shop / "catalog.csv")
    attune("import", "events", log / "events.parquet", "--map", log / "map.yaml", "-w", shop)
    attune("import", "exposures", log / "exposures.parquet", "--map", log / "exposures.yaml", "-w", shop)
    attune("features", "--as-of", END, "-w", shop)
    trained = []
    for kind in ("recommender", "uplift"):
        attune("train", kind, "-w", shop)
        trained.append(attune("promote", kind, "latest", "-w", shop).splitlines()[-1])
    attune("report", "uplift", "-w", shop)
    attune("report", "experiment", EXPERIMENT, "-w", shop)
    with Service(shop, options.port) as service:
        answers = ask(service.url)
        summary(trained, answers, shop, service.url, time.monotonic() - started, serving=options.serve)
        if options.serve:
            service.wait()


def attune(*words: str | Path) -> str:
    """What the verb wrote to stdout; its progress goes to the terminal, and a failure ends the demo."""
    command = [str(ATTUNE), *map(str, words)]
    print(f"\n$ attune {' '.join(_shown(word) for word in words)}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.strip() or "-"


def ask(url: str) -> dict[str, Any]:
    """One answer of each kind."""
    customer = "customer-0000103"
    with httpx.Client(base_url=url, timeout=10) as client:
        questions = {
            "recommend": ("/v1/recommend", {"customer": customer, "k": 3}),
            "offer": ("/v1/offers/select", {"customer": customer}),
            "assign": (f"/v1/experiments/{EXPERIMENT}/assign", {"customer": customer}),
        }
        answers = {}
        for name, (path, body) in questions.items():
            answer = client.post(path, json=body)
            if answer.status_code != 200:
                sys.exit(f"POST {path} answered {answer.status_code}: {answer.text}")
            answers[name] = answer.json()
    return answers


class Service:
    """`attune serve` as a process of its own, up when the block begins and ended with it."""

    def __init__(self, shop: Path, port: int) -> None:
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = shop / ".attune" / "service.log"
        self.command = [str(ATTUNE), "serve", "-w", str(shop), "--port", str(self.port)]

    def __enter__(self) -> Service:
        print(f"\n$ attune serve -w {_shown(self.command[3])} --port {self.port}", flush=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + 180  # a busy machine imports for a minute
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the service did not start; its last words: {self.log.read_text()[-1500:]}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def wait(self) -> None:
        """Until the user presses Ctrl-C."""
        try:
            self.process.wait()
        except KeyboardInterrupt:
            print("\nstopping")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def summary(
    trained: list[str], answers: dict[str, Any], shop: Path, url: str, seconds: float, *, serving: bool
) -> None:
    """What was trained, how much better it is, what the service answers and where to look."""
    items = answers["recommend"]["items"]
    offer = answers["offer"]
    lines = [
        "",
        f"Done in {seconds:.0f} s.",
        "",
        "Trained",
        *(f"  {line}" for line in trained),
        "",
        "Answers for one customer",
        *(f"  recommended  {item.get('name') or item['item']}: {item['reason']['text']}" for item in items),
        f"  offer        {offer['offer'] or 'nothing'} (probability {offer['probability']:.3f}): {offer['reason']}",
        f"  test arm     {answers['assign']['arm']} of {EXPERIMENT}",
        "",
        "Look at",
        f"  uplift report   {_shown(newest(shop / '.attune' / 'reports', 'uplift-*.html'))}",
        f"  model report    .venv/bin/attune report model -w {_shown(shop)}",
        "  MLflow          .venv/bin/mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db",
        f"  API docs        {url}/v1/docs" + ("  (Ctrl-C stops the service)" if serving else "  (make demo SERVE=1)"),
    ]
    print("\n".join(lines), flush=True)


def newest(folder: Path, pattern: str) -> Path:
    """The file written last."""
    return max(folder.rglob(pattern), key=lambda path: path.stat().st_mtime)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="leave the service running")
    parser.add_argument(
        "--port", type=int, default=0, help="the service's port; default: 3000 when serving, else a free one"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where the demo writes")
    parser.add_argument("--customers", type=int, help="size of the simulated shop")
    options = parser.parse_args()
    if options.serve and not options.port:
        options.port = 3000
    return options


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _shown(word: str | Path) -> str:
    path = Path(word)
    return os.path.relpath(path) if path.is_absolute() else str(word)


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        sys.exit(f"the service did not answer: {json.dumps(str(error))}")
