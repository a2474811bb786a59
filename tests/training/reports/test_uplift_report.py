"""The uplift report of real small runs; the offer helps who spends and hurts who does not."""

import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from features.workspace import Settings, Workspace
from training.metrics.uplift import Trial, average, balance, by_decile, chance_of, qini
from training.pipelines.uplift import judged, save_evidence
from training.pipelines.uplift_evaluation import CHOSEN
from training.reports.page import interval, shown
from training.reports.uplift import report, run_folder, write
from training.reports.uplift_effects import clustered
from training.reports.uplift_figures import Evidence, coin_p, figures
from training.reports.uplift_segments import segment_labels
from training.reports.uplift_words import warnings_of

RUN = "0123456789abcdef"
FEATURES = (Feature("spend", "own", "EUR", "Spend."), Feature("town", "own", "category", "<b>Town</b>."))


def campaign(effect: float, *, bent: bool = False, binary: bool = True, rows: int = 1200) -> ExposureLog:
    """The offer `a` adds `effect` where spend > 0 and takes it where not; `bent`: spenders are given it more often."""
    rng = np.random.default_rng(3)
    spend = rng.normal(size=rows)
    arm = np.where(rng.random(rows) < (0.5 + 0.3 * np.sign(spend) * bent), "a", "none")
    mean = 0.4 - 0.05 * np.sign(spend) + effect * np.sign(spend) * (arm == "a")
    outcome = (rng.random(rows) < mean).astype(float) if binary else mean + rng.normal(size=rows)
    town = pd.Categorical(rng.choice(["north", "<script>alert(1)</script>, a long name"], rows))
    customers = np.array([f"customer-{n // 2}" for n in range(rows)], dtype=object)
    table = FeatureTable(pd.DataFrame({"spend": spend, "town": town}), FEATURES, customers)
    exposures = Exposures(arm.astype(np.str_), np.full(rows, 0.5), np.ones(rows))
    return ExposureLog("planted", "here", table, exposures, pd.DataFrame({"visit": outcome}))


def kept(folder: Path, log: ExposureLog) -> Workspace:
    workspace = Workspace(folder, Settings(name="shop"))
    found = judged(log, "visit", ["t-linear", "dr-linear"], folds=3, seed=0)
    save_evidence(found, log, workspace.runs / RUN)
    return workspace


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return kept(tmp_path_factory.mktemp("planted"), campaign(0.3))


@pytest.fixture(scope="module")
def found(planted: Workspace) -> dict[str, Any]:
    return figures(Evidence.read(planted.runs / RUN))


def texts(html: str, tag: str) -> list[str]:
    return [unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.S)]


def test_the_numbers_on_the_page_are_those_of_the_json(planted: Workspace) -> None:
    path = write(planted, RUN[:4])
    numbers = json.loads(path.with_suffix(".json").read_text())
    assert path.name == "uplift-01234567.html"
    cells = texts(path.read_text(), "td")
    pairs, offer = set(pairwise(cells)), numbers["offers"]["a"]
    for row in [*numbers["arms"], *offer["deciles"], *offer["segments"], offer["effect"]]:
        assert (shown(row["value"]), interval(row["lower"], row["upper"])) in pairs
    for row in offer["top"]:
        given = [
            shown(row["share"]),
            shown(row["extra"]),
            interval(row["lower"], row["upper"]),
            shown(row["per_treated"]),
        ]
        assert given in [cells[place : place + 4] for place in range(len(cells))]
    for row in offer["learners"]:
        assert shown(row["qini"]) in cells


