"""Offers: what is wrong with `offers.yaml` is named."""

from pathlib import Path

import pytest

from features.offers import FILE, read_offers


def test_of_many_offers_only_the_keys_that_are_repeated_are_named(tmp_path: Path) -> None:
    rows = "".join(f"  - {{key: {key}, name: A}}\n" for key in ("mail", "web", "mail", "sms"))
    (tmp_path / FILE).write_text(f"offers:\n{rows}")
    with pytest.raises(ValueError, match=r"the offer keys \['mail'\] are not unique"):
        read_offers(tmp_path)


@pytest.mark.parametrize(
    ("eligible", "line"),
    [
        ("{tray: city, is: Lyon}", r"offers.0.eligible == .*: must have exactly one of .*did you mean 'trait'\?"),
        ("{all: [{trait: city, iz: Lyon}]}", r"offers.0.eligible.all.0 == .*: unknown key 'iz'; did you mean 'is'\?"),
        ("{item: price, at_most: 50}", "offers.0.eligible == .*: asks for the 'price' of an item, .* customers only"),
    ],
)
def test_a_condition_that_is_wrong_is_named_by_its_place(tmp_path: Path, eligible: str, line: str) -> None:
    (tmp_path / FILE).write_text(f"offers:\n  - {{key: a, name: A, eligible: {eligible}}}\n")
    with pytest.raises(ValueError, match=line):
        read_offers(tmp_path)
