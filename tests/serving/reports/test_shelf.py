"""The shelf of stored reports: one file that is none, or cannot be read, hides no other."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.http.reports import VERBS
from serving.reports import listed
from serving.reports.shelf import SEVERAL, SINGLE, computed, every, read

WHOLE = '{"computed_at": "2026-02-01T00:00:00Z"}'
BROKEN = {
    "half": '{"a": 1',
    "empty": "",
    "list": "[1]",
    "deep": "[" * 100_000,
    "early": '{"computed_at": "0001-01-01T00:00:00+14:00"}',
    "odd": '{"computed_at": 7}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_report_is_listed_by_the_age_of_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "experiment-whole.json").write_text(WHOLE)
    path = tmp_path / f"experiment-{name}.json"
    path.write_text(BROKEN[name])
    assert {one.name for one in every(tmp_path)} == {"whole", name}
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    assert abs((computed(path) - changed).total_seconds()) < 1


def test_what_is_no_file_or_has_no_name_for_a_path_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "experiment-whole.json").write_text(WHOLE)
    (tmp_path / "experiment-gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "model-folder.json").mkdir()
    (tmp_path / "uplift-a b.json").write_text(WHOLE)
    assert [one.path for one in every(tmp_path)] == ["experiments/whole"]


def test_a_report_that_goes_while_the_list_is_made_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / f"campaign-{name}.json").write_text(WHOLE)

    def gone(path: Path) -> bool:
        """As `is_file`; the file goes right after."""
        found = path.exists()
        if path.name == "campaign-a.json":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", gone)
    assert [one.name for one in every(tmp_path)] == ["b"]


@pytest.mark.parametrize("name", ["half", "empty", "list", "deep"])
def test_what_is_no_report_is_a_value_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(BROKEN[name])
    with pytest.raises(ValueError, match=r"\w"):
        read(path)
    path.write_text(WHOLE)
    assert read(path) == json.loads(WHOLE)


def test_every_kind_that_is_stored_can_be_chosen_and_made_anew() -> None:
    assert listed.WORDS.keys() == VERBS.keys() == {*SEVERAL, *SINGLE}
