"""The policy value table, for the page of a report and for the terminal: what each policy would have earned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.offers import read_offers
from features.workspace import Workspace
from training.pipelines.policy import OURS
from training.reports.page import Page, interval, shown, signed
from training.reports.policy_figures import policy_figures
from training.reports.runs import kept, starting
from training.reports.uplift_figures import Evidence
from training.reports.uplift_words import FLAT

Figures = dict[str, Any]
ESTIMATES = {"ips": "IPS", "snips": "SNIPS", "direct": "the models’ own word"}


def told(workspace: Workspace, runs: Sequence[str]) -> list[str]:
    """The tables of these uplift runs, as lines; of the newest where none is named."""
    known, listed = kept(workspace, "oof.npz", "uplift"), read_offers(workspace.folder)
    folders = [starting(known, run, workspace, "run") for run in runs] or known[-1:]
    found = []
    for folder in folders:
        evidence = Evidence.read(folder)
        figures = policy_figures(evidence.oof, listed, workspace.settings.currency)
        found += [f"{evidence.evaluation['log']}, run {folder.name[:8]}: {unit(figures)}", *lines(figures)]
    return found


def unit(found: Figures) -> str:
    """In what the values are told."""
    return f"{found['currency']} per 1,000 customers"


def lines(found: Figures) -> list[str]:
    """The warnings, the table and what it stands on, for the terminal."""
    head = f"  {'policy':<22} {'offered':>7} {'value':>9}  {'95 % interval':<20} {'gain of ours':>12}  95 % interval"
    return [*(f"  {line}" for line in warnings_of(found)), head, *(_line(one) for one in found["policies"])]


def verdict_of(found: Figures) -> str:
    """How ours compares with each other policy, in one sentence."""
    said = []
    for one in (one for one in found["policies"] if one["gain"]):
        gain = one["gain"]
        than = "from" if gain["verdict"] == FLAT else "than"
        around = f"{_signed(gain['value'])}, 95 % interval {interval(gain['lower'], gain['upper'])}"
        said.append(f"{gain['verdict']} {than} {one['policy']} ({around})")
    return f"It is {', '.join(said)}."


def _line(one: Figures) -> str:
    share, name = f"{100 * one['offered']:.0f} %", one["policy"]
    start = f"  {name:<22} {share:>7} {shown(one['value']):>9}  {interval(one['lower'], one['upper']):<20}"
    if (gain := one["gain"]) is None:
        return start.rstrip()
    return f"{start} {_signed(gain['value']):>12}  {interval(gain['lower'], gain['upper'])}  {gain['verdict']}"


def warnings_of(found: Figures) -> list[str]:
    """What speaks against believing the values, and which are assumed."""
    said = [_doubt(one) for one in found["policies"] if one["poor"]]
    if found["unlisted"]:
        names = ", ".join(found["unlisted"])
        said.append(f"offers.yaml does not name {names}: an outcome counts as 1, and the offer costs nothing.")
    if found["limited"]:
        names = ", ".join(found["limited"])
        said.append(f"offers.yaml gives {names} to some customers only (eligible); here all of the log could have it.")
    return said


def _doubt(one: Figures) -> str:
    reasons = [f"the log says as much of it as {shown(one['effective'])} rows of {shown(one['rows'])} would"]
    if one["outside"]:
        reasons.append(f"{100 * one['outside']:.0f} % of what it gives was never given where it would be")
    reasons.append(f"the weightiest row carries {100 * one['largest_share']:.1f} % of all weight")
    return f"Poor overlap of “{one['policy']}”: {'; '.join(reasons)}."


def section(page: Page, found: Figures) -> None:
    """The table, the estimates side by side, and the price of knowing; the warnings stand at the top of the page."""
    page.section(
        "What each policy would earn",
        f"In {unit(found)}, had the policy decided for everybody in the log. “{OURS.capitalize()}” gives each customer "
        "the offer with the highest value × predicted effect − costs, or none. No policy is valued on customers it "
        "learned from; a gain is the paired difference on the same customers.",
    )
    page.text(verdict_of(found))
    page.table([_row(one) for one in found["policies"]], words=("says",))
    page.table([_estimates(one) for one in found["policies"]], summary="Other estimates of the same, and the overlap")
    page.table(found["offers"], summary="What the offers are worth, and in how many folds each was the best single one")
    _price(page, found)


def _row(one: Figures) -> dict[str, Any]:
    gain = one["gain"] or {"value": None, "lower": None, "upper": None, "verdict": "–"}
    return {
        "policy": one["policy"],
        "value": one["value"],
        "95 % interval": interval(one["lower"], one["upper"]),
        "offered %": 100 * one["offered"],
        "ours against it": _signed(gain["value"]),
        "its 95 % interval": interval(gain["lower"], gain["upper"]),
        "says": gain["verdict"],
    }


def _estimates(one: Figures) -> dict[str, Any]:
    cells: dict[str, Any] = {"policy": one["policy"], "doubly robust": one["value"]}
    for name, words in ESTIMATES.items():
        other = one["beside"].get(name, {"value": None, "lower": None, "upper": None})
        cells |= {words: other["value"], f"{words}: interval": interval(other["lower"], other["upper"])}
    return cells | {"worth rows": one["effective"], "largest weight": one["largest"], "outside": one["outside"]}


def _price(page: Page, found: Figures) -> None:
    page.subsection(
        "The price of knowing",
        "A holdout never gets an offer; exploration draws decisions evenly. Both cost what the choice would have earned"
        f" there ({unit(found)}), and buy an interval of what the whole campaign earned: the narrower, the better it "
        "is known. The width is for a campaign as large as this log, with its variance.",
    )
    page.table(
        [
            {
                "kept apart": f"{100 * one['share']:g} % {one['kind']}",
                "costs": one["value"],
                "95 % interval": interval(one["lower"], one["upper"]),
                "width it buys": one["width"],
            }
            for one in found["price"]
        ]
    )


def _signed(value: float | None) -> str:
    return shown(None) if value is None else signed(value)
