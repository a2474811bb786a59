"""The stored reports over HTTP: a list, pages, JSON and CSV, for who has a key or signed in with one.

The shop of `badge` (its docstring) with the report of its test, stored, and a key of each role.
"""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.keys import ADMIN, DECIDE, READ, create, hashed, named, revoke
from features.ledger import Ledger
from features.workspace import Workspace
from serving.http.sessions import ENDED, NAME, SECONDS, finish, finished, good, token
from serving.pages.links import secret_of
from serving.reports.listed import ago

CHROMIUM = Path("/usr/bin/chromium")
NOW = datetime.now(UTC)
HTML = {"accept": "text/html,application/xhtml+xml"}
BADGE, SIGN_IN, SIGN_OUT = "/reports/experiments/badge", "/reports/sign-in", "/reports/sign-out"
Serving = Callable[..., AbstractContextManager[httpx.Client]]


@dataclass(frozen=True)
class Shop:
    """The service that is asked, and its keys by their roles."""

    workspace: Workspace
    client: httpx.Client
    keys: dict[str, str]

    @property
    def ledger(self) -> Ledger:
        return Ledger.at(self.workspace.ledger)

    def get(self, path: str, role: str = READ, **more: Any) -> httpx.Response:
        return self.client.get(path, auth=(self.keys[role], ""), **more)

    def enter(self, key: str, **more: Any) -> httpx.Response:
        """Signs in; the cookie is in the answer, and not kept by the client."""
        answer = self.client.post(SIGN_IN, data={"key": key, **more})
        self.client.cookies.clear()
        return answer

    def session(self, key: str) -> str:
        return self.enter(key).headers["set-cookie"].partition(";")[0].partition("=")[2]


@pytest.fixture(scope="module")
def asked(badge_shop: Workspace, tmp_path_factory: pytest.TempPathFactory, serving: Serving) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("reports") / "shop"
    shutil.copytree(badge_shop.folder, folder)
    shop = Workspace.open(folder)
    for name in ("model-3f2c0a9b", "segments"):
        (shop.reports / f"{name}.json").write_text('{"customers": 3}')
        (shop.reports / f"{name}.html").write_text(f"<title>Page {name}</title><main>nothing</main>")
    (shop.reports / "uplift-abc.json").write_text('{"customers": 3}')
    keys = {role: create(Ledger.at(shop.ledger), role, role, NOW) for role in (READ, ADMIN, DECIDE)}
    with serving(shop) as client:
        yield Shop(shop, client, keys)


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_the_list_has_every_stored_report_with_its_verdict_and_age(asked: Shop) -> None:
    found = {one["report"]: one for one in asked.get("/reports/index.json").json()["reports"]}
    assert set(found) == {"experiments/badge", "models/3f2c0a9b", "segments", "uplift/abc"}
    badge = found["experiments/badge"]
    assert (badge["title"], badge["headline"]) == ("Experiment: badge", "Ship treatment")
    assert badge["computed_at"] == "2026-02-01T00:00:00Z"
    assert abs(badge["age_seconds"] - (datetime.now(UTC) - datetime(2026, 2, 1, tzinfo=UTC)).total_seconds()) < 60
    page = asked.get("/reports/").text
    assert all(f'href="/reports/{path}"' in page for path in found)
    assert "Ship treatment" in page
    rows = list(csv.DictReader(io.StringIO(asked.get("/reports/index.csv").text)))
    assert [row["value"] for row in rows if row["name"] == "report"] == list(found)


def test_a_link_of_the_list_shows_one_kind(asked: Shop) -> None:
    page = asked.get("/reports/?kind=models").text
    assert 'href="/reports/models/3f2c0a9b"' in page
    assert 'href="/reports/experiments/badge"' not in page
    assert said(asked.get("/reports/?kind=dreams")) == (400, "bad_request")


def test_a_report_is_answered_as_page_json_and_csv_with_the_same_numbers(asked: Shop) -> None:
    page, numbers, table = (asked.get(f"{BADGE}{ending}") for ending in ("", ".json", ".csv"))
    stored = json.loads((asked.workspace.reports / "experiment-badge.json").read_text())
    found = numbers.json()
    assert found.pop("age_seconds") > 0
    assert found == stored
    assert table.text == (asked.workspace.reports / "experiment-badge.csv").read_text()
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.search(r"computed [\d,]+ days? ago", page.text)
    inserted = re.search(r"<style>form.*?</nav>", page.text)
    assert inserted
    stored_page = (asked.workspace.reports / "experiment-badge.html").read_text()
    assert page.text.replace(inserted[0], "<main>") == stored_page


