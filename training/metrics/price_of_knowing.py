"""What it costs to know what a policy is worth: a holdout or exploration, and the interval that each would buy.

A holdout of share h gets no offer: it costs h times the gain over offering nobody, and the total effect is the
difference of two means, of variance s1^2 / (n (1 - h)) + s0^2 / (n h).
With exploration e, a share e of decisions is drawn evenly over the K arms, silence among them: it costs e times the
gain over choosing evenly, and both means are weighted ones (`snips`) whose mean squared weights divide n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from training.intervals import Influenced
from training.metrics.policy_value import Array, Logged, overlap, snips

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class Price:
    """At this share: what it costs per customer, and the width of the total effect's 95 % interval, per customer too.

    `width` is infinite where nobody is left to compare with.
    """

    share: float
    cost: Influenced
    width: float


@dataclass(frozen=True)
class Noise:
    """The variance of one row's money under the policy and under silence, in a campaign of so many rows."""

    ours: float
    silence: float
    rows: float

    @classmethod
    def of(cls, logged: Logged, target: Array, silence: Array) -> Noise:
        """From the log, with what rows of one customer have in common."""
        people = logged.people
        return cls(_variance(logged, target), _variance(logged, silence), float(people.sum() ** 2 / (people**2).sum()))

    def width(self, ours: float, silence: float) -> float:
        """Of the 95 % interval of a difference of means, of these shares of the campaign."""
        if not min(ours, silence) > 0:
            return float("inf")
        variance = (self.ours / ours + self.silence / silence) / self.rows
        return float(2 * stats.norm.ppf(0.975) * np.sqrt(variance))


def holdout(share: float, gain: Influenced, noise: Noise) -> Price:
    """The price of keeping this share of customers without any offer; `gain`: of the policy over offering nobody."""
    return Price(share, gain.times(share), noise.width(1 - share, share))


def exploration(share: float, gain: Influenced, noise: Noise, *, offered: float, arms: int) -> Price:
    """The price of drawing this share of decisions evenly; `gain`: of the policy over choosing evenly.

    `offered`: the share of customers to whom the policy gives an offer. `arms`: how many it chooses among.
    """
    best, other = 1 - share + share / arms, share / arms
    silence = (1 - offered) / best + offered / other if other > 0 else np.inf  # the mean squared weight
    return Price(share, gain.times(share), noise.width(best, 1 / silence))


def _variance(logged: Logged, target: Array) -> float:
    found = snips(logged, target).standard_error ** 2 * overlap(logged, target).effective
    return found if np.isfinite(found) else float("nan")
