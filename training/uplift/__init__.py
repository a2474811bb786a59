"""Uplift learners; `LEARNERS` names them all."""

from __future__ import annotations

from training.uplift.candidates import BASELINES
from training.uplift.candidates import CANDIDATES as LEARNERS

__all__ = ["BASELINES", "LEARNERS"]
