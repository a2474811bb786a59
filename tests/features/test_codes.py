"""A pool of codes: each code is in it once, is one customer's at a time, and returns where the offer says when."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from features.codes import code_for, codes, counted, give, load_codes, read_codes
from features.ledger import Ledger
from features.offers import Offer
from features.redemptions import redeem

NOON = datetime(2026, 1, 1, 12)  # UTC without a zone, as the tables keep it
LOAD = """
import sys
from pathlib import Path
from features.codes import load_codes
from features.ledger import Ledger
from features.offers import Offer
load_codes(Ledger(sys.argv[1]), Path(sys.argv[2]), [Offer(key="mail", name="-", codes="codes/mail.txt")])
"""


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.at(ledger_url)
    yield opened
    opened.close()


def pool(folder: Path, text: str, name: str = "mail") -> Offer:
    (folder / "codes").mkdir(exist_ok=True)
    (folder / "codes" / f"{name}.txt").write_text(text)
    return Offer(key=name, name="-", codes=f"codes/{name}.txt")


def asked(ledger: Ledger, customer: str, days: float = 0) -> str | None:
    with ledger.read() as connection:
        return code_for(connection, "mail", customer, NOON + timedelta(days=days))


def given(ledger: Ledger, offer: Offer, customer: str, days: float = 0) -> str | None:
    moment = NOON + timedelta(days=days)
    with ledger.write() as connection:
        code = code_for(connection, offer.key, customer, moment)
        if code is not None:
            give(connection, code, offer, customer, moment, of_revenue=False)
    return code


def order(code: str, customer: str = "ann") -> dict[str, object]:
    line = {"name": "Order Completed", "time": NOON, "quantity": 1.0, "price": 9.0, "customer": customer}
    return line | {"properties": f'{{"coupon": "{code}"}}'}


def test_a_file_that_is_read_again_or_has_grown_adds_what_is_new(ledger: Ledger, tmp_path: Path) -> None:
    for text in ("A\nB\n", "A\nB\n", "\ufeffB\r\n\n C \nB\n"):
        load_codes(ledger, tmp_path, [pool(tmp_path, text)])
    with ledger.read() as connection:
        assert sorted(connection.execute(select(codes.c.code)).scalars()) == ["A", "B", "C"]


def test_processes_that_load_at_once_all_succeed(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    pool(tmp_path, "".join(f"code-{number}\n" for number in range(12_000)))
    command = [sys.executable, "-c", LOAD, ledger_url, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    told = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    with ledger.read() as connection:
        assert counted(connection, "mail", NOON) == (12_000, 12_000)


def test_a_code_belongs_to_one_offer(ledger: Ledger, tmp_path: Path) -> None:
    offers = [pool(tmp_path, "A\n"), pool(tmp_path, "B\nA\n", "web")]
    with pytest.raises(ValueError, match=r"web\.txt: the code 'A' of 'web' is in the pool of 'mail'; a code has one"):
        load_codes(ledger, tmp_path, offers)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A\n" + b"x" * 129, r"line 2 == 'x{20}' of 129 characters, a code has 1 to 128 without control"),
        (b"A\x00B", "line 1 == .* of 3 characters, a code has 1 to 128 without control characters"),
        (b"\xff", "not UTF-8 at byte 0"),
        (None, "no such file; an offer of offers.yaml names it for its codes"),
    ],
)
def test_a_file_of_codes_that_is_wrong_is_one_line(tmp_path: Path, content: bytes | None, line: str) -> None:
    path = tmp_path / "mail.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"mail\.txt: {line}"):
        read_codes(path)


def test_a_customer_keeps_an_unused_code_and_nobody_else_gets_it(ledger: Ledger, tmp_path: Path) -> None:
    offer = pool(tmp_path, "A\nB\n")
    load_codes(ledger, tmp_path, [offer])
    ann = given(ledger, offer, "ann")
    assert given(ledger, offer, "ann", days=9_999) == ann
    assert {ann, given(ledger, offer, "bob")} == {"A", "B"}
    assert asked(ledger, "eve", days=9_999) is None


def test_a_redeemed_code_is_nobodys_and_its_customer_gets_another(ledger: Ledger, tmp_path: Path) -> None:
    offer = pool(tmp_path, "A\nB\n").model_copy(update={"codes_return_after_days": 1})
    load_codes(ledger, tmp_path, [offer])
    first = given(ledger, offer, "ann")
    assert first is not None
    with ledger.write() as connection:
        redeem(connection, [order(first)])
    second = given(ledger, offer, "ann", days=5)
    assert {first, second} == {"A", "B"}
    assert asked(ledger, "bob", days=5.5) is None
    assert asked(ledger, "bob", days=6) == second


def test_an_unused_code_returns_after_the_days_that_the_offer_names(ledger: Ledger, tmp_path: Path) -> None:
    offer = pool(tmp_path, "A\n").model_copy(update={"codes_return_after_days": 14})
    load_codes(ledger, tmp_path, [offer])
    assert given(ledger, offer, "ann") == "A"
    assert asked(ledger, "bob", days=13.9) is None
    assert given(ledger, offer, "ann", days=13) == "A"  # told again: the days begin anew
    assert asked(ledger, "bob", days=26.9) is None
    assert asked(ledger, "ann", days=30) == "A"
    assert given(ledger, offer, "bob", days=30) == "A"
    assert asked(ledger, "ann", days=30) is None


def test_a_fresh_code_is_given_before_one_that_returned(ledger: Ledger, tmp_path: Path) -> None:
    offer = pool(tmp_path, "A\n").model_copy(update={"codes_return_after_days": 1})
    load_codes(ledger, tmp_path, [offer])
    assert given(ledger, offer, "ann") == "A"
    load_codes(ledger, tmp_path, [pool(tmp_path, "A\nB\n")])
    assert given(ledger, offer, "bob", days=2) == "B"
    assert given(ledger, offer, "eve", days=2) == "A"


def test_a_code_that_an_order_used_before_anybody_was_given_it_is_never_given(ledger: Ledger, tmp_path: Path) -> None:
    load_codes(ledger, tmp_path, [pool(tmp_path, "A\n")])
    with ledger.write() as connection:
        redeem(connection, [order("A", customer="somebody")])
    assert asked(ledger, "ann") is None
