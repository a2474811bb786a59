"""Prices: what a plan charges for the limited means that an offer takes, so that one customer can be decided alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = "plan.json"  # beside the release's manifest; holds no customers


@dataclass(frozen=True)
class Prices:
    """Per offer of the plan: `money`, for one unit of money that it spends, and `contact`, for one contact."""

    money: Mapping[str, float]
    contact: Mapping[str, float]

    @classmethod
    def read(cls, folder: Path) -> Prices | None:
        """The prices of the plan that was made for this release, or None."""
        path = folder / FILE
        if not path.exists():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))["prices"]
            return cls(*({offer: float(price[name]) for offer, price in kept.items()} for name in ("money", "contact")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a readable plan ({error}); run `attune plan` again") from None