def test_the_figures_are_those_of_the_metrics(planted: Workspace, found: dict[str, Any]) -> None:
    oof, offer = Evidence.read(planted.runs / RUN).oof, found["offers"]["a"]
    rows, trial = oof.trial("a")
    prediction = oof.prediction[CHOSEN][rows, 0]
    assert offer["effect"]["value"] == pytest.approx(1000 * average(trial).value)
    assert [row["value"] for row in offer["deciles"]] == pytest.approx(
        [1000 * one.value for one in by_decile(prediction, trial)]
    )
    choice = next(row for row in offer["learners"] if row["learner"] == CHOSEN)
    assert choice["qini"] == pytest.approx(qini(prediction, trial))
    assert offer["top"][-1]["extra"] == pytest.approx(offer["effect"]["value"], abs=1e-6)
    assert offer["top"][-1]["above_random_lower"] == pytest.approx(0, abs=1e-9)


def test_where_the_offer_works_and_where_it_hurts_is_found(found: dict[str, Any]) -> None:
    says = {(row["feature"], row["segment"]): row["says"] for row in found["offers"]["a"]["segments"]}
    spend = [row for row in found["offers"]["a"]["segments"] if row["feature"] == "spend"]
    assert [row["says"] for row in spend] == ["works", "works", "hurts", "hurts"]
    assert says["town", "north"] == "not distinguishable"
    assert found["verdict"].startswith("better than")
    assert "is better than the simpler rule" in report(found).html
    assert "It hurts in: spend: " in report(found).html


def test_segment_intervals_are_wider_than_those_of_one_segment(planted: Workspace, found: dict[str, Any]) -> None:
    oof = Evidence.read(planted.runs / RUN).oof
    row = next(one for one in found["offers"]["a"]["segments"] if one["segment"] == "north")
    town = pd.read_parquet(planted.runs / RUN / "features.parquet")["town"]
    rows = (town == "north").to_numpy()
    alone = clustered(Trial(oof.outcome[rows], oof.arm[rows] == "a", oof.weight[rows]), oof.unit[rows])
    z = 2.638257  # of 0.05 / 6 on two sides: four quarters of spend and two towns
    assert found["segments_tested"] == 6
    assert row["upper"] - row["value"] == pytest.approx(1000 * z * alone.standard_error, rel=1e-4)


def test_a_campaign_without_effect_is_not_distinguishable(tmp_path: Path) -> None:
    path = write(kept(tmp_path, campaign(0.0)))
    verdicts = texts(path.read_text(), "strong")
    assert verdicts[0] == "Choosing customers by uplift: not distinguishable from the simpler rule"
    assert verdicts[1] == "a: not distinguishable from no offer"
    assert {row["says"] for row in json.loads(path.with_suffix(".json").read_text())["offers"]["a"]["segments"]} == {
        "not distinguishable"
    }


def test_a_fair_campaign_brings_no_warning_and_a_bent_one_says_what_is_wrong(
    found: dict[str, Any], tmp_path: Path
) -> None:
    assert warnings_of(found) == []
    bent = figures(Evidence.read(kept(tmp_path, campaign(0.0, bent=True, rows=400)).runs / RUN))
    said = " ".join(warnings_of(bent))
    assert "a: who was given it can be told from the features" in said
    assert "a: the arms differ in spend" in said
    assert "Fewer than 100 rows with visit in: none, a" in said


def test_small_fair_arms_that_chance_makes_unlike_bring_no_warning() -> None:
    rng = np.random.default_rng(2)
    fair = []
    for _ in range(200):
        treated = rng.random(300) < 0.5
        columns = rng.standard_normal((300, 40))
        trial = Trial(np.zeros(300), treated, np.ones(300))
        differences = balance(columns, treated, trial.weight)
        assert np.abs(differences).max() > 0.1  # Austin's rule alone would warn every time
        fair.append(chance_of(differences, trial).min())
    assert np.mean(np.array(fair) < 0.001) <= 0.02
    assert np.mean(np.array(fair) < 0.05) == pytest.approx(0.05, abs=0.045)  # 3 standard errors


