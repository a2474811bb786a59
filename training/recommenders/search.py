"""Search: between which ends a parameter of a model may be tuned. A model declares it beside its parameters:

search: ClassVar[Space] = {"alpha": Span(1.0, 200.0, log=True), "factors": Span(16, 128, log=True)}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """From `low` to `high`, both included; whole numbers where both are. `log`: small ones as often as large ones."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self}: low must be below high, and above 0 where log is True")

    def widened(self, value: float) -> Span:
        """The same with this value in it."""
        return Span(min(self.low, value), max(self.high, value), log=self.log)


Space = Mapping[str, Span]
