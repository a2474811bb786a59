"""The policy value table on the page, beside it and in the terminal."""

import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from features.workspace import Workspace, create
from serving.cli import app
from training.pipelines.uplift import judged, save_evidence
from training.reports.page import interval, shown
from training.reports.policy import told, verdict_of, warnings_of
from training.reports.uplift import write

RUNS = ("0123456789abcdef", "fedcba9876543210")


def campaign(seed: int) -> ExposureLog:
    """`percent-10` helps where spend > 0; `tea` is in no file of offers."""
    rng = np.random.default_rng(seed)
    spend = rng.normal(size=1500)
    arm = rng.choice(np.array(["none", "percent-10", "tea"]), 1500)
    visit = (rng.random(1500) < 0.4 + 0.2 * np.sign(spend) * (arm == "percent-10")).astype(float)
    table = FeatureTable(pd.DataFrame({"spend": spend}), (Feature("spend", "own", "EUR", "Spend."),))
    exposures = Exposures(arm.astype(np.str_), np.full(1500, 1 / 3), np.ones(1500))
    return ExposureLog("planted", "here", table, exposures, pd.DataFrame({"visit": visit}))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place = create(tmp_path_factory.mktemp("policy") / "shop")
    (place.folder / "offers.yaml").write_text(
        "offers:\n  - {key: percent-10, name: 10 % off, value: 20.0, cost: 0.30}\n", encoding="utf-8"
    )
    for seed, run in enumerate(RUNS):
        log = campaign(seed)
        save_evidence(judged(log, "visit", ["t-linear"], folds=3, seed=0), log, place.runs / run)
    return place


def texts(html: str, tag: str) -> list[str]:
    return [unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.S)]


def test_the_numbers_on_the_page_are_those_of_the_json(workspace: Workspace) -> None:
    path = write(workspace, RUNS[0])
    found = json.loads(path.with_suffix(".json").read_text())["policy"]
    cells = texts(path.read_text(), "td")
    pairs = set(pairwise(cells))
    for one in [*found["policies"], *found["price"]]:
        assert (shown(one["value"]), interval(one["lower"], one["upper"])) in pairs
    for one in found["policies"][1:]:
        gain = one["gain"]
        assert (interval(gain["lower"], gain["upper"]), gain["verdict"]) in pairs
    for one in found["price"][1:]:
        assert (interval(one["lower"], one["upper"]), shown(one["width"])) in pairs


def test_the_verdict_in_words_is_that_of_the_intervals(workspace: Workspace) -> None:
    path = write(workspace, RUNS[0])
    found = json.loads(path.with_suffix(".json").read_text())["policy"]
    assert verdict_of(found) in unescape(path.read_text())
    for one in found["policies"][1:]:
        gain, than = one["gain"], "from" if one["gain"]["verdict"] == "not distinguishable" else "than"
        assert f"{gain['verdict']} {than} {one['policy']} (" in verdict_of(found)
        assert (gain["verdict"] == "not distinguishable") == (gain["lower"] <= 0 <= gain["upper"])


def test_an_offer_without_a_value_is_said_before_anything_else(workspace: Workspace) -> None:
    path = write(workspace, RUNS[0])
    said = warnings_of(json.loads(path.with_suffix(".json").read_text())["policy"])
    assert said == ["offers.yaml does not name tea: an outcome counts as 1, and the offer costs nothing."]
    page = unescape(path.read_text())
    assert page.index(said[0]) < page.index('<div class="verdict') < page.index("What each policy would earn")


def test_poor_overlap_is_said_first(workspace: Workspace) -> None:
    found = json.loads(write(workspace, RUNS[0]).with_suffix(".json").read_text())["policy"]
    found["policies"][0] |= {"poor": True, "outside": 0.42, "effective": 31.4}
    first = warnings_of(found)[0]
    assert first.startswith("Poor overlap of “by expected profit”: the log says as much of it as 31.4 rows of 1,500")
    assert "42 % of what it gives was never given where it would be" in first


def test_compare_shows_the_same_table_for_the_runs_given(workspace: Workspace) -> None:
    found = json.loads(write(workspace, RUNS[0]).with_suffix(".json").read_text())["policy"]
    where = ["-w", str(workspace.folder)]
    both = CliRunner().invoke(app, ["compare", "--policy", RUNS[0][:6], RUNS[1][:6], *where], catch_exceptions=False)
    lines = both.stdout.splitlines()
    assert lines == told(workspace, RUNS)
    assert "planted, run 01234567: EUR per 1,000 customers" in lines
    assert "planted, run fedcba98: EUR per 1,000 customers" in lines
    for one in found["policies"]:
        line = next(line for line in lines if line.startswith(f"  {one['policy']} "))
        assert shown(one["value"]) in line
        assert interval(one["lower"], one["upper"]) in line
        assert one["gain"] is None or line.endswith(one["gain"]["verdict"])
    newest = CliRunner().invoke(app, ["compare", "uplift", "--policy", *where], catch_exceptions=False)
    assert newest.stdout.splitlines() == told(workspace, [])


def test_a_run_that_is_not_there_or_is_too_old_is_one_line(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run == 'nine' names 0 runs, must name one of"):
        told(workspace, ["nine"])
    old = create(tmp_path / "old")
    (old.runs / "abc").mkdir(parents=True)
    np.savez(old.runs / "abc" / "oof.npz", offers=np.array(["a"]))
    with pytest.raises(ValueError, match=r"oof.npz holds no expected outcomes; train it again"):
        told(old, [])
