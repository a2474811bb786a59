"""Files of items: the shop's own, and Google Merchant feeds; half a file changes nothing."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from features.catalog import read_catalog
from features.importing import import_catalog
from features.items import live_items, newest
from features.ledger import Ledger
from features.sources import catalog_files
from features.sources.catalog_files import read
from features.workspace import Settings, Workspace, create

NOW = datetime(2026, 3, 1)
RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>The shop</title><link>https://shop.example</link>
<item><g:id>tea</g:id><title>Green tea &amp; more</title><g:product_type>Drinks &gt; Tea</g:product_type>
<link>https://shop.example/tea</link><g:image_link>https://shop.example/tea.jpg</g:image_link>
<g:price>4.50 EUR</g:price><g:availability>in_stock</g:availability><g:brand>Leaf</g:brand>
<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping></item>
<item><g:id>jam</g:id><g:title>Jam</g:title><title>not Google's</title><g:price>3.00 EUR</g:price>
<g:sale_price>2.00 EUR</g:sale_price><g:availability>out of stock</g:availability></item>
</channel></rss>
"""
ATOM = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>The shop</title>
<entry><id>tag:x</id><g:id>tea</g:id><title>Green tea</title><link href="https://shop.example/tea"/>
<g:price>4.50 EUR</g:price><g:availability>preorder</g:availability></entry></feed>
"""
TSV = "id\ttitle\tprice\tavailability\timage link\ntea\tGreen tea\t4.50 EUR\tin_stock\thttps://shop.example/t.jpg\n"
OWN = "item,name,price,stock,weight,image\ntea,Green tea,4.5,,100,\njam,Jam,3,0,250,https://shop.example/j.jpg\n"
BILLION = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<rss><channel><item><id>&b;</id></item></channel></rss>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<rss><channel><item><id>&f;</id></item></channel></rss>"""
SETTINGS = Settings(name="shop", rates={"USD": 0.5})


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "feed"
    path.write_text(text)
    return path


def fields(tmp_path: Path, text: str) -> dict[str, dict[str, object]]:
    found = read(file(tmp_path, text), SETTINGS)
    assert not found.rejected
    return {one.item: one.fields() for one in found.items}


def test_an_rss_feed_becomes_our_fields(tmp_path: Path) -> None:
    found = fields(tmp_path, RSS)
    assert found["tea"] == {
        "name": "Green tea & more",
        "category": "Drinks > Tea",
        "link": "https://shop.example/tea",
        "image": "https://shop.example/tea.jpg",
        "price": 4.5,
        "stock": None,
        "brand": "Leaf",
    }
    assert found["jam"] == {"name": "Jam", "price": 2.0, "stock": 0.0}


def test_an_atom_feed_becomes_our_fields(tmp_path: Path) -> None:
    link = "https://shop.example/tea"
    assert fields(tmp_path, ATOM) == {"tea": {"name": "Green tea", "link": link, "price": 4.5, "stock": None}}


def test_a_feed_as_tsv_becomes_our_fields(tmp_path: Path) -> None:
    image = "https://shop.example/t.jpg"
    assert fields(tmp_path, TSV) == {"tea": {"name": "Green tea", "price": 4.5, "stock": None, "image": image}}


def test_a_csv_of_our_columns_keeps_numbers_of_its_own(tmp_path: Path) -> None:
    found = fields(tmp_path, OWN)
    assert found["tea"] == {"name": "Green tea", "price": 4.5, "stock": None, "weight": 100.0, "image": None}
    assert found["jam"]["stock"] == 0.0


def test_a_price_in_another_currency_takes_its_rate(tmp_path: Path) -> None:
    assert fields(tmp_path, TSV.replace("4.50 EUR", "4.50 USD"))["tea"]["price"] == 2.25


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TSV.replace("4.50 EUR", "4.50 GBP"), "its currency has no rate"),
        (TSV.replace("4.50 EUR", "4,50 EUR"), "must be one like '15.00 EUR'"),
        (TSV.replace("https", "data"), "must be an address"),
        (OWN.replace("4.5", "dear"), "price == 'dear'"),
        (OWN.replace("tea,", ",", 1), "item == ''"),
    ],
)
def test_a_row_that_is_no_item_is_named_and_the_others_are_taken(tmp_path: Path, text: str, reason: str) -> None:
    other = "jam,Jam,3,0,250,\n" if text.startswith("item") else "jam\tJam\t3 EUR\tin_stock\t\n"
    found = read(file(tmp_path, text.partition("\njam")[0].rstrip("\n") + "\n" + other), SETTINGS)
    assert [one.item for one in found.items] == ["jam"]
    assert reason in found.rejected[0]["reason"]


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return create(tmp_path / "shop")


