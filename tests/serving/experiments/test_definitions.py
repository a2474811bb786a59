"""What is wrong with the design of an experiment is one line that names the file and says what is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from features.conditions import Facts, holds
from features.workspace import create
from serving.decisions.state import State
from serving.experiments.assignment import over
from serving.experiments.definitions import Experiment, read_experiments
from serving.experiments.metrics import standard
from serving.experiments.plans import plan_hash

ARMS = "arms: {control: 0.5, treatment: 0.5}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return create(tmp_path / "shop").folder


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / "experiments" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start: 2026-03-20\nend: 2026-03-02", "it must not end before it starts"),
        ("segments: [loial]", "segments: there is no segment 'loial'; did you mean 'loyal'?"),
        ("audience: {segment: loial}", "audience: there is no segment 'loial'; did you mean 'loyal'?"),
        ("layer: {name: page, start: 0.5, end: 0.5}", "the start must be before the end"),
        ("layer: {name: page, end: 1.5}", "less than or equal to 1"),
        ("planned: {customers: 10, days: 5}", "one of them sizes a test"),
        ("shows: {slot: home-hero}\nlayer: {name: page}", "layer is of no use with shows: the slot 'home-hero'"),
        ("shows: {slot: home-hero}\naudience: {segment: loyal}", "audience is of no use with shows"),
        ("starts: 2026-03-20", "unknown key 'starts'; did you mean 'start'?"),
    ],
)
def test_a_design_that_cannot_be_is_refused_in_one_line(folder: Path, text: str, said: str) -> None:
    path = put(folder, "test", f"key: test\n{ARMS}\n{text}\n")
    with pytest.raises(ValueError, match=r".") as error:
        read_experiments(folder)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ("{on: 0.5, off: 0.5}", "True is no name of an arm"),  # what YAML makes of on
        ("{1: 0.5, 2: 0.5}", "1 is no name of an arm"),
        ('{"": 0.5, b: 0.5}', "'' is no name of an arm"),
        ('{"a\\nb": 0.5, b: 0.5}', "'a\\\\nb' is no name of an arm"),
        ('{" a": 0.5, b: 0.5}', "' a' is no name of an arm"),
        ("{a: 0.5, b: 0.4}", "shares must be >= 0 and sum to 1"),
        ("{a: 0.5, b: 0.6}", "shares must be >= 0 and sum to 1"),
        ("{a: 1.5, b: -0.5}", "shares must be >= 0 and sum to 1"),
        ("{a: 0.5, b: .nan}", "shares must be >= 0 and sum to 1"),
        ("{a: 1.0}", "needs at least two"),
        ("{a: 0, b: 0.5, c: 0.5}", "the first and another one need a share > 0"),
        ("{a: 1, b: 0}", "the first and another one need a share > 0"),
        ("[a, b]", "valid dictionary"),
    ],
)
def test_arms_are_named_and_shared_out(folder: Path, arms: str, said: str) -> None:
    path = put(folder, "test", f"key: test\narms: {arms}\n")
    with pytest.raises(ValueError, match=r".") as error:
        read_experiments(folder)
    assert str(path) in str(error.value)
    assert said.replace("\\\\", "\\") in str(error.value)


def test_two_experiments_with_one_key_are_refused_and_both_files_named(folder: Path) -> None:
    one, other = (put(folder, name, f"key: test\n{ARMS}\n") for name in ("a", "b"))
    with pytest.raises(ValueError, match="the key 'test' is that of") as error:
        read_experiments(folder)
    assert {str(one), str(other)} <= {word.rstrip(":") for word in str(error.value).split()}


def test_an_unknown_metric_is_refused_when_the_rules_are_read(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    put(shop.folder, "test", f"key: test\n{ARMS}\nprimary: [revenu]\n")
    with pytest.raises(ValueError, match="experiment 'test': there is no metric 'revenu'; there are "):
        State.rules(shop)


def test_an_audience_that_asks_for_a_score_nobody_has_is_refused(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    put(shop.folder, "test", f"key: test\n{ARMS}\naudience: {{score: effect of nothing, at_least: 0}}\n")
    with pytest.raises(ValueError, match=r"the audience of 'test': .*effect of nothing"):
        State.read(shop)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("{}", "{}", "0 to 1"),
        ("{end: 0.5}", "{start: 0.4}", "0.4 to 0.5"),
        ("{end: 0.5}", "{start: 0.5}", None),
        ("{start: 0.2, end: 0.4}", "{end: 0.2}", None),
    ],
)
@pytest.mark.parametrize(
    ("days", "meet"),
    [
        (("", ""), True),
        (("end: 2026-03-10", "start: 2026-03-10"), True),  # on that day
        (("end: 2026-03-09", "start: 2026-03-10"), False),
        (("start: 2026-03-10\nend: 2026-03-20", "end: 2026-03-01"), False),
    ],
)
def test_experiments_of_a_layer_share_no_customers_on_a_day(
    folder: Path, first: str, second: str, shared: str | None, days: tuple[str, str], *, meet: bool
) -> None:
    paths = []
    for name, part, when in (("a", first, days[0]), ("b", second, days[1])):
        layer = {"name": "page", **yaml.safe_load(part)}
        paths.append(put(folder, name, f"key: {name}\n{ARMS}\nlayer: {layer}\n{when}\n"))
    if shared is None or not meet:
        assert {"a", "b"} <= read_experiments(folder).keys()
        return
    with pytest.raises(ValueError, match=f"shares {shared} of the layer 'page' with ") as error:
        read_experiments(folder)
    assert all(str(path) in str(error.value) for path in paths)


def test_an_audience_is_what_the_segments_file_says_and_so_is_the_plan(folder: Path) -> None:
    put(folder, "test", f"key: test\n{ARMS}\naudience: {{not: {{segment: loyal}}}}\nsegments: [loyal]\n")
    before = read_experiments(folder)["test"]
    facts = Facts.of([], datetime(2026, 3, 1, tzinfo=UTC))
    assert before.audience is not None
    assert holds(before.audience, facts)  # nobody who did nothing is loyal
    path = folder / "segments" / "lifecycle.yaml"
    path.write_text(path.read_text().replace("180d", "200d"))
    after = read_experiments(folder)["test"]
    assert plan_hash(after, standard()) != plan_hash(before, standard())


def test_days_are_those_of_the_workspaces_zone() -> None:
    test = Experiment.model_validate({"key": "t", "arms": {"a": 0.5, "b": 0.5}, "start": "2026-03-02"})
    before = datetime(2026, 3, 1, 22, 59, tzinfo=UTC)
    assert over(test, before, "Europe/Berlin") == "it starts on 2026-03-02"
    assert over(test, before, "Asia/Tokyo") is None
