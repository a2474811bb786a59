"""What `placements.yaml` may say, and how it is told what it may not."""

from pathlib import Path

import pytest

from features.placements import CHAIN, DEFAULT, read_placements
from features.starter import STARTER


def read(folder: Path, text: str):
    (folder / "placements.yaml").write_text(text)
    return read_placements(folder)


def test_a_placement_says_only_what_stands_in_it(tmp_path: Path) -> None:
    found = read(tmp_path, "placements: {home: {k: 4, exclude: [tea]}, bare: {}}")
    assert found["home"].said == {"k": 4, "exclude": ("tea",)}
    assert (found["bare"].said, found["bare"].steps) == ({}, CHAIN)
    assert found["bare"] == DEFAULT


def test_popular_ends_every_chain(tmp_path: Path) -> None:
    found = read(tmp_path, "placements: {a: {steps: [similar]}, b: {steps: [session, popular]}, c: {steps: []}}")
    assert [one.steps for one in found.values()] == [("similar", "popular"), ("session", "popular"), ("popular",)]


def test_a_workspace_without_the_file_has_none_and_the_shipped_one_is_right(tmp_path: Path) -> None:
    assert read_placements(tmp_path) == {}
    assert set(read(tmp_path, STARTER["placements.yaml"])) == {"home-page", "product-page"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("home: {kk: 3}", "unknown key 'placements.home.kk'"),
        ("home: {steps: [popular, similar]}", "'popular' last"),
        ("home: {steps: [similar, similar]}", "each step once"),
        ("home: {steps: [personnal]}", "placements.home.steps.0 == 'personnal'"),
        ("home: {filter: {trait: city, is: Lyon}}", "where there are items only"),
        ("home: {boost: [{where: {item: price, at_most: 3}, by: 0}]}", "boost.0.by == 0"),
        ("home: {pinned: [{key: summer}]}", "needs either items or where"),
        ("home: {pinned: [{key: a, items: [x]}, {key: a, items: [y]}]}", "two promotions have the key 'a'"),
        ("home: {pinned: [{key: a, items: [x], share: 1.5}]}", "share == 1.5"),
        ("home: {budget_ms: 60000}", "budget_ms == 60000"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file_and_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"placements\.yaml: ") as error:
        read(tmp_path, f"placements: {{{text}}}")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