@pytest.mark.parametrize(
    "path",
    [
        "/reports/experiments/nothing",
        "/reports/experiments/badge.html",
        "/reports/experiments/..%2fexperiment-badge",
        "/reports/experiments/.secret",
        "/reports/models/none.json",
        "/reports/uplift/abc",  # its page was never written
        "/reports/campaigns/spring",
        "/reports/impact",
        "/reports/journey.csv",
        "/reports/nothing",
        "/reports/index",
        "/reports/a/b/c",
    ],
)
def test_what_is_not_stored_is_404_in_one_line(asked: Shop, path: str) -> None:
    answer = asked.get(path)
    assert answer.status_code == 404
    assert "\n" not in answer.json()["message"]


@pytest.mark.parametrize("held", ['{"a": 1', "", "[1]", "[" * 100_000])
def test_a_stored_report_that_cannot_be_read_is_told_in_one_line(asked: Shop, held: str) -> None:
    path = asked.workspace.reports / "experiment-broken.json"
    path.write_text(held)
    try:
        for form in (".json", ".csv"):
            answer = asked.get(f"/reports/experiments/broken{form}")
            assert said(answer) == (503, "broken_report")
            assert str(asked.workspace.folder) not in answer.text
        assert asked.get("/reports/").status_code == 200
    finally:
        path.unlink()


@pytest.mark.parametrize("held", ['{"a": 1', "[1]", "{}", "[" * 100_000])
def test_so_is_that_of_a_test_asked_for_by_an_app(asked: Shop, held: str) -> None:
    path = asked.workspace.reports / "experiment-badge.json"
    whole = path.read_text()
    path.write_text(held)
    try:
        assert said(asked.get("/v1/experiments/badge/report")) == (503, "broken_report")
    finally:
        path.write_text(whole)


def test_a_person_who_follows_a_dead_link_sees_a_page(asked: Shop) -> None:
    cookie = {"cookie": f"{NAME}={asked.session(asked.keys[READ])}"}
    for path, status in (
        ("/reports/experiments/gone", 404),
        ("/reports/?kind=dreams", 400),
        ("/reports/nothing", 404),
        ("/reports/a/b/c", 404),
    ):
        answer = asked.client.get(path, headers=HTML | cookie)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert 'href="/reports/"' in answer.text
        assert asked.client.get(path, headers=cookie).json()["code"]
    escaped = asked.client.get("/reports/experiments/%3Cimg%20src=x%3E", headers=HTML | cookie).text
    assert "<img" not in escaped
    assert "&lt;img" in escaped


@pytest.mark.parametrize("path", ["/reports/", BADGE, "/reports/segments", SIGN_OUT, "/reports/models/3f2c0a9b"])
def test_another_method_is_not_allowed(asked: Shop, path: str) -> None:
    answer = asked.client.delete(path, auth=(asked.keys[READ], ""))
    assert said(answer) == (405, "not_allowed")


def test_the_bare_path_leads_to_the_list(asked: Shop) -> None:
    answer = asked.client.get("/reports")
    assert (answer.status_code, answer.headers["location"]) == (307, "/reports/")


def test_programs_ask_with_a_key_and_without_are_told_so(asked: Shop) -> None:
    for path in ("/reports/", BADGE, "/reports/segments.json"):
        assert asked.get(path, ADMIN).status_code == 200
        assert said(asked.get(path, DECIDE)) == (403, "wrong_role")
        answer = asked.client.get(path)
        assert said(answer) == (401, "no_key")
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_browser_without_a_session_is_shown_the_form_and_led_back(asked: Shop) -> None:
    answer = asked.client.get(f"{BADGE}?x=1", headers=HTML)
    assert answer.status_code == 303
    form = asked.client.get(answer.headers["location"])
    assert form.status_code == 200
    assert f'name="next" value="{BADGE}?x=1"' in form.text
    assert "script" not in form.text
    entered = asked.enter(asked.keys[READ], next=f"{BADGE}?x=1")
    assert (entered.status_code, entered.headers["location"]) == (303, f"{BADGE}?x=1")


