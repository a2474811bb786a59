"""The workspace's settings: what is wrong is one line, and a secret is in none."""

from datetime import datetime
from pathlib import Path

import pytest

from features.doctor import checked
from features.ledger import Ledger
from features.workspace import Workspace, create

SECRET = "hunter2"  # noqa: S105  # made up, to see that it is not shown


def with_ledger(folder: Path, address: str) -> Workspace:
    shop = folder / "attune.yaml"
    shop.write_text(f"name: shop\nledger: {address}\n")
    return Workspace.open(folder)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"postgresql://attune:{SECRET}@host/shop", "holds a password; it belongs into PGPASSWORD"),
        (f"postgresql://attune@host/shop?password={SECRET}", "holds a password; it belongs into PGPASSWORD"),
        (f"mysql://attune:{SECRET}@host/shop", "does not name PostgreSQL"),
        (f"host=db password={SECRET}", "is no address"),
        (f"postgresql://attune:{SECRET}@host:port/shop", "is no address"),
    ],
)
def test_an_address_that_will_not_do_is_refused_without_showing_it(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"attune.yaml: ledger: .*{said}") as told:
        with_ledger(tmp_path, address)
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"postgresql://attune@host/shop?password={SECRET}", "holds a password; it belongs into PGPASSWORD or"),
        (f"mysql://attune:{SECRET}@host/shop", "does not name PostgreSQL"),
        (f"host=db password={SECRET}", "is no address"),
        (f"postgresql://attune:{SECRET}@host:port/shop", "is no address"),
    ],
)
def test_a_variable_that_will_not_do_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    shop = create(tmp_path / "shop")
    monkeypatch.setenv("ATTUNE_LEDGER_URL", address)
    with pytest.raises(ValueError, match=f"^ATTUNE_LEDGER_URL: {said}") as told:
        Workspace.open(shop.folder)
    assert SECRET not in str(told.value)


def test_the_variable_wins_over_the_settings_and_its_password_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTUNE_LEDGER_URL", f"postgresql://attune:{SECRET}@127.0.0.1:1/shop")
    shop = with_ledger(tmp_path, "postgresql://attune@other/shop")
    assert shop.ledger == f"postgresql://attune:{SECRET}@127.0.0.1:1/shop"
    assert shop.server == "postgresql://attune:***@127.0.0.1:1/shop"
    with pytest.raises(OSError, match=r"^postgresql://attune:\*\*\*@127") as told:
        Ledger.at(shop.ledger)
    shown = [check.found for check in checked(tmp_path, port=3000, now=datetime(2026, 1, 1))]
    assert SECRET not in " ".join([str(told.value), *shown])
    assert any("attune:***@127" in found for found in shown)


def test_a_variable_that_is_empty_names_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_LEDGER_URL", "")
    assert create(tmp_path / "shop").server is None


def test_a_variable_does_not_hide_a_ledger_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = create(tmp_path / "shop")
    shop.ledger_file.touch()
    monkeypatch.setenv("ATTUNE_LEDGER_URL", "postgresql://attune@host/shop")
    with pytest.raises(ValueError, match=r"^ATTUNE_LEDGER_URL: names a ledger, but .*ledger\.db holds one already"):
        Workspace.open(shop.folder)


def test_a_workspace_whose_ledger_is_a_file_refuses_a_server(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    shop.ledger_file.touch()
    with pytest.raises(ValueError, match=r"names a ledger, but .*ledger\.db holds one already"):
        with_ledger(shop.folder, "postgresql://attune@host/shop")


def test_without_a_server_the_ledger_is_a_file_of_the_workspace(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    assert shop.ledger == f"sqlite:///{shop.state / 'ledger.db'}"
    assert with_ledger(shop.folder, "postgresql://attune@host/shop").ledger == "postgresql://attune@host/shop"