def test_a_difference_is_as_likely_as_a_test_of_means_says() -> None:
    rng = np.random.default_rng(3)
    treated, values = np.arange(1000) < 400, rng.standard_normal(1000)
    values[treated] += 0.2
    trial = Trial(values, treated, np.ones(1000))
    p = chance_of(balance(values[:, None], treated, trial.weight), trial)[0]
    assert p == pytest.approx(stats.ttest_ind(values[treated], values[~treated], equal_var=False).pvalue, rel=0.1)


def test_only_what_a_coin_hardly_gives_is_called_unfair(found: dict[str, Any]) -> None:
    """One in forty fair campaigns has an interval above 0.5: a p-value of 0.025 is no fault of the campaign."""
    assert coin_p({"value": 0.5, "lower": 0.48, "upper": 0.52}) == pytest.approx(0.5)
    for value, said in ((0.521, 0), (0.54, 1)):
        offer = found["offers"]["a"]
        guess = {"value": value, "lower": value - 0.02, "upper": value + 0.02}
        checks = offer["checks"] | {"predictability": guess | {"p_value": coin_p(guess)}}
        told = warnings_of(found | {"offers": {"a": offer | {"checks": checks}}})
        assert len(told) == said, value
    assert coin_p({"value": None, "lower": None, "upper": None}) is None


def test_an_outcome_in_money_has_no_figures_of_scikit_uplift(found: dict[str, Any], tmp_path: Path) -> None:
    assert any(row["sklift_qini"] is not None for row in found["offers"]["a"]["learners"])
    money = figures(Evidence.read(kept(tmp_path, campaign(0.3, binary=False)).runs / RUN))
    assert all(row["sklift_qini"] is None for row in money["offers"]["a"]["learners"])
    assert "scikit-uplift at 30 %" not in texts(report(money).html, "th")


def test_no_customer_is_named_and_a_segment_cannot_write_html(planted: Workspace) -> None:
    path = write(planted)
    for text in (path.read_text(), path.with_suffix(".json").read_text()):
        assert "customer-" not in text
    assert "<script>alert(1)" not in path.read_text()


def test_the_error_of_an_effect_counts_a_customer_once() -> None:
    rng = np.random.default_rng(0)
    once = Trial(rng.normal(size=200), rng.random(200) < 0.5, np.ones(200))
    twice = Trial(np.tile(once.outcome, 2), np.tile(once.treated, 2), np.ones(400))
    expected = average(once)
    alone, paired = clustered(once, np.arange(200)), clustered(twice, np.tile(np.arange(200), 2))
    assert (alone.value, alone.standard_error) == pytest.approx((expected.value, expected.standard_error))
    assert paired.standard_error == pytest.approx(expected.standard_error)


def test_numbers_are_put_in_quarters_and_the_unknown_apart() -> None:
    numbers = pd.Series([*range(1, 13), np.nan], dtype=float)
    counts = segment_labels(numbers).value_counts().to_dict()
    assert counts == {"1 to 3.75": 3, "3.75 to 6.5": 3, "6.5 to 9.25": 3, "9.25 to 12": 3, "unknown": 1}
    assert segment_labels(pd.Series([0.0, 1.0, np.nan])).tolist() == ["0", "1", "unknown"]


def test_a_run_that_is_not_there_is_one_line(planted: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--run == 'nine' names 0 runs, must name one of \['0123456789abcdef'\]"):
        run_folder(planted, "nine")
    with pytest.raises(ValueError, match="no uplift run here; run `attune train uplift`"):
        run_folder(Workspace(tmp_path, Settings(name="shop")), "")


@pytest.mark.browser
def test_every_picture_is_drawn_offline_and_the_page_fits_a_phone(planted: Workspace, drawn, faults) -> None:
    for width, page in drawn(write(planted), charts=9):
        widths = page.evaluate(
            "[...document.querySelectorAll('.chart svg.marks')].map(s => s.getBoundingClientRect().width)"
        )
        assert all(0.7 * min(width, 990) - 40 < one <= width for one in widths)
        assert faults(page) == []