@pytest.mark.parametrize("text", [RSS, ATOM, TSV + TSV.partition("\n")[2].replace("tea", "jam"), OWN])
def test_half_a_file_is_refused_whole_wherever_it_ends(shop: Workspace, tmp_path: Path, text: str) -> None:
    import_catalog(shop, str(file(tmp_path, text)), NOW)
    ledger = Ledger.at(shop.ledger)
    before, version = live_items(ledger), newest(ledger)
    end = text.index("\n", text.index("\n") + 1) if text.startswith("<") else text.index("\n") + 1
    for cut in range(end + 1, len(text) - 1, 7):
        half = text[:cut].replace("Green", "Black").replace("4.50", "9.99").replace("4.5,", "9.9,")
        if not text.startswith("<") and half.endswith("\n"):
            continue  # whole lines are a whole file
        with pytest.raises(ValueError, match="nothing was imported"):
            import_catalog(shop, str(file(tmp_path, half)), NOW)
    assert (live_items(ledger), newest(ledger)) == (before, version)


@pytest.mark.parametrize("text", [BILLION, OUTSIDE])
def test_a_feed_with_entities_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="has a document type, which a feed has no use for; nothing was imported"):
        read(file(tmp_path, text), SETTINGS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no row"),
        (b"\x00\x01\x02\n", "'id' and 'title' are needed|holds no row|line contains NUL"),
        (b"item,price\ntea,1,2\n", "line 2 has 3 fields, the header 2"),
        (b"item,item\ntea,tea\n", "names a column twice"),
        (b'item,name\ntea,"Tea\n', "unexpected end of data"),
        (b"item,name\ntea,\xff\n", "can't decode"),
        (b"<html><body>Not found</body></html>", "holds no item"),
        (b"<a>" * 60, "nested more than 50 deep"),
        (b'<?xml version="1.0" encoding="no-such"?><rss/>', "nothing was imported"),
    ],
)
def test_what_is_no_file_of_items_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "feed"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as told:
        read(path, SETTINGS)
    assert "\n" not in str(told.value)


def test_an_import_says_what_it_read_changed_and_rejected(shop: Workspace, tmp_path: Path) -> None:
    path = file(tmp_path, OWN + "bun,Bun,cheap,,1,\n")
    said = import_catalog(shop, str(path), NOW)
    assert said.startswith("catalog: 3 rows read, 2 stored\n")
    assert "rejected          1  price == 'cheap'" in said
    assert "2  as they were" in import_catalog(shop, str(path), NOW)
    assert read_catalog(shop).out_of_stock.tolist() == ["jam"]


@contextmanager
def answering(content: bytes, length: int, status: int = 200) -> Iterator[str]:
    """A web server that promises so many bytes."""

    class Feed(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *told: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Feed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/feed.xml"
        server.shutdown()


def test_a_feed_is_read_from_its_address(shop: Workspace) -> None:
    with answering(RSS.encode(), len(RSS.encode())) as address:
        import_catalog(shop, address, NOW)
    assert read_catalog(shop).out_of_stock.tolist() == ["jam"]


@pytest.mark.parametrize("missing", [1, 400])
def test_an_answer_that_breaks_off_changes_nothing(shop: Workspace, missing: int) -> None:
    content = OWN.encode() * (1 if missing == 1 else 50)
    with answering(content[:-missing], len(content)) as address, pytest.raises(OSError, match="nothing was imported"):
        import_catalog(shop, address, NOW)
    assert not live_items(Ledger.at(shop.ledger))


def test_an_address_that_answers_no_feed_is_one_line(shop: Workspace) -> None:
    with answering(b"gone", 4, 404) as address, pytest.raises(OSError, match="answered 404; nothing was imported"):
        import_catalog(shop, address, NOW)
    with answering(b"<a/>", 4) as address, pytest.raises(ValueError, match=f"^{address}: holds no item"):
        import_catalog(shop, address, NOW)


@pytest.mark.parametrize("text", [RSS, OWN.rstrip()])
def test_a_feed_that_is_gzip_is_inflated_and_half_of_it_is_refused(shop: Workspace, tmp_path: Path, text: str) -> None:
    packed = gzip.compress(text.encode())
    (path := tmp_path / "feed.gz").write_bytes(packed[:-12])
    with pytest.raises(ValueError, match=f"^{path}: is no whole gzip: .*; nothing was imported$"):
        import_catalog(shop, str(path), NOW)
    with answering(packed, len(packed)) as address:
        import_catalog(shop, address, NOW)
    assert read_catalog(shop).out_of_stock.tolist() == ["jam"]


def test_a_feed_that_inflates_to_too_much_is_refused(
    shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_files, "MAX_FEED", 1 << 20)
    (path := tmp_path / "feed.gz").write_bytes(gzip.compress(bytes(1 << 22)))
    with pytest.raises(ValueError, match=f"^{path}: inflates to more than the 1,048,576 bytes that are taken$"):
        import_catalog(shop, str(path), NOW)
