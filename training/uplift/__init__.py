"""Uplift learners; `LEARNERS` names them all: the candidates, and the selector that weighs them.

`COMPARED` are judged beside them and are none of them.
"""

from __future__ import annotations

from training.uplift.candidates import BASELINES, CANDIDATES
from training.uplift.compared import COMPARED
from training.uplift.per_offer import PerOffer
from training.uplift.selector import Selector

LEARNERS: dict[str, type[PerOffer] | type[Selector]] = {**CANDIDATES, Selector.name: Selector}

__all__ = ["BASELINES", "CANDIDATES", "COMPARED", "LEARNERS"]
