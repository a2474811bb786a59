"""The secrets that receipts are signed with, in each kind of ledger."""

from datetime import datetime

import pytest

from features.ledger import Ledger
from features.webhooks import keep, secret_of


def test_a_source_has_the_secret_that_was_kept_last(ledger: Ledger) -> None:
    first, last = (keep(ledger, "mailer", None, datetime(2026, 3, 1)) for _ in range(2))
    assert first != last
    assert secret_of(ledger, "mailer") == last


@pytest.mark.parametrize("source", ["sender", "a\x00b", "", "m" * 65, "mailer\n", "ünï"])
def test_what_was_never_kept_has_none(ledger: Ledger, source: str) -> None:
    keep(ledger, "mailer", None, datetime(2026, 3, 1))
    assert secret_of(ledger, source) is None
