"""Machines: what no person opened or clicked, and why; a person stays one."""

from datetime import datetime, timedelta

import pytest

from features.events import CLICKED, DELIVERED, OPENED
from features.sources.machines import machine, proxy

NOON = datetime(2026, 3, 1, 12)
PERSON = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


def row(name: str, seconds: float, link: str | None = None) -> dict[str, object]:
    return {"name": name, "time": NOON + timedelta(seconds=seconds), "properties": {"link": link}}


@pytest.mark.parametrize(
    ("name", "told", "why"),
    [
        (OPENED, {"user_agent": "Mozilla/5.0"}, "apple-mpp"),
        (OPENED, {"user_agent": PERSON, "ip": "17.58.101.4"}, "apple-mpp"),
        (OPENED, {"user_agent": "Barracuda Sentinel (EE)"}, "scanner: its agent"),
        (CLICKED, {"user_agent": "python-requests/2.32", "link": "a"}, "scanner: its agent"),
        (CLICKED, {"user_agent": PERSON, "link": "a", "hidden": True}, "cannot be seen"),
        (OPENED, {"user_agent": GMAIL, "delivered_at": NOON - timedelta(seconds=3)}, "prefetch"),
        (CLICKED, {"user_agent": PERSON, "delivered_at": NOON - timedelta(seconds=10)}, "prefetch"),
    ],
)
def test_a_machine_is_told_by(name: str, told: dict[str, object], why: str) -> None:
    assert why in (machine(name, NOON, told, []) or "")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (OPENED, {}),
        (OPENED, {"user_agent": PERSON, "ip": "203.0.113.9"}),
        (OPENED, {"user_agent": GMAIL, "delivered_at": NOON - timedelta(minutes=3)}),
        (OPENED, {"user_agent": PERSON, "ip": "no address"}),
        (CLICKED, {"user_agent": PERSON, "ip": "17.58.101.4", "link": "a"}),  # Apple's people click too
        (CLICKED, {"user_agent": PERSON, "delivered_at": NOON - timedelta(seconds=11)}),
        (CLICKED, {"user_agent": PERSON, "delivered_at": NOON + timedelta(seconds=5)}),  # a clock that is behind
        (DELIVERED, {"user_agent": "Barracuda"}),
    ],
)
def test_a_person_is_not_taken_for_a_machine(name: str, told: dict[str, object]) -> None:
    assert machine(name, NOON, told, []) is None


def test_a_delivery_that_was_reported_before_is_remembered() -> None:
    assert machine(CLICKED, NOON, {"link": "a"}, [row(DELIVERED, -2)]) is not None
    assert machine(CLICKED, NOON, {"link": "a"}, [row(DELIVERED, -60)]) is None


def test_many_links_at_once_are_a_scanner_and_one_link_twice_is_not() -> None:
    assert machine(CLICKED, NOON, {"link": "c"}, [row(CLICKED, -2, "a"), row(CLICKED, -1, "b")]) is not None
    assert machine(CLICKED, NOON, {"link": "a"}, [row(CLICKED, -2, "a"), row(CLICKED, -1, "b")]) is None
    assert machine(CLICKED, NOON, {"link": "c"}, [row(CLICKED, -60, "a"), row(CLICKED, -90, "b")]) is None


def test_an_image_proxy_of_the_mail_provider_is_noted() -> None:
    assert proxy({"user_agent": GMAIL}) == "gmail"
    assert proxy({"user_agent": PERSON}) is None
