"""The workspace's settings: what is wrong is one line, and a secret is in none."""

from pathlib import Path

import pytest

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


def test_a_workspace_whose_ledger_is_a_file_refuses_a_server(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    shop.ledger_file.touch()
    with pytest.raises(ValueError, match=r"names a ledger, but .*ledger\.db holds one already"):
        with_ledger(shop.folder, "postgresql://attune@host/shop")


def test_without_a_server_the_ledger_is_a_file_of_the_workspace(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    assert shop.ledger == f"sqlite:///{shop.state / 'ledger.db'}"
    assert with_ledger(shop.folder, "postgresql://attune@host/shop").ledger == "postgresql://attune@host/shop"
