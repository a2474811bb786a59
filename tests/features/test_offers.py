"""Offers: what is wrong with `offers.yaml` is named."""

from pathlib import Path

import pytest

from features.offers import FILE, read_offers


def test_of_many_offers_only_the_keys_that_are_repeated_are_named(tmp_path: Path) -> None:
    rows = "".join(f"  - {{key: {key}, name: A}}\n" for key in ("mail", "web", "mail", "sms"))
    (tmp_path / FILE).write_text(f"offers:\n{rows}")
    with pytest.raises(ValueError, match=r"the offer keys \['mail'\] are not unique"):
        read_offers(tmp_path)
