"""The examples of docs/content.md do what the page says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pandas as pd
import pytest

from features.catalog import Catalog
from features.starter import STARTER
from features.workspace import create
from serving.content.given import Shown
from serving.content.liquid import BrokenTextError, environment, rendered
from serving.content.ready import read_ready
from serving.experiments.definitions import read_experiments

PAGE = (Path(__file__).parents[2] / "docs" / "content.md").read_text(encoding="utf-8")
CATALOG = Catalog.of(pd.DataFrame({"item": ["green"], "name": ["Green tea"], "price": [4.5]}))
OFFERS = ("percent-10", "free-shipping")


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{re.escape(kind)}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def pairs(kind: str) -> list[list[str]]:
    return [line.rsplit(" | ", 1) for line in block(kind).splitlines()]


def shop(folder: Path, slot: str) -> Path:
    create(folder)
    (folder / "slots" / "home-top.yaml").write_text(slot)
    (folder / "templates" / "first-order.liquid").write_text("To your first order")
    return folder


def test_every_curl_line_of_the_page_is_answered(service: httpx.Client) -> None:
    lines = re.findall(r"^curl .*$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        ours = line.replace("http://127.0.0.1:3000", str(service.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", ours], capture_output=True, text=True, check=True)
        assert "decision_id" in json.loads(done.stdout), line


def test_the_slot_and_the_experiment_of_the_page_are_read(tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop", block("yaml slots/home-top.yaml"))
    ready = read_ready(folder, "EUR", CATALOG, OFFERS)["home-top"]
    (folder / "experiments" / "top-headline.yaml").write_text(block("yaml experiments/top-headline.yaml"))
    experiment = read_experiments(folder)["top-headline"]
    assert experiment.shows is not None
    content = next(one for one in ready.slot.contents if one.key == experiment.shows.content)
    drawn = {one.key: one.share for one in content.elements[str(experiment.shows.element)]}
    assert {**drawn, "default": 0.2} == experiment.arms


@pytest.mark.parametrize(("text", "said"), pairs("text rendered"))
def test_the_texts_of_the_page_say_what_it_says(text: str, said: str) -> None:
    template = environment({}, "EUR", escaped=True).from_string(text)
    known = {"traits": {}, "items": [Shown("green", "popular now", CATALOG)], "offer": None}
    try:
        found = rendered(template, known)
    except BrokenTextError as error:
        found = str(error)
    assert found.replace("\xa0", " ") == said


@pytest.mark.parametrize(("text", "said"), pairs("text errors"))
def test_the_errors_of_the_page_are_what_is_said(tmp_path: Path, text: str, said: str) -> None:
    slot = "kind: web\nelements: {head: {default: Hi}}\ncontents:\n  - key: a\n    elements:\n      head:\n"
    folder = shop(tmp_path / "shop", f'{slot}        - {{key: b, text: "{text}"}}\n')
    with pytest.raises(ValueError, match=re.escape(f"slots/home-top.yaml:7: {said}")):
        read_ready(folder, "EUR", CATALOG, OFFERS)


def test_what_ships_is_ready(tmp_path: Path) -> None:
    found = read_ready(create(tmp_path / "shop").folder, "EUR", CATALOG, OFFERS)
    assert {f"slots/{key}.yaml" for key in found} == {name for name in STARTER if name.startswith("slots/")}
