"""`POST /v1/offers/select` over HTTP: what a request says of the offers narrows them.

`coupon` and `sample` are for the web, `mail` is an e-mail; the model knows all but `sample`. Offers are drawn to learn.
"""

from typing import Any

import httpx
import pytest

WHOLE = {"nothing", "coupon", "mail", "sample"}
MANY = 60  # of the shop's requests a tenth is drawn among all that is eligible


def asked(service: httpx.Client, **said: Any) -> dict[str, Any]:
    answer = service.post("/v1/offers/select", json={"customer": "c001", "explain": "full", **said})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("said", "considered"),
    [
        ({}, WHOLE),
        ({"offers": None, "channel": None}, WHOLE),
        ({"channel": "web"}, {"nothing", "coupon", "sample"}),
        ({"channel": "email"}, {"nothing", "mail"}),
        ({"offers": ["mail", "sample"]}, {"nothing", "mail", "sample"}),
        ({"offers": ["coupon", "mail"], "channel": "web"}, {"nothing", "coupon"}),
        ({"offers": ["coupon"], "channel": "email"}, {"nothing"}),
        ({"offers": []}, {"nothing"}),
        ({"channel": "sms"}, {"nothing"}),
        ({"channel": "Web"}, {"nothing"}),
    ],
)
def test_a_channel_and_candidates_narrow_the_offers(
    service: httpx.Client, said: dict[str, Any], considered: set[str]
) -> None:
    answers = [asked(service, **said) for _ in range(MANY)]
    for one in answers:
        options = {option["key"]: option for option in one["options"]}
        assert set(options) == considered
        eligible = {key for key, option in options.items() if option["eligible"]}
        assert eligible == considered - {"sample"}
        assert sum(option["probability"] for option in options.values()) == pytest.approx(1)
    given = {one["offer"] or "nothing" for one in answers}
    assert given <= considered - {"sample"}
    best = "coupon" if "coupon" in considered else "nothing"  # c001 is one whom the coupon moves
    assert best in given


def test_where_nothing_is_left_the_answer_is_nothing_and_why(service: httpx.Client) -> None:
    one = asked(service, channel="sms")
    assert (one["offer"], one["probability"], one["reason"]) == (None, 1.0, "no offer is eligible")


@pytest.mark.parametrize("said", [{"channel": ""}, {"channel": 7}, {"offers": "coupon"}, {"offers": [""]}])
def test_what_is_no_channel_and_no_candidate_is_refused_by_name(service: httpx.Client, said: dict[str, Any]) -> None:
    answer = service.post("/v1/offers/select", json={"customer": "c001", **said})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith(next(iter(said)))
