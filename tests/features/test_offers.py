"""Offers: what is wrong with `offers.yaml` is named."""

from pathlib import Path

import pytest

from features.offers import FILE, Offer, read_offers


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


@pytest.mark.parametrize(
    "given", ["cost: -1", "redemption_cost: -0.5", "budget: -3", "stock: -1", "stock: 2.5", "value: .nan"]
)
def test_an_amount_that_is_none_is_refused_by_its_name(tmp_path: Path, given: str) -> None:
    (tmp_path / FILE).write_text(f"offers:\n  - {{key: mail, name: A, {given}}}\n")
    with pytest.raises(ValueError, match=rf"offers\.yaml: offers\.0\.{given.partition(':')[0]} == "):
        read_offers(tmp_path)


def test_redemption_costs_also_where_the_offer_changed_nothing() -> None:
    offer = Offer(key="coupon", name="-", value=20.0, cost=0.5, redemption_cost=4.0)
    assert offer.profit(0.0, 0.25) == -0.5 - 4.0 * 0.25
    assert offer.profit(0.1, 0.35) == pytest.approx(0.1 * 20 - 0.5 - 4.0 * 0.35)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("codes_return_after_days: 14", "the offer 'mail' has codes_return_after_days and no codes that could return"),
        ("codes: codes/a.txt, codes_return_after_days: 0", r"offers\.0\.codes_return_after_days == 0"),
        ("codes: ../a.txt", r"offers\.0\.codes == '\.\./a\.txt'"),
        ("codes: /etc/a.txt", r"offers\.0\.codes == '/etc/a\.txt'"),
        ("codes: a.txt", r"offers\.0\.codes == 'a\.txt'"),
        ("code: codes/a.txt", "unknown key 'offers.0.code'"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(tmp_path: Path, given: str, line: str) -> None:
    (tmp_path / FILE).write_text(f"offers:\n  - {{key: mail, name: A, {given}}}\n")
    with pytest.raises(ValueError, match=line):
        read_offers(tmp_path)


def test_an_offer_without_limits_need_not_be_counted() -> None:
    assert not Offer(key="a", name="-").limited
    assert all(Offer(key="a", name="-", **{limit: 0}).limited for limit in ("budget", "stock"))
    assert Offer(key="a", name="-", codes="codes/a.txt").limited
