"""Tokens: what the shop signed is read, and nothing else."""

import base64
import hashlib
import hmac
import json

import pytest

from serving.http.errors import HttpError
from serving.http.tokens import LONGEST, MOST_SECONDS, customer_of, token

NOW = 1_800_000_000.0


def signed(claims: object, by: str = "s", header: object = None) -> str:
    """A JSON Web Token, as any library of the shop's language writes it."""

    def text(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    start = f"{text(json.dumps(head).encode())}.{text(json.dumps(claims).encode())}"
    return f"{start}.{text(hmac.new(by.encode(), start.encode(), hashlib.sha256).digest())}"


def test_a_token_of_any_library_names_its_customer() -> None:
    assert customer_of("s", signed({"sub": "c000", "exp": NOW + 60, "iat": NOW}), NOW) == "c000"
    assert customer_of("s", token("s", "Zoë", NOW + 60), NOW) == "Zoë"


def test_no_character_can_be_changed() -> None:
    text = token("s", "c000", NOW + 60)
    for place in range(len(text)):
        other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(HttpError) as told:
            customer_of("s", other, NOW)
        assert told.value.status == 401


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (signed({"sub": "c000", "exp": NOW + 60}, by="another"), "is not signed"),
        (signed({"sub": "c000", "exp": NOW + 60}).rpartition(".")[0] + ".", "is not signed"),
        (signed({"sub": "c000", "exp": NOW + 60}, header={"alg": "none"}).rpartition(".")[0] + ".", "is not signed"),
        ("", "is not signed"),
        ("é.é.é", "is not signed"),
        ("\ud800", "is not signed"),
        (signed({"sub": "c" * LONGEST, "exp": NOW + 60}), "is not signed"),
        (signed({"sub": "c000", "exp": NOW}), "has expired"),
        (signed({"sub": "c000", "exp": NOW + MOST_SECONDS + 1}), "is good for more than"),
        (signed({"sub": "c000", "exp": 1e300}), "is good for more than"),
        (signed({"sub": "c000"}), "has no `exp`"),
        (signed({"sub": "c000", "exp": True}), "has no `exp`"),
        (signed({"sub": "c000", "exp": str(NOW + 60)}), "has no `exp`"),
        (signed({"exp": NOW + 60}), "has no `sub`"),
        (signed({"sub": 7, "exp": NOW + 60}), "has no `sub`"),
        (signed({"sub": "", "exp": NOW + 60}), "has no `sub`"),
        (signed({"sub": "c\0", "exp": NOW + 60}), "has no `sub`"),
        (signed(["c000"]), "holds no claims"),
    ],
)
def test_what_the_shop_did_not_sign_or_not_so_is_refused(text: str, said: str) -> None:
    with pytest.raises(HttpError, match=said) as told:
        customer_of("s", text, NOW)
    assert (told.value.status, told.value.code) == (401, "wrong_token")
    assert "c000" not in told.value.message
