"""Keys: shown once, hashed at rest, useless when revoked."""

from datetime import datetime

import pytest

from features.keys import DECIDE, PUBLISHABLE, SEND, create, every, hashed, revoke, secret_of, valid
from features.ledger import Ledger
from features.workspace import Workspace

NOON = datetime(2026, 3, 1, 12)


def test_a_key_is_valid_for_its_source_until_it_is_revoked(ledger: Ledger) -> None:
    web, app = create(ledger, "web", SEND, NOON), create(ledger, "app", SEND, NOON)
    assert {key.source for key in valid(every(ledger)).values()} == {"web", "app"}
    assert valid(every(ledger))[hashed(web)].source == "web"
    revoke(ledger, web[:8], NOON)
    assert list(valid(every(ledger))) == [hashed(app)]
    assert [key.revoked_at for key in every(ledger) if key.source == "web"] == [NOON]


def test_revoking_again_keeps_the_first_time(ledger: Ledger) -> None:
    key = create(ledger, "web", SEND, NOON)
    revoke(ledger, key, NOON)
    revoke(ledger, key, datetime(2027, 1, 1))
    assert every(ledger)[0].revoked_at == NOON


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_the_store_does_not_hold_the_key(shop: Workspace, ledger: Ledger) -> None:
    key = create(ledger, "web", SEND, NOON)
    stored = b"".join(path.read_bytes() for path in shop.ledger_file.parent.glob("ledger.db*"))
    assert key[:8].encode() in stored
    assert key.encode() not in stored


@pytest.mark.parametrize("source", ["", "a b", "../web", "x" * 65, "{{ 7 }}"])
def test_a_source_is_a_plain_name(ledger: Ledger, source: str) -> None:
    with pytest.raises(ValueError, match=r"^source == .* letters"):
        create(ledger, source, SEND, NOON)


def test_a_role_is_a_known_one(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"^role == 'root', must be one of \['send', 'catalog', 'decide', "):
        create(ledger, "web", "root", NOON)


def test_a_publishable_key_has_origins_and_a_secret_and_no_other_has(ledger: Ledger) -> None:
    page = create(
        ledger, "page", PUBLISHABLE, NOON, ["https://Shop.example/", "http://localhost:5173", "https://a:443"]
    )
    key = valid(every(ledger))[hashed(page)]
    assert key.origins == "https://shop.example http://localhost:5173 https://a"
    assert key.admits("https://shop.example")
    assert not key.admits("https://shop")
    assert not key.admits(None)
    assert secret_of(ledger, page) == key.secret
    assert key.secret not in repr(key)
    web = create(ledger, "web", SEND, NOON)
    with pytest.raises(ValueError, match="only a publishable one has a secret"):
        secret_of(ledger, web)
    for role, origins in ((PUBLISHABLE, []), (DECIDE, ["https://shop.example"])):
        with pytest.raises(ValueError, match=r"^role == .* with origins == "):
            create(ledger, "page", role, NOON, origins)


@pytest.mark.parametrize(
    "origin", ["*", "null", "shop.example", "https://", "https://*.example", "https://a/b", "https://a b", "ftp://a"]
)
def test_an_origin_is_what_browsers_call_one(ledger: Ledger, origin: str) -> None:
    with pytest.raises(ValueError, match=r"^origin == "):
        create(ledger, "page", PUBLISHABLE, NOON, [origin])


def test_an_unknown_key_cannot_be_revoked(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="there is no key 'nothing'"):
        revoke(ledger, "nothing", NOON)
