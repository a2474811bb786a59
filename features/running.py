"""Running: what a service at an address says of itself, one check each; for whoever cannot reach its workspace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from features.doctor import BROKEN, FINE, KINDS, STALE, STALE_RELEASE, UNCLOSED, Check, installed

SECONDS = 5.0  # that the service has for each answer
CLOCKS = 2.0  # seconds: by more, tokens and consent begin and end at the wrong moment
FAILED, FALLBACKS, SPENT = 0.01, 0.5, 0.9  # shares above which somebody should look
BEHIND = 300  # seconds: `attune work` brings features up every second
WAITING = {"journal": 10_000, "intake": 100}  # some seconds' worth of what comes on a busy day
Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]


class UnlikeError(Exception):
    """Something answers, and not as this service does."""


def asked(url: str, key: str | None, now: Callable[[], float] = time.time) -> list[Check]:
    """Every check of the service at this address; a key of the role read, where the service has keys."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"--url == {url!r}, an address such as http://127.0.0.1:3000 is needed")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    checks: list[Check] = []
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=SECONDS) as client:
            checks.append(_probe(client))
            checks += _said(client, now)
            checks += _measured(_samples(_found(client, "/metrics").text))
    except httpx.InvalidURL as error:
        raise ValueError(f"--url == {url!r}: {error}") from None
    except httpx.TimeoutException:
        checks.append(Check("service", BROKEN, f"{url}: no answer within {SECONDS:g} seconds"))
    except httpx.HTTPError as error:
        checks.append(Check("service", BROKEN, f"{url}: cannot be asked ({' '.join(str(error).split())})"))
    except UnlikeError as error:
        checks.append(Check("service", BROKEN, f"{url}{error}"))
    return checks


def _found(client: httpx.Client, path: str) -> httpx.Response:
    """The answer; in one line why there is none."""
    response = client.get(path)
    if response.status_code == 200:
        return response
    try:
        why = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        why = "is this Attune?"
    raise UnlikeError(f"{path} answers {response.status_code}: {why}")


def _probe(client: httpx.Client) -> Check:
    ready = client.get("/readyz").status_code == 200
    return Check("ready", FINE if ready else BROKEN, f"{client.base_url} {'answers' if ready else 'is not ready'}")


def _said(client: httpx.Client, now: Callable[[], float]) -> Iterator[Check]:
    """What `/v1/ready` says."""
    began = now()
    response = _found(client, "/v1/ready")
    between = (began + now()) / 2
    try:
        found = response.json()
        yield _clock(datetime.fromisoformat(found["time"]), between)
        yield _version(found["version"])
        yield from (_release(kind, found["releases"].get(kind)) for kind in KINDS)
        for kind, one in found["challengers"].items():
            yield Check(f"{kind} challenger", FINE, f"version {one['version']}, share {one['share']:g}")
        yield from (Check("refused", STALE, f"the {part}: {why}") for part, why in found["refused"].items())
        yield from (Check("degraded", STALE, why) for why in found["degraded"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnlikeError("/v1/ready does not say what this version asks for: install the same on both") from None


def _clock(theirs: datetime, ours: float) -> Check:
    ahead = theirs.astimezone(UTC).timestamp() - ours
    said = f"{abs(ahead):.1f} seconds {'ahead of' if ahead > 0 else 'behind'} this host's"
    return Check("clock", FINE if abs(ahead) <= CLOCKS else STALE, said)


def _version(theirs: str | None) -> Check:
    mine = installed()
    same = theirs == mine or theirs is None
    return Check("version", FINE if same else STALE, f"{theirs or 'not told'}" + ("" if same else f"; {mine} asks"))


def _release(kind: str, told: Mapping[str, Any] | None) -> Check:
    if told is None:
        return Check(f"{kind} release", FINE, "none")
    said, days = f"{told['name']}, version {told['version']}", told["age_days"]
    if days is None:
        return Check(f"{kind} release", FINE, said)
    state = STALE if days > STALE_RELEASE.days else FINE
    return Check(f"{kind} release", state, f"{said}, of what was known {days} days ago")


def _samples(text: str) -> Samples:
    """The values of each metric by its name."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, []).append((one.labels, one.value))
    return found


def _measured(found: Samples) -> Iterator[Check]:
    """What of the metrics looks wrong; how many requests there were where nothing does."""
    wrong = [*_stores(found), *_shares(found), *_spent(found)]
    yield from wrong
    if not wrong:
        requests = sum(value for _, value in found.get("bentoml_service_request_total", []))
        yield Check("metrics", FINE, f"{requests:,.0f} requests since the start; nothing looks wrong")


def _stores(found: Samples) -> Iterator[Check]:
    if _value(found, "attune_ledger_up") == 0:
        yield Check("ledger", BROKEN, "cannot be read: nothing is personal, no event is taken")
    if (behind := _value(found, "attune_features_behind_seconds")) > BEHIND:
        yield Check("features", STALE, f"{behind:,.0f} seconds behind; does `attune work` run?")
    if (waits := _value(found, "attune_unclosed_seconds")) > UNCLOSED.total_seconds():
        yield Check(
            "worker", STALE, f"events wait in the ledger for {waits / 86_400:.0f} days; does `attune work` run?"
        )
    for labels, value in found.get("attune_waiting", []):
        if value > WAITING.get(labels["queue"], 0):
            yield Check(labels["queue"], STALE, f"{value:,.0f} wait for the ledger")
    left = _value(found, "attune_journal_segments") - _value(found, "attune_workers")
    if left > 0:
        yield Check("journal", STALE, f"{left:.0f} more segments than workers: some await the next start")


def _shares(found: Samples) -> Iterator[Check]:
    requests, decisions = "bentoml_service_request_total", "attune_decisions_total"
    failed, every = _part(found, requests, lambda one: one["http_response_code"][0] == "5")
    if failed > FAILED * every:
        yield Check("requests", STALE, f"{failed:,.0f} of {every:,.0f} failed since the start")
    fallen, every = _part(found, decisions, lambda one: one["fallback"] == "yes")
    if fallen > FALLBACKS * every:
        yield Check("decisions", STALE, f"{fallen:,.0f} of {every:,.0f} are not the model's own since the start")


def _spent(found: Samples) -> Iterator[Check]:
    budgets = {labels["offer"]: value for labels, value in found.get("attune_offer_budget", [])}
    for labels, spent in found.get("attune_offer_spent", []):
        budget = budgets.get(labels["offer"], float("inf"))
        if spent >= SPENT * budget:
            yield Check(f"offer {labels['offer']}", STALE, f"{spent:,.2f} of {budget:,.2f} spent")


def _part(found: Samples, name: str, true: Callable[[Mapping[str, str]], bool]) -> tuple[float, float]:
    """The sum where this is true of the labels, and the whole."""
    rows = found.get(name, [])
    return sum(value for labels, value in rows if true(labels)), sum(value for _, value in rows)


def _value(found: Samples, name: str) -> float:
    """The largest value; one that nothing asks about where there is none."""
    return max((value for _, value in found.get(name, [])), default=float("nan"))