def test_a_session_holds_no_key_and_only_this_service_reads_it(asked: Shop) -> None:
    cookie = asked.enter(asked.keys[READ]).headers["set-cookie"]
    assert asked.keys[READ][8:] not in cookie  # the first characters name a key in every list
    assert hashed(asked.keys[READ]) not in cookie
    told = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert told == {"httponly", "samesite=strict", "path=/reports", f"max-age={SECONDS}"}
    answer = asked.client.post(
        SIGN_IN, data={"key": asked.keys[READ]}, headers={"x-forwarded-proto": "https", "sec-fetch-site": "same-origin"}
    )
    asked.client.cookies.clear()
    assert "secure" in answer.headers["set-cookie"].lower()


def test_a_session_reads_reports_and_nothing_else(asked: Shop) -> None:
    cookie = {"cookie": f"{NAME}={asked.session(asked.keys[READ])}"}
    for path in ("/reports/", BADGE, f"{BADGE}.csv", "/reports/signals"):
        assert asked.client.get(path, headers=cookie | HTML).status_code == 200, path
    for path in ("/metrics", "/v1/ready", "/v1/experiments/badge/report"):
        assert asked.client.get(path, headers=cookie).status_code == 401, path


@pytest.mark.parametrize("role", [DECIDE, None])
def test_a_key_that_may_not_read_is_not_signed_in(asked: Shop, role: str | None) -> None:
    answer = asked.enter("nonsense" if role is None else asked.keys[role])
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "no key that may read" in answer.text
    assert "www-authenticate" not in answer.headers


def test_a_session_ends_with_its_key(asked: Shop) -> None:
    key = create(asked.ledger, "leaver", READ, NOW)
    cookie = {"cookie": f"{NAME}={asked.session(key)}"}
    assert asked.client.get(BADGE, headers=cookie).status_code == 200
    revoke(asked.ledger, key, NOW)
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while asked.client.get(BADGE, headers=cookie).status_code == 200:
        assert datetime.now(UTC) < deadline
    assert asked.client.get(BADGE, headers=cookie | HTML).status_code == 303


def test_a_session_that_was_changed_or_has_ended_is_none(asked: Shop) -> None:
    key, secret, now = named(asked.ledger, asked.keys[READ]), secret_of(asked.workspace), NOW.timestamp()
    whole = token(secret, key, int(now) + 60)
    assert good(secret, key, whole, now)
    for place in range(len(whole)):
        other = whole[:place] + ("1" if whole[place] != "1" else "2") + whole[place + 1 :]
        assert other == whole or not good(secret, key, other, now) or other.split(".")[0] != key.id
    later = whole.replace(str(int(now) + 60), str(int(now) + 600))
    assert token(secret, key, int(now) + 60) != whole  # of one second, and yet each its own
    for text in (
        token(b"another", key, int(now) + 60),
        token(secret, key, int(now)),
        later,
        "",
        "a.b.c",
        "." * 9,
        f"{key.id}.é.x.y",
    ):
        assert not good(secret, key, text, now)
        assert said(asked.client.get(BADGE, headers={b"cookie": f'{NAME}="{text}"'.encode()})) == (401, "no_key")


@pytest.mark.parametrize(
    "back",
    ["https://evil.example/", "//evil.example", "/reports//evil.example", "/reports/../v1", "/v1/docs", "/reports/\\e",
     "/reports/x\r\nset-cookie: a=b", "javascript:alert(1)", SIGN_IN, ""],
)  # fmt: skip
def test_the_form_leads_to_reports_only(asked: Shop, back: str) -> None:
    assert asked.enter(asked.keys[READ], next=back).headers["location"] == "/reports/"
    form = asked.client.get(SIGN_IN, params={"next": back}).text
    assert 'name="next" value="/reports/"' in form


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_a_form_of_somebody_elses_page_signs_nobody_in_or_out(asked: Shop, headers: dict[str, str]) -> None:
    for path in (SIGN_IN, SIGN_OUT):
        answer = asked.client.post(path, data={"key": asked.keys[READ]}, headers=headers)
        assert said(answer) == (403, "wrong_origin")
        assert "set-cookie" not in answer.headers


