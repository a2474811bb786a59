"""The likelihoods of lifetime value: how often customers buy, and for how much, with their derivatives.

Purchases follow the BG/NBD model (Fader, Hardie & Lee 2005, "Counting Your Customers" the Easy Way): while alive a
customer buys at a rate of her own, gamma(r, alpha) over customers, and stops after each repeat purchase with a chance
of her own, beta(a, b). Spend follows the Gamma-Gamma model (Fader & Hardie 2013, note 025): a purchase is
gamma(p, nu), nu is gamma(q, gamma) over customers and independent of the rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, gammaln, polygamma, psi

from serving.experiments.purchases import Array, Ints


class Rows(Protocol):
    """The customers of one arm, as one of the two models sees them."""

    @property
    def count(self) -> Array:
        """How many customers a row stands for."""

    def terms(self, values: Array) -> tuple[Array, Array]:
        """Per row the log-likelihood, and its slopes by the parameters."""

    def curve(self, values: Array) -> Array:
        """Second derivatives by the parameters, summed over customers."""


@dataclass(frozen=True)
class Timing:
    """Customers with equal repeats, recency and age are a row. BG/NBD: r, a, b, alpha."""

    repeats: Ints
    recency: Array
    age: Array
    count: Array

    def terms(self, values: Array) -> tuple[Array, Array]:
        """Fader, Hardie & Lee 2005, equation 6, as A1 + A2 + log(exp(A3) + exp(A4)): A3 is alive, A4 is stopped."""
        r, a, b, alpha = values
        x, steps = self.repeats, np.arange(self.repeats.max() + 1)
        log_ages, log_lasts, stopped = self._stopped(values)
        gone = expit(stopped)
        level = gammaln(r + steps) - gammaln(r) + r * np.log(alpha)
        level += gammaln(a + b) + gammaln(b + steps) - gammaln(b) - gammaln(a + b + steps)
        likelihood = level[x] - (r + x) * log_ages + np.logaddexp(0, stopped)

        both, rate, stay = (psi(each) - psi(each + steps) for each in (a + b, r, b))
        scores = np.column_stack([
            np.log(alpha) - rate[x] - (1 - gone) * log_ages - gone * log_lasts,
            both[x] + gone / a,
            (both - stay)[x] - gone / (b + np.maximum(x - 1, 0)),
            r / alpha - (r + x) * ((1 - gone) / (alpha + self.age) + gone / (alpha + self.recency)),
        ])  # fmt: skip
        return likelihood, scores

    def curve(self, values: Array) -> Array:
        """Each part's own, weighted by its chance, and what comes of not knowing which of A3 and A4 it was."""
        r, a, b, alpha = values
        x, steps, later = self.repeats, np.arange(self.repeats.max() + 1), b + np.maximum(self.repeats - 1, 0)
        ages, lasts, gone = alpha + self.age, alpha + self.recency, expit(self._stopped(values)[2])
        apart = np.column_stack(
            [np.log(lasts / ages), np.full(len(x), -1 / a), 1 / later, (r + x) * (1 / lasts - 1 / ages)]
        )
        second: Array = (apart * (self.count * gone * (1 - gone))[:, None]).T @ apart
        size = np.bincount(x, self.count)
        both, rate, stay = (size @ (polygamma(1, each) - polygamma(1, each + steps)) for each in (a + b, r, b))
        second[0, 0] -= rate
        second[1, 1] += both - self.count @ gone / a**2
        second[2, 2] += both - stay + self.count @ (gone / later**2)
        second[[1, 2], [2, 1]] += both
        second[[0, 3], [3, 0]] += self.count @ (1 / alpha - (1 - gone) / ages - gone / lasts)
        second[3, 3] += self.count @ ((r + x) * ((1 - gone) / ages**2 + gone / lasts**2) - r / alpha**2)
        return second

    def _stopped(self, values: Array) -> tuple[Array, Array, Array]:
        """Logarithms of alpha + age and alpha + recency, and A4 - A3, the log-odds that a customer has stopped."""
        r, a, b, alpha = values
        log_ages, log_lasts = np.log(alpha + self.age), np.log(alpha + self.recency)
        odds = np.log(a / (b + np.maximum(self.repeats - 1, 0))) + (r + self.repeats) * (log_ages - log_lasts)
        return log_ages, log_lasts, np.where(self.repeats > 0, odds, -np.inf)


@dataclass(frozen=True)
class Money:
    """Each customer with repeat purchases is a row (sums of money are rarely equal). Gamma-Gamma: p, q, gamma."""

    repeats: Ints
    total: Array
    count: Array

    def terms(self, values: Array) -> tuple[Array, Array]:
        """Fader & Hardie 2013, equation 1a: the density of the mean of `repeats` purchases."""
        p, q, gamma = values
        x, steps = self.repeats, np.arange(1, self.repeats.max() + 1)
        every = gamma + self.total
        log_every, log_total = np.log(every), np.log(self.total)
        level = gammaln(p * steps + q) - gammaln(p * steps) - gammaln(q) + q * np.log(gamma) + np.log(steps)
        likelihood = level[x - 1] + (p * x - 1) * log_total - (p * x + q) * log_every
        ahead, own = psi(p * steps + q), psi(p * steps)
        scores = np.column_stack([
            x * ((ahead - own)[x - 1] + log_total - log_every),
            ahead[x - 1] - psi(q) + np.log(gamma) - log_every,
            q / gamma - (p * x + q) / every,
        ])  # fmt: skip
        return likelihood, scores

    def curve(self, values: Array) -> Array:
        """Of equation 1a."""
        p, q, gamma = values
        x, steps, every = self.repeats, np.arange(1, self.repeats.max() + 1), gamma + self.total
        size = np.bincount(x, self.count)[1:]
        ahead, own = polygamma(1, p * steps + q), polygamma(1, p * steps)
        second = np.empty((3, 3))
        second[0, 0] = size @ (steps**2 * (ahead - own))
        second[1, 1] = size @ (ahead - polygamma(1, q))
        second[2, 2] = self.count @ ((p * x + q) / every**2 - q / gamma**2)
        second[[0, 1], [1, 0]] = size @ (steps * ahead)
        second[[0, 2], [2, 0]] = -self.count @ (x / every)
        second[[1, 2], [2, 1]] = self.count @ (1 / gamma - 1 / every)
        return second
