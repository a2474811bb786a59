"""The fit of both models of lifetime value by maximum likelihood (Newton's method), arms together.

Arms share how customers differ (r, a, b; p, q) and have a scale each (alpha per arm, gamma per arm): one pooled fit
would draw the arms together and hide an effect, separate fits are noise where an arm is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from serving.experiments.likelihoods import Money, Rows, Timing
from serving.experiments.purchases import Array, Ints, Purchases

MIN_CUSTOMERS = 100  # below this a and b are hardly known: their errors exceed the estimates
MIN_REPEATERS = 10  # per arm; the scale's relative error is above a third below this
PULL = 1e-3  # towards the start, as if a logarithm were known to +-30: moves no printed digit, keeps limits finite
STEPS = 100  # of Newton's method; some ten are usual
ENOUGH = 1e-9  # of log-likelihood still to gain: a step of less than 1e-4 standard errors
SHORTEST = 1e-10  # a step of a log-parameter: a likelihood that does not rise by then is flat to its last digit
FARTHEST = 2.0  # a step of a log-parameter: where the likelihood is not yet bowl-shaped steps may leap away


@dataclass(frozen=True)
class Fit:
    """Parameters by maximum likelihood: the logarithms of the shared ones, then of a scale per arm.

    `covariance`: of these logarithms, the sandwich over customers, which holds where the model is wrong too (White
    1982); `curve`: minus the second derivatives by an arm's logarithms, summed over all customers.
    """

    logs: Array
    shared: int
    log_likelihood: float
    curve: Array
    covariance: Array

    def of_arm(self, arm: int) -> Array:
        """The parameters of an arm: the shared ones, its scale last."""
        return np.exp(self.logs[self.places(arm)])

    def places(self, arm: int) -> Ints:
        """Where in `logs` the parameters of an arm stand."""
        return _places(arm, self.shared)

    def pulls(self, slopes: Array, sizes: Ints) -> list[Array]:
        """How a customer's scores in an arm move the arms' values, of these slopes: one matrix per arm."""
        second, gradients = PULL * np.eye(len(self.logs)), np.zeros((len(self.logs), len(sizes)))
        for arm, size in enumerate(sizes):
            second[np.ix_(self.places(arm), self.places(arm))] += self.curve * size / sizes.sum()
            gradients[self.places(arm), arm] = slopes
        moved = np.linalg.solve(second, gradients).astype(np.float64)
        return [moved[self.places(arm)] for arm in range(len(sizes))]


def fit_transactions(purchases: Purchases) -> Fit:
    """BG/NBD: shared r, a, b and alpha (days) per arm.

    Raises ValueError of too few customers, too few who bought again, or customers who are all the same.
    """
    _refuse(purchases)
    first, _, _ = purchases.groups
    if len(first) == 1:
        raise ValueError(
            f"{len(purchases.arm)} customers all have the same repeats, recency and age; they need to differ"
        )
    x, age = purchases.repeats, np.maximum(purchases.age, 1)
    rate = x.sum() / age.sum()
    spread = ((x - rate * age) ** 2 - rate * age).sum() / (age**2).sum()  # of the rates, by moments
    r = float(np.clip(rate**2 / max(spread, 1e-9), 0.1, 10))
    scales = [r * each.age.sum() / each.repeats.sum() for each in purchases.by_arm]
    rows = [timing_rows(each) for each in purchases.by_arm]
    return _fit(rows, np.log([r, 1, 3, *scales]), shared=3)


def fit_spend(purchases: Purchases) -> Fit:
    """Gamma-Gamma: shared p, q and gamma (money) per arm, from the customers with repeat purchases.

    Raises ValueError of too few customers, too few who bought again, or spends that are all the same.
    """
    _refuse(purchases)
    bought = purchases.repeats > 0
    if len(np.unique(purchases.spend[bought])) == 1:
        raise ValueError(
            f"{bought.sum()} customers with repeat purchases all have the same mean spend; they need to differ"
        )
    rows = [money_rows(each) for each in purchases.by_arm]
    means = [float(np.log(each.total / each.repeats).mean()) for each in rows]
    # By moments of log spend, whose variance given x is near 1/q + 1/(p x).
    off = np.concatenate([np.log(each.total / each.repeats) - mean for each, mean in zip(rows, means, strict=True)])
    shares = 1 / np.concatenate([each.repeats for each in rows])
    slope = np.cov(shares, off**2)[0, 1] / max(shares.var(), 1e-9)
    p, q = 1 / np.clip([slope, (off**2).mean() - slope * shares.mean()], 0.05, 2)
    return _fit(rows, np.array([np.log(p), np.log(q), *(np.array(means) + np.log(q / p))]), shared=2)


def _refuse(purchases: Purchases) -> None:
    if len(purchases.arm) < MIN_CUSTOMERS:
        raise ValueError(f"{len(purchases.arm)} customers; lifetime value needs at least {MIN_CUSTOMERS}")
    for arm, each in enumerate(purchases.by_arm):
        again = int((each.repeats > 0).sum())
        if again < MIN_REPEATERS:
            raise ValueError(
                f"{again} of {len(each.arm)} customers of arm {arm} bought again; lifetime value needs {MIN_REPEATERS}"
            )


def _places(arm: int, shared: int) -> Ints:
    return np.array([*range(shared), shared + arm])


def _fit(rows: Sequence[Rows], start: Array, shared: int) -> Fit:
    """Newton's method along the axes of the second derivatives, each step halved until the likelihood rises."""
    with _threads().limit(
        limits=1, user_api="blas"
    ):  # threads of these short products wait for each other more than they work
        logs, value = start, _loss(rows, start, start, shared)
        for _ in range(STEPS):
            slope, second, squares, curve = _derivatives(rows, logs, start, shared)
            bends, axes = np.linalg.eigh(second)
            step = -axes @ ((axes.T @ slope) / np.maximum(np.abs(bends), PULL))
            if -slope @ step < ENOUGH:
                inverse = np.linalg.inv(second).astype(np.float64)
                likelihood = PULL / 2 * float(((logs - start) ** 2).sum()) - value
                return Fit(logs + step, shared, likelihood, curve, inverse @ squares @ inverse)
            step *= min(1.0, FARTHEST / np.abs(step).max())
            while not (tried := _loss(rows, logs + step, start, shared)) <= value + 1e-12 * abs(value):  # or is NaN
                step /= 2
                if np.abs(step).max() < SHORTEST:
                    raise ValueError(f"the spends or times of {_many(rows)} customers are too alike to tell parameters")
            logs, value = logs + step, tried
    raise ValueError(f"no best parameters of {_many(rows)} customers after {STEPS} steps")


