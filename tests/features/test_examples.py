"""The workspace to copy is what `attune init` writes, with a small catalogue beside it."""

from pathlib import Path

from features.catalog import read_catalog
from features.offers import read_offers
from features.starter import STARTER
from features.workspace import Workspace

SHOP = Path(__file__).parents[2] / "examples" / "shop"


def test_the_example_shop_is_what_init_writes() -> None:
    assert {name: (SHOP / name).read_text(encoding="utf-8") for name in STARTER} == STARTER


def test_the_example_shop_is_valid(tmp_path: Path) -> None:
    for path in (path for path in SHOP.rglob("*") if path.is_file() and ".attune" not in path.parts):
        copy = tmp_path / path.relative_to(SHOP)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    shop = Workspace.open(tmp_path)
    assert read_catalog(shop).out_of_stock.tolist() == ["teapot"]
    assert [offer.key for offer in read_offers(shop.folder)] == ["percent-10", "free-shipping"]
