"""`attune preview`: what a customer would see, without a service and without a trace."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from features.workspace import Workspace
from serving.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def own(untouched: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    return Workspace.open(tmp_path / "shop")


def test_a_slot_is_shown_as_a_customer_would_see_it_and_nothing_is_kept(own: Workspace, run: Run) -> None:
    code, out, _ = run("preview", "home-hero", "--customer", "c002", "-w", str(own.folder))
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == ["content", "reason", "fallback", "headline", "text", "cta", "items", "offer"]
    assert lines["headline"].endswith("probability 1)")
    assert not (own.state / "journal").exists()


def test_who_is_not_known_sees_the_default_and_why(own: Workspace, run: Run) -> None:
    _, out, _ = run("preview", "home-hero", "--anonymous", "somebody", "-w", str(own.folder))
    assert "the visitor has not agreed to personalisation" in out
    assert "Welcome to our shop    (default, probability 1)" in out


def test_what_is_wrong_is_one_line(own: Workspace, run: Run) -> None:
    code, _, err = run("preview", "home-herro", "-w", str(own.folder))
    assert (code, err) == (2, "attune: slot == 'home-herro', there is none in slots/; did you mean 'home-hero'?\n")
    assert run("preview", "-w", str(own.folder))[0] == 2