def _many(rows: Sequence[Rows]) -> int:
    return round(float(sum(each.count.sum() for each in rows)))


@cache
def _threads() -> ThreadpoolController:
    """What reads which libraries this process has loaded: half as long as a fit takes, so once."""
    return ThreadpoolController()


def _loss(rows: Sequence[Rows], logs: Array, start: Array, shared: int) -> float:
    """Minus the log-likelihood, with the pull."""
    parts = [each.count @ each.terms(np.exp(logs[_places(arm, shared)]))[0] for arm, each in enumerate(rows)]
    return PULL / 2 * float(((logs - start) ** 2).sum()) - float(sum(parts))


def _derivatives(rows: Sequence[Rows], logs: Array, start: Array, shared: int) -> tuple[Array, Array, Array, Array]:
    """By the logarithms: the loss's slopes and second derivatives, the customers' squared scores, and `Fit.curve`."""
    slope, second, squares = PULL * (logs - start), PULL * np.eye(len(logs)), np.zeros((len(logs), len(logs)))
    curve = np.zeros((shared + 1, shared + 1))
    for arm, each in enumerate(rows):
        places = _places(arm, shared)
        block, values = np.ix_(places, places), np.exp(logs[places])
        scores = each.terms(values)[1] * values
        summed = each.count @ scores
        bent = values[:, None] * each.curve(values) * values + np.diag(summed)
        slope[places] -= summed
        second[block] -= bent
        curve -= bent
        squares[block] += (scores * each.count[:, None]).T @ scores
    return slope, second, squares, curve


def timing_rows(purchases: Purchases) -> Timing:
    """The customers, those with equal repeats, recency and age as one."""
    first, _, count = purchases.groups
    return Timing(purchases.repeats[first], purchases.recency[first], purchases.age[first], count.astype(float))


def money_rows(purchases: Purchases) -> Money:
    """The customers with repeat purchases."""
    bought = purchases.repeats > 0
    return Money(purchases.repeats[bought], purchases.total[bought], np.ones(int(bought.sum())))
