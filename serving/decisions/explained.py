"""Explained: an answer with as much of its reasons as was asked for; the decision's row holds all of them anyway.

none    how the decision was made, and no reason per item, nor what would change the offer
short   the reason of each item, and what would change the offer
full    that, and of the decision's row what was considered (`options`) and gone by (`context`)
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from features.decisions import Decision
from serving.decisions.requests import Explained, Request

Answer = dict[str, Any]


def explained(request: Request, decision: Decision, answer: Answer) -> Answer:
    """The answer as the request wants it explained."""
    if not isinstance(request, Explained) or request.explain == "short":
        return answer
    return _without(answer) if request.explain == "none" else answer | _row(decision)


def _without(answer: Answer) -> Answer:
    kept = {name: value for name, value in answer.items() if name != "what_would_change"}
    if "items" in answer:
        kept["items"] = [{name: value for name, value in one.items() if name != "reason"} for one in answer["items"]]
    return kept


def _row(decision: Decision) -> Answer:
    """What the row says beyond the answer; which code is given is known only when it is written."""
    context = {name: value for name, value in decision.context.items() if name != "code"}
    return {"options": [asdict(one) for one in decision.options], "context": context}
