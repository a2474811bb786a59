"""Verdict: what to do with each arm, in words, from what its metrics say.

broken            the arms are not as large as planned: no number is to be believed
keep going        too few windows have closed, or the planned size is not reached and nothing is certain yet
stop ARM          a guardrail got worse, or a primary metric and none got better
ship ARM          a primary metric got better and none worse; with which guardrails are not shown to be unharmed
weigh ARM         one got better and another worse
not distinguishable   none did, with how large the effect on the first can still be
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.words import many
from serving.experiments.looks import DAY, LATELY, Looks
from serving.experiments.metrics import Metric
from serving.experiments.moments import MIN_CUSTOMERS

if TYPE_CHECKING:
    from serving.experiments.gathered import Gathered

Said = Mapping[str, Any]
BETTER, WORSE = "better", "worse"
WHOLE = 1_000  # from here on decimals say nothing


def effect(metric: Metric, found: Said) -> str | None:
    """Whether the metric got better or worse, its interval leaving out 0; None within noise."""
    lower, upper = found.get("lower"), found.get("upper")
    risen, fallen = lower is not None and lower > 0, upper is not None and upper < 0
    if not (risen or fallen):
        return None
    return BETTER if risen == (metric.better == "higher") else WORSE


def unharmed(metric: Metric, found: Said, control: Said) -> bool | None:
    """Of a guardrail: whether its lift's interval leaves out a harm of the margin or more; None where nobody can say.

    Of the lift, because the control's mean is an estimate too: a share of it, beside the interval of the difference,
    let 6 % of tests pass that had a harm of a margin of a half, with a holdout of 5 %, where 2.5 % may. A time has no
    lift; its mean is known far better than that.
    """
    higher = metric.better == "higher"
    worst, mean = found.get("lower" if higher else "upper"), control["mean"]
    if metric.margin is None or worst is None or not mean:
        return None
    lift = worst / abs(mean) if metric.kind == "time" else found.get("lift_lower" if higher else "lift_upper")
    return lift is not None and bool((-lift if higher else lift) < metric.margin)


def judged(gathered: Gathered, arms: Sequence[Said], ratio: Said) -> str:
    """The verdict of a report, whatever it is that decides it."""
    if not ratio["as_planned"]:
        return f"broken: the arms are not as large as planned, so no number here is to be believed ({ratio['why']})"
    looks, experiment = gathered.looks, gathered.experiment
    invited = [arm for arm, share in experiment.arms.items() if share > 0]
    if min(map(gathered.closed, invited)) < MIN_CUSTOMERS:
        return _early(looks)
    if looks.sized and looks.planned == 1 and not looks.over(looks.window):
        return f"keep going: {until(looks)}"
    return verdict(
        arms, gathered.known, primary=gathered.primary, guardrails=experiment.guardrails, further=further(looks)
    )


def _early(looks: Looks) -> str:
    first = looks.firsts[0].astype("datetime64[us]").item() + looks.window
    window = f"the {many(looks.window.days, 'day')} in which a customer counts"
    return f"keep going: {window} are over for too few; the first end on {first:%Y-%m-%d %H:%M} UTC"


def further(looks: Looks) -> str | None:
    """How much longer, of a test that may go on; None where its planned size is reached, or nobody comes any more."""
    if looks.over(looks.window):
        return None
    if looks.sized:
        return until(looks)
    if looks.closes is not None:
        return _days(looks.now, looks.closes + looks.window)
    half = looks.reached(4 * looks.closed(looks.window), looks.window)  # four times as many halve an interval
    return f"{_days(looks.now, half)} and the interval is half as wide" if half else None


def until(looks: Looks) -> str:
    """How much longer it takes until the planned size is reached, with customers coming as of late."""
    plan, closed = looks.plan, looks.closed(looks.window)
    planned = many(plan.customers, "customer") if plan and plan.customers else many((plan and plan.days) or 0, "day")
    done = f"{planned} are planned, and the windows of {many(closed, 'customer')} have closed"
    if looks.end is not None:
        return f"{_days(looks.now, looks.end)}; {done}"
    if looks.closes is not None:
        return f"{_days(looks.now, looks.closes + looks.window)}, with fewer customers than planned; {done}"
    return f"nobody came in the last {LATELY.days} days, so when it ends cannot be said; {done}"


def _days(now: datetime, moment: datetime) -> str:
    days = max(1, math.ceil((moment - now) / DAY))
    return f"about {days:,} more day{'s' if days > 1 else ''}, until {moment:%Y-%m-%d}"


def verdict(
    arms: Sequence[Said],
    metrics: Mapping[str, Metric],
    *,
    primary: Sequence[str],
    guardrails: Sequence[str],
    further: str | None = None,
) -> str:
    """The verdict on every arm but the control, which is the first. `further`: how much longer the test may go on."""
    return "; ".join(_of_arm(arm, metrics, primary, guardrails, further) for arm in arms[1:])


def _of_arm(
    arm: Said, metrics: Mapping[str, Metric], primary: Sequence[str], guardrails: Sequence[str], further: str | None
) -> str:
    name, told = arm["arm"], arm["metrics"]
    effects = {key: effect(metrics[key], told[key]) for key in (*primary, *guardrails) if key in told}
    harmed = [key for key in guardrails if effects.get(key) == WORSE]
    better, worse = ([key for key in primary if effects.get(key) == one] for one in (BETTER, WORSE))
    if harmed:
        return f"stop {name}: {_list(_words(key, told[key], WORSE) for key in harmed)}"
    if better and worse:
        both = [*((key, BETTER) for key in better), *((key, WORSE) for key in worse)]
        return f"weigh {name}: {_list(_words(key, told[key], one) for key, one in both)}"
    if worse:
        return f"stop {name}: {_list(_words(key, told[key], WORSE) for key in worse)}"
    if better:
        unshown = _list(_unshown(key, metrics[key], told[key]) for key in guardrails if _open(told.get(key, {})))
        return f"ship {name}: {_list(_words(key, told[key], BETTER) for key in better)}{unshown and ', but ' + unshown}"
    return _undecided(name, told, primary, further)


def _undecided(name: str, told: Mapping[str, Said], primary: Sequence[str], further: str | None) -> str:
    known = [key for key in primary if told.get(key, {}).get("lower") is not None]
    untold = [key for key in primary if told.get(key, {}).get("untold")]
    within = f"; the effect on {known[0]} is {_between(told[known[0]])}" if known else ""
    if untold and not known:
        within = f": {untold[0]} cannot be tested: {told[untold[0]]['untold']}"
    if further is None:
        return f"{name} is not distinguishable from the control{within}"
    return f"keep going with {name}: {further}{within}"


def _open(found: Said) -> bool:
    """Whether a guardrail was tested, and the harm that is taken is not out of reach."""
    return found.get("lower") is not None and not found.get("unharmed", True)


def _unshown(key: str, metric: Metric, found: Said) -> str:
    if metric.margin is None:
        return f"{key} has no margin, so that it is unharmed is not shown"
    return f"that {key} is worse by less than {metric.margin:.0%} is not shown ({_between(found)})"


def _words(key: str, found: Said, effect: str) -> str:
    return f"{key} is {effect} by {_between(found)}"


def _between(found: Said) -> str:
    least, most = (found[name] for name in ("lower", "upper"))
    return f"{_number(least)} to {_number(most)}"


def _number(value: float | None) -> str:
    if value is None:
        return "any"
    return f"{value:+,.0f}" if abs(value) >= WHOLE else f"{value:+.4g}"


def _list(said: Iterator[str]) -> str:
    return ", ".join(said)
