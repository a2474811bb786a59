"""Codes over HTTP: no two customers get one code, whatever worker they ask and whenever it is killed."""

import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from features.codes import codes
from features.decisions import decisions
from features.ledger import Ledger
from features.spending import spending_of
from features.workspace import Workspace
from serving.decisions.explain import explain

OFFERS = "offers: [{key: coupon, name: 10 % off, value: 20.0, cost: 0.30, stock: 1000, codes: codes/coupon.txt}]\n"
SETTINGS = "name: shop\noffers: {policy: greedy, holdout: 0}\n"
CODES = 60
ASKED = {"features": {"tenure": 1.0}}


@pytest.fixture(params=["sqlite", "postgresql"])
def pooled(request: pytest.FixtureRequest, shop: Workspace, tmp_path: Path) -> Workspace:
    """The shop with one offer that has 60 codes, on each dialect."""
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    server = f"ledger: {request.getfixturevalue('new_database')()}\n" if request.param == "postgresql" else ""
    (folder / "attune.yaml").write_text(SETTINGS + server)
    (folder / "offers.yaml").write_text(OFFERS)
    (folder / "codes").mkdir()
    (folder / "codes" / "coupon.txt").write_text("".join(f"code-{number:02}\n" for number in range(CODES)))
    return Workspace.open(folder)


def workers(client: httpx.Client) -> list[psutil.Process]:
    mine = (child for child in psutil.Process().children() if str(client.base_url.port) in child.cmdline())
    return [one for service in mine for one in service.children() if "_bentoml_impl.worker.service" in one.cmdline()]


def ask(client: httpx.Client, customer: str) -> dict | None:
    """The answer; tried again with the same key while a killed worker comes back."""
    for _ in range(200):
        with suppress(httpx.HTTPError), httpx.Client(base_url=client.base_url, timeout=30) as fresh:
            headers = {"Idempotency-Key": customer}
            answer = fresh.post("/v1/offers/select", json=ASKED | {"customer": customer}, headers=headers)
            if answer.status_code == 200:
                return answer.json()
    return None


@pytest.mark.slow
def test_no_two_customers_get_one_code_also_when_workers_are_killed(pooled: Workspace, serving) -> None:
    customers = [f"n{number:03}" for number in range(CODES + 20)]
    with serving(pooled, "--workers", "2") as client, ThreadPoolExecutor(8) as pool:
        killer = threading.Timer(0.3, lambda: os.kill(workers(client)[0].pid, signal.SIGKILL))
        killer.start()
        answers = dict(zip(customers, pool.map(lambda customer: ask(client, customer), customers), strict=True))
        killer.join()
        assert None not in answers.values()
        again = {customer: ask(client, customer) for customer in customers}
    assert again == answers
    given = {customer: answer["code"] for customer, answer in answers.items() if answer["offer"]}
    assert len(given) == len(set(given.values())) == CODES
    rest = [answer for answer in answers.values() if not answer["offer"]]
    assert {answer["fallback"] for answer in rest} == {"no code is left for the offers ['coupon']: not considered"}
    with Ledger.at(pooled.ledger).read() as connection:
        bound = dict(connection.execute(select(codes.c.customer, codes.c.code)).all())
        chosen = connection.execute(select(decisions.c.customer).where(decisions.c.chosen == '["coupon"]')).scalars()
        assert sorted(chosen) == sorted(given)
        assert spending_of(connection, ["coupon"])["coupon"].contacts == CODES
    assert bound == given
    first = next(iter(given))
    assert f"code          {given[first]}" in explain(pooled, answers[first]["decision_id"])
    (pooled.folder / "codes" / "coupon.txt").write_text("code-00\nlate\n")
    with serving(pooled) as client:  # a start loads what is new
        assert {answer["code"] for answer in [ask(client, "late"), ask(client, "too late")] if answer} == {"late", None}
        again = client.post("/v1/offers/select", json=ASKED | {"customer": first})
        assert again.json()["code"] == given[first]


def test_a_service_without_its_file_of_codes_is_refused_in_a_line(
    pooled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from serving.cli import main

    (pooled.folder / "codes" / "coupon.txt").unlink()
    with pytest.raises(SystemExit) as ended:
        main(["serve", "-w", str(pooled.folder)])
    assert ended.value.code == 2
    assert "coupon.txt: no such file; an offer of offers.yaml names it" in capsys.readouterr().err
