"""A report as it is seen: in headless Chromium, on a wide screen and on a phone."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW_MS = 180_000  # a machine that does other work beside it
WIDTHS = (1200, 390, 320)
CUT = """[...document.querySelectorAll('svg.marks')].flatMap(svg => [...svg.querySelectorAll('text')].filter(text => {
  const own = text.getBoundingClientRect(), all = svg.getBoundingClientRect();
  return own.left < all.left - 1 || own.right > all.right + 1;
}).map(text => text.textContent))"""  # words of pictures that reach over their edge
UNSEEN = """[...document.querySelectorAll('.scroll')].filter(one => one.offsetParent && one.clientWidth).filter(one =>
  one.querySelectorAll('th')[2]?.getBoundingClientRect().right > one.getBoundingClientRect().right + 1
).map(one => one.textContent.slice(0, 60))"""  # tables whose first number and its interval are seen by scrolling only


@pytest.fixture
def drawn():
    """A function: a report's path -> per width the page with all pictures drawn, offline, no wider than the screen."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield lambda path, charts: ((width, _drawn(browser, path, width, charts)) for width in WIDTHS)
        browser.close()


@pytest.fixture
def faults():
    """A function: a page -> the words that are cut, and the tables whose first numbers are not seen."""
    return lambda page: page.evaluate(CUT) + page.evaluate(UNSEEN)


def _drawn(browser, path, width, charts):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.set_default_timeout(SLOW_MS)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function(f"document.querySelectorAll('.chart[data-drawn=yes] svg.marks').length === {charts}")
    assert page.locator(".chart").count() == charts
    assert asked == [path.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    return page
