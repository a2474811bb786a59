"""The examples of docs/segments.md come out as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.segments import read_segments
from features.starter import STARTER

PAGE = (Path(__file__).parents[2] / "docs" / "segments.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_file_of_the_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "page.yaml").write_text(blocks("yaml file")[0])
    assert list(read_segments(tmp_path)) == ["cart-abandoner", "win-back", "at-risk"]


def test_the_errors_of_the_page_are_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    for line in blocks("text errors")[0].splitlines():
        text, said = line.split(" | ")
        (tmp_path / "segments" / "page.yaml").write_text(f"segments: [{text}]")
        with pytest.raises(ValueError, match=re.escape(said) + "$"):
            read_segments(tmp_path)


def test_the_page_names_every_file_and_segment_that_ships(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    for name in (name for name in STARTER if name.startswith("segments/")):
        assert f"`{Path(name).name}`" in PAGE
        (tmp_path / name).write_text(STARTER[name])
    for key in read_segments(tmp_path):
        assert f"`{key}`" in PAGE or key.partition("-")[0] in ("recency", "frequency", "money")
