"""The words of an experiment's report: what its verdict means, what a metric is, and how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.words import many

Said = Mapping[str, Any]
GOOD, BAD, FLAT = "good", "bad", "flat"
KINDS = {"ship": GOOD, "stop": BAD, "broken": BAD}  # by the verdict's first word; every other one is open
METHOD = (
    (
        "What one row of the tables says",
        "Everything is summed per customer first, because customers are what was drawn; then it is the mean over the "
        "customers of an arm. The difference is to the control. The interval is of 95 %: it holds the truth 95 times "
        "in 100. Difference, interval, p-value and verdict come from one test, so they never disagree.",
        "A lift is the difference relative to the control's mean. Where customers' own past is known it is taken off "
        "the difference (CUPED), so that is not exactly one mean less the other.",
    ),
    (
        "Who counts",
        "A customer is in from the first exposure, in the arm of that exposure; whoever saw two arms is left out and "
        "counted. Means and ratios count customers whose window has closed; a time is counted of all assigned, as far "
        "as it was seen. Customers who did not agree to analytics are left out.",
    ),
    (
        "Which test",
        "Means: Student's test with one variance for both arms; ratios: the same of each customer's share in them "
        "(the delta method); a time: the area between the two Kaplan-Meier curves, by everybody assigned.",
        "Secondary metrics are tested together: the adjusted p-value holds for all of them (Benjamini and Hochberg).",
    ),
    (
        "Whether the arms are as large as planned",
        "A chi-square test in all and on each day, and a sequential one day after day. Where they are not, something "
        "chose who came into which arm, and no difference between them can be believed.",
    ),
    (
        "The Bayesian view",
        "The probability that the arm is better than the control, and what shipping it loses per customer in the mean "
        "over all that may be true, from the same numbers with a weak prior. It does not protect against stopping as "
        "soon as it pleases.",
    ),
)


def kind_of(verdict: str) -> str:
    """How the verdict is shown: good, bad or flat. Of several arms' verdicts the worst counts."""
    kinds = {KINDS.get(one.split(" ", 1)[0].rstrip(":"), FLAT) for one in verdict.split("; ")}
    return next(kind for kind in (BAD, GOOD, FLAT) if kind in kinds)


def headline(verdict: str) -> tuple[str, str]:
    """The verdict in a few words, and why."""
    head, _, why = verdict.partition(": ")
    if not why:
        head, _, why = verdict.partition("; ")
    return head[:1].upper() + head[1:], why


def looks(found: Said) -> list[str]:
    """How far the test has come, in a sentence; none where no plan is known."""
    if not found.get("planned"):
        return []
    often = "looked at whenever somebody likes" if found["planned"] == "any" else many(found["planned"], "look")
    sizes = {"customer": found.get("customers"), "day": found.get("days")}
    size = next((many(count, noun) for noun, count in sizes.items() if count), "no size")
    told = f"Planned: {size}, {often}"
    told += f"; {100 * found['fraction']:.0f} % done" if found.get("fraction") is not None else ""
    told += f", the next look on {found['next']}" if found.get("next") else ""
    told += f", over on {found['end']}" if found.get("end") else ""
    return [f"{told}."]


def says(metric: Said, found: Said) -> str:
    """Whether the metric got better, worse or neither, in the direction that is better for it; or that nobody knows."""
    if found.get("untold"):
        return "cannot be told"
    lower, upper = found.get("lower"), found.get("upper")
    risen, fallen = lower is not None and lower > 0, upper is not None and upper < 0
    if not (risen or fallen):
        return "not distinguishable"
    return "better" if risen == (metric.get("better", "higher") == "higher") else "worse"


def name_of(report: Said, key: str) -> str:
    """What people call the metric."""
    told = report.get("metrics", {}).get(key, {}).get("name")
    return str(told or {"click": "Clicked what it showed"}.get(key, key))


def keys_of(report: Said) -> list[str]:
    """The metrics of the report."""
    return list(report["arms"][0]["metrics"])


def others_of(report: Said) -> list[str]:
    """The arms that are compared with the control."""
    return [arm["arm"] for arm in report["arms"][1:]]


def of_arm(report: Said, arm: str) -> str:
    """Which arm it is, where there are several."""
    return f" of {arm}" if len(others_of(report)) > 1 else ""


def times(by: float, value: float | None) -> float | None:
    """The value in the unit that it is read in."""
    return None if value is None else by * value


def unit_of(metric: Said, currency: str) -> tuple[float, str]:
    """By what a value of the metric is multiplied to be read, and its unit: shares are read in percent."""
    told = metric.get("definition", {}).get("numerator", {})
    part = told.get("sum", "count")
    if metric.get("kind") == "time":
        return 1.0, "days"
    if metric.get("kind") in ("alive", "lapsed"):
        return 100.0, "%"
    if metric.get("kind") == "return":
        return 1.0, "per unit spent"
    if part == "money":
        return 1.0, currency
    share = part == "any" or "at_least" in told or (metric.get("kind") == "ratio" and part == "count")
    return (100.0, "%") if told and share else (1.0, "")


def definition(metric: Said) -> list[str]:
    """What the metric is, in sentences; none where an older report does not hold it."""
    told = dict(metric.get("definition") or {})
    if not told:
        return []
    kind = metric["kind"]
    said = {
        "mean": f"{_measure(told['numerator'])}, per customer",
        "time": f"days until {_measure(told['numerator'])}",
        "value": f"{_measure(told['numerator'])}, and what is to be expected after the window",
        "alive": "of customers who had ordered before, the mean chance to order ever again (BG/NBD)",
        "lapsed": "of customers who had ordered before, the share whose chance to order ever again is below a half",
        "return": f"more {_measure(told['numerator'])} than the control, over more cost of offers than the control",
    }.get(kind) or f"{_measure(told['numerator'])}, over {_measure(told.get('denominator', {}))}"
    more = {
        "window_days": "within {} of the first exposure",
        "cap": "values above the quantile {} of those that are not 0 count as it",
        "before_days": "the customer's own {} before make the interval shorter",
        "margin": "unharmed where harm of {} of the control's mean is left out",
    }
    told |= {name: many(told[name], "day") for name in ("window_days", "before_days") if told.get(name)}
    told_more = [text.format(told[name]) for name, text in more.items() if told.get(name)]
    if told.get("before"):
        told_more.append("and so do, of those days, " + " and ".join(map(_measure, told["before"])))
    return ["; ".join([said, *told_more]) + f". {metric.get('better', 'higher').capitalize()} is better."]


def _measure(told: Said) -> str:
    """`Order Completed: money less Order Refunded, where channel is app`."""
    what = {"any": "whether any", "money": "money of", "quantity": "quantity of"}.get(told.get("sum", "count"))
    what = what or (f"different {told['distinct']}s of" if "distinct" in told else "count of")
    parts = [f"{what} “{told.get('event', '')}”"]
    parts += [f"less “{told['less']}”"] if "less" in told else []
    parts += [f"at least {told['at_least']}"] if "at_least" in told else []
    parts += [f"where {name} is {value}" for name, value in told.get("where", {}).items()]
    parts += ["machines too"] if told.get("machines") else []
    return ", ".join(parts)
