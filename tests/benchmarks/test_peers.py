"""The libraries that we compare with live apart: an environment of their own, a script that knows nothing of ours."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import peers

ROOT = Path(__file__).resolve().parents[2]


def test_the_peers_lock_holds_names_and_exact_versions_only():
    lines = (ROOT / "requirements-peers.lock").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert [line for line in packages if not re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*", line)] == []
    assert {"econml", "causalml", "lightgbm"} <= {line.partition("==")[0] for line in packages}
    assert packages == sorted(packages)


def test_the_peers_are_no_dependencies_of_attune():
    ours = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "pyproject.toml"))
    assert not re.search("econml|causalml", ours)


def test_the_script_that_runs_in_their_environment_imports_nothing_of_ours():
    tree = ast.parse((ROOT / "benchmarks" / "peers_uplift.py").read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert [
        name for name in modules if name.partition(".")[0] in ("benchmarks", "features", "serving", "training")
    ] == []


def test_without_their_environment_there_are_no_peers(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    with peers.peers() as there:
        assert there is None
    assert "make setup-peers" in capsys.readouterr().err


def test_an_answer_is_kept_for_the_same_question_only():
    rows = np.arange(4.0)
    asked = peers.Question(rows[:, None], rows > 1, rows, rows / 4, rows.astype(np.intp), seed=0)
    same, others = replace(asked, X=rows[:, None].copy()), [replace(asked, seed=1), replace(asked, outcome=rows + 1)]
    found = {peers.fingerprint(question, peers.PEERS) for question in (asked, same)}
    assert len(found) == 1
    assert not found & {peers.fingerprint(question, peers.PEERS) for question in others}
    assert not found & {peers.fingerprint(asked, peers.FORESTS)}
