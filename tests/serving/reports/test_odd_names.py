"""Odd names: what a shop, a campaign or a password may be called does not break a mail or a link."""

from datetime import UTC, datetime

import pytest

from serving.reports import mail
from serving.reports.campaign import slug
from serving.reports.digest import Digest
from serving.reports.mail import Server, send, written

NOW = datetime(2026, 2, 1, tzinfo=UTC)
ANN = "ann@shop.example"


def test_a_name_of_two_lines_adds_no_header() -> None:
    message = written(Digest("shop\r\nBcc: eve@evil.example: 1 report", "words", "<p>words</p>", NOW), ANN, [ANN])
    assert message["Subject"] == "shop Bcc: eve@evil.example: 1 report"
    assert message["Bcc"] is None


def test_a_password_that_cannot_be_sent_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_server: Server) -> None:
        "p\u00fcss".encode("ascii")

    monkeypatch.setattr(mail, "_connected", refuse)
    message = written(Digest("shop", "words", "<p>words</p>", NOW), ANN, [ANN])
    with pytest.raises(OSError, match="not plain ASCII") as caught:
        send(Server("smtp", "mail.example", 587, "ann", "p\u00fcss"), message)
    assert "xfc" not in str(caught.value)


@pytest.mark.parametrize("key", ["spring.csv", "spring.json"])
def test_a_campaign_named_like_a_form_of_a_report_has_a_path_of_its_own(key: str) -> None:
    assert not slug(key).endswith((".csv", ".json"))
    assert slug(key) != slug("spring")