def test_signing_out_takes_the_cookie_back(asked: Shop) -> None:
    answer = asked.client.post(SIGN_OUT)
    assert (answer.status_code, answer.headers["location"]) == (303, SIGN_IN)
    assert re.match(f'{NAME}=""; ', answer.headers["set-cookie"])
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_who_signs_out_ends_every_copy_of_the_session_and_no_other(asked: Shop) -> None:
    ended, other = (asked.session(asked.keys[READ]) for _ in range(2))
    headers = {one: {"cookie": f"{NAME}={one}"} for one in (ended, other)}
    for _ in range(2):  # a second time is no fault
        assert asked.client.post(SIGN_OUT, headers=headers[ended] | HTML).status_code == 303
        asked.client.cookies.clear()
    assert said(asked.client.get(BADGE, headers=headers[ended])) == (401, "no_key")
    assert asked.client.get(BADGE, headers=headers[other]).status_code == 200
    again = asked.session(asked.keys[READ])
    assert asked.client.get(BADGE, headers={"cookie": f"{NAME}={again}"}).status_code == 200
    assert finished(Workspace.open(asked.workspace.folder), ended)  # any worker's workspace
    assert not finished(asked.workspace, other)


def test_only_a_session_of_ours_is_noted_as_ended_and_not_for_ever(asked: Shop) -> None:
    folder = asked.workspace.state / ENDED
    forged = f"{asked.session(asked.keys[READ])[:-1]}x"
    before = set(folder.glob("*"))
    asked.client.post(SIGN_OUT, headers={"cookie": f"{NAME}={forged}"})
    asked.client.post(SIGN_OUT, headers={"cookie": f"{NAME}={asked.keys[READ][:8]}.9999999999.../../../x.y"})
    assert set(folder.glob("*")) == before
    now = time.time()  # a file is as old as it really is
    finish(asked.workspace, "key.1.first.signature", now)
    finish(asked.workspace, "key.1.second.signature", now + SECONDS + 60)
    assert {one.name for one in folder.iterdir()} == {"second"}


def test_who_signs_in_too_often_is_told_to_wait_as_with_every_key(asked: Shop) -> None:
    slow = create(asked.ledger, "slow", READ, NOW, per_second=2)
    answers = [asked.enter(slow) for _ in range(12)]
    assert {one.status_code for one in answers} == {303, 429}


def test_a_page_is_told_to_run_its_own_scripts_and_to_ask_nobody(asked: Shop) -> None:
    told = asked.get(BADGE).headers["content-security-policy"]
    assert re.search(r"script-src 'sha256-[^']+' 'sha256-[^']+';", told)
    assert told.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in told
    assert "script-src 'none'" in asked.get("/reports/segments").headers["content-security-policy"]


def test_no_key_and_no_session_is_in_the_log(asked: Shop) -> None:
    session = asked.session(asked.keys[READ])
    log = "".join(path.read_text() for path in asked.workspace.state.glob("service-*.log"))
    assert session not in log
    assert asked.keys[READ] not in log


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "just now"), (60, "1 minute ago"), (7_300, "2 hours ago"), (86_400 * 1_000, "1,000 days ago")],
)
def test_an_age_is_said_in_words(seconds: int, words: str) -> None:
    assert ago(seconds) == words


@pytest.mark.browser
def test_an_analyst_signs_in_once_and_reads_a_drawn_page(asked: Shop) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    host = str(asked.client.base_url).rstrip("/")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        asked_for: list[str] = []
        told: list[str] = []
        tab.on("request", lambda request: asked_for.append(request.url))
        tab.on("console", lambda message: told.append(message.text))
        tab.goto(f"{host}/reports")
        tab.get_by_label("key").fill(asked.keys[READ])
        tab.get_by_role("button", name="Sign in").click()
        tab.get_by_role("link", name="Experiments").click()
        assert tab.get_by_role("link", name="Page segments").count() == 0
        tab.get_by_role("link", name="Experiment: badge").click()
        tab.wait_for_function("document.querySelectorAll('.chart[data-drawn=yes] svg.marks').length === 7")
        assert tab.url == f"{host}{BADGE}"
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.evaluate("document.cookie") == ""
        tab.get_by_role("link", name="Who came in").click()
        assert tab.url.endswith("#who-came-in")
        tab.get_by_role("link", name="All reports").click()
        tab.get_by_role("button", name="Sign out").click()
        tab.goto(f"{host}{BADGE}")
        assert tab.get_by_role("button", name="Sign in").count() == 1
        assert told == []
        assert {url for url in asked_for if not url.startswith(host)} == set()
        browser.close()
