"""The four kinds of customers, by what they would do with an offer and without it: bounds on their shares.

Nobody is seen both with the offer and without, so that of an outcome of 0 or 1 the shares are known only up to bounds.
With m1, m0 the probability of the outcome with the offer and without, of customers who look alike
(Tian and Pearl 2000; Fan and Park 2010), the share of a kind is the mean over customers of

| kind | with | without | at least | at most |
|---|---|---|---|---|
| persuadable | 1 | 0 | max(0, m1 - m0) | min(m1, 1 - m0) |
| sure thing | 1 | 1 | max(0, m1 + m0 - 1) | min(m1, m0) |
| lost cause | 0 | 0 | max(0, 1 - m1 - m0) | min(1 - m1, 1 - m0) |
| do-not-disturb | 0 | 1 | max(0, m0 - m1) | min(m0, 1 - m1) |

Models of other customers say which side of a max or min counts; that side is then measured by doubly robust scores. A
side that is wrongly told makes a bound wider and never false (Ji, Lei and Spector 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.intervals import Influenced
from training.metrics.policy_value import Logged, mean, scores

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """Of one kind: at least, at most, and what it is where customers who look alike are all moved one way."""

    kind: str
    least: Influenced
    most: Influenced
    one_way: Influenced

    @property
    def interval(self) -> tuple[float, float]:
        """Holds everything between the bounds 95 times in 100."""
        return self.least.interval.lower, self.most.interval.upper


def shares(logged: Logged, arm: int, *, helps: Mask, likely: Mask) -> list[Share]:
    """Of this arm's offer against none (arm 0); `money` is an outcome of 0 or 1.

    `helps`: m1 > m0, `likely`: m1 + m0 > 1, each as models of other customers say.
    """
    found = scores(logged)
    with_, without, nobody = found[:, arm], found[:, 0], np.zeros(len(found))
    won, lost = np.where(helps, with_ - without, nobody), np.where(helps, nobody, without - with_)
    both, neither = np.where(helps, without, with_), 1 - np.where(helps, with_, without)
    sides = {  # at least, at most, one way
        "persuadable": (won, np.where(likely, 1 - without, with_), won),
        "sure thing": (np.where(likely, with_ + without - 1, nobody), both, both),
        "lost cause": (np.where(likely, nobody, 1 - with_ - without), neither, neither),
        "do-not-disturb": (lost, np.where(likely, 1 - with_, without), lost),
    }
    return [Share(kind, *(mean(logged, side) for side in given)) for kind, given in sides.items()]
