"""Customer lifetime value: how often customers buy again, for how much, and what a customer of each arm is worth.

Purchases follow the BG/NBD model (Fader, Hardie & Lee 2005, "Counting Your Customers" the Easy Way): while alive a
customer buys at a rate of her own, gamma(r, alpha) over customers, and stops after each repeat purchase with a chance
of her own, beta(a, b). Spend follows the Gamma-Gamma model (Fader & Hardie 2013, note 025): a purchase is
gamma(p, nu), nu is gamma(q, gamma) over customers and independent of the rate.

Arms share how customers differ (r, a, b; p, q) and have a scale each (alpha per arm, gamma per arm): one pooled fit
would draw the arms together and hide an effect, separate fits are noise where an arm is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln, hyp2f1, polygamma, psi
from threadpoolctl import threadpool_limits

MIN_CUSTOMERS = 100  # below this a and b are hardly known: their errors exceed the estimates
MIN_REPEATERS = 10  # per arm; the scale's relative error is above a third below this
FIRST_DAY = 0.5  # a repeat purchase on day 0 was half a day after the start: at 0 the likelihood has no bound
PULL = 1e-3  # towards the start, as if a logarithm were known to +-30: moves no printed digit, keeps limits finite
STEPS = 100  # of Newton's method; some ten are usual
ENOUGH = 1e-9  # of log-likelihood still to gain: a step of less than 1e-4 standard errors
FARTHEST = 2.0  # a step of a log-parameter: where the likelihood is not yet bowl-shaped steps may leap away
STEP = 1e-4  # of a log-parameter, for slopes by central difference
MOST = 20.0  # beyond this a the beta is narrow enough for a sum of three points (within 0.5 %), and 2F1 may overflow
EVEN = 200.0  # a gamma of a larger r is taken as one of this and its mean: within 0.5 %, and 2F1 may cancel
NEAR = 1e-4  # the formula's 0/0 at a = 1 is bridged over twice this; error near 1e-7

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Purchases:
    """What each customer bought: one row per customer, times in whole days.

    `repeats`: purchases after the clock started, which is the first purchase, or in an experiment the assignment;
    `recency`: days from the start to the last of them, 0 without; `age`: days from the start to the end of
    observation; `spend`: mean money of the repeat purchases, read where there are some; `arm`: 0, 1, ...
    """

    repeats: Ints
    recency: Array
    age: Array
    spend: Array
    arm: Ints

    @classmethod
    def of(
        cls, repeats: ArrayLike, recency: ArrayLike, age: ArrayLike, spend: ArrayLike, arm: ArrayLike | None = None
    ) -> Self:
        """The rows, checked; without `arm` all are in arm 0. Days are rounded, a repeat on day 0 is half a day old."""
        counts, last, until = (np.rint(np.asarray(each, float)) for each in (repeats, recency, age))
        money = np.asarray(spend, float)
        arms = np.zeros(len(counts), np.int64) if arm is None else np.asarray(arm, np.int64)
        lengths = [len(each) for each in (counts, last, until, money, arms)]
        if len(set(lengths)) > 1:
            raise ValueError(f"repeats, recency, age, spend and arm have {lengths} rows; they need one per customer")
        if arms.min(initial=0) < 0:
            raise ValueError(f"arm == {arms.min()}, must be 0, 1, ...")
        wrong = ~((counts >= 0) & (last >= 0) & (last <= until) & np.isfinite(until)) | ((counts == 0) & (last > 0))
        if wrong.any():
            raise ValueError(
                f"{wrong.sum()} of {len(wrong)} customers have impossible counts or days; "
                "needed are 0 <= recency <= age, and recency == 0 where repeats == 0"
            )
        unpaid = (counts > 0) & ~((money > 0) & np.isfinite(money))
        if unpaid.any():
            raise ValueError(
                f"{unpaid.sum()} of {(counts > 0).sum()} customers with repeat purchases have a mean spend that is not "
                "> 0; leave purchases out of repeats that were refunded or free"
            )
        last = np.where(counts > 0, np.maximum(last, FIRST_DAY), 0.0)
        paid = np.where(counts > 0, money, 0.0)
        return cls(counts.astype(np.int64), last, np.maximum(until, last), paid, arms)

    @cached_property
    def by_arm(self) -> list[Purchases]:
        """The customers of each arm."""
        members = [self.arm == arm for arm in range(int(self.arm.max(initial=0)) + 1)]
        columns = (self.repeats, self.recency, self.age, self.spend, self.arm)
        return [Purchases(*(column[here] for column in columns)) for here in members]

    @cached_property
    def groups(self) -> tuple[Ints, Ints, Ints]:
        """Of the customers with equal repeats, recency and age: the first; each customer's group; each group's size."""
        recency, age = (np.rint(days / FIRST_DAY).astype(np.int64) for days in (self.recency, self.age))
        key = (self.repeats * (age.max(initial=0) + 1) + recency) * (age.max(initial=0) + 1) + age
        _, first, group, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        return first, group, count

    @cached_property
    def kinds(self) -> tuple[Ints, Ints]:
        """Of the customers with equal repeats and age: the first, and each customer's kind."""
        key = self.repeats * (self.age.max(initial=0) + 1) + self.age
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        return first, kind

    @cached_property
    def total(self) -> Array:
        """Money of a customer's repeat purchases."""
        return self.repeats * self.spend


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
    rows = [_timing(each) for each in purchases.by_arm]
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
    rows = [_money(each) for each in purchases.by_arm]
    means = [float(np.log(each.total / each.repeats).mean()) for each in rows]
    # By moments of log spend, whose variance given x is near 1/q + 1/(p x).
    off = np.concatenate([np.log(each.total / each.repeats) - mean for each, mean in zip(rows, means, strict=True)])
    shares = 1 / np.concatenate([each.repeats for each in rows])
    slope = np.cov(shares, off**2)[0, 1] / max(shares.var(), 1e-9)
    p, q = 1 / np.clip([slope, (off**2).mean() - slope * shares.mean()], 0.05, 2)
    return _fit(rows, np.array([np.log(p), np.log(q), *(np.array(means) + np.log(q / p))]), shared=2)


def alive(purchases: Purchases, transactions: Fit) -> Array:
    """Per customer the chance to buy ever again; 1 without repeat purchases (a customer stops only after one)."""
    return _by_arm(purchases, lambda arm, each: _alive(transactions.of_arm(arm), each))


def expected_transactions(purchases: Purchases, transactions: Fit, days: float) -> Array:
    """Per customer the expected number of purchases in the `days` after the end of observation."""
    return _by_arm(purchases, lambda arm, each: _ahead(transactions.of_arm(arm), each, days))


def expected_spend(purchases: Purchases, spend: Fit) -> Array:
    """Per customer the expected money of a purchase to come, drawn towards the arm's mean."""
    return _by_arm(purchases, lambda arm, each: _spend(spend.of_arm(arm), each))


@dataclass(frozen=True)
class Values:
    """The value per randomised customer of each arm (money), and the covariance of these estimates' logarithms."""

    estimates: Array
    covariance: Array

    def difference(self, arm: int, control: int) -> tuple[float, float]:
        """How much more a customer of the arm is worth than one of the control (money), and its standard error.

        The error is that of the logarithm of the arms' ratio times their logarithmic mean, so that this test and the
        test of the ratio are the same. A small arm that is high by chance has a large variance by chance: an error in
        money would then find too few gains and too many losses (5 % holdout: 0.6 % and 5.4 %).
        """
        more = self.estimates[arm] - self.estimates[control]
        ratio, error = self.log_ratio(arm, control)
        scale = more / ratio if abs(ratio) > 1e-9 else self.estimates[control]
        return float(more), float(scale * error)

    def log_ratio(self, arm: int, control: int) -> tuple[float, float]:
        """The logarithm of the arm's value over the control's, and its standard error."""
        both = self.covariance[np.ix_([arm, control], [arm, control])]
        ratio = np.log(self.estimates[arm] / self.estimates[control])
        return float(ratio), float(np.sqrt(both[0, 0] + both[1, 1] - 2 * both[0, 1]))


def value_by_arm(purchases: Purchases, realised: ArrayLike, days: float) -> Values:
    """Per arm the mean of realised money plus the forecast of the `days` after observation ended.

    `realised`: money per customer in the window. The covariance is the sum of squares of each customer's influence
    (Hampel 1974), on the mean and through the parameters, so that it holds both and their correlation, also where the
    model is wrong. It is taken over all customers as if each could have been in every arm, as a share of the arm's
    value: what a small arm's few customers happen to be like does not decide how sure it is.

    Raises ValueError as the two fits do, and where an arm's value is not above 0.
    """
    income, arms = np.asarray(realised, float), len(purchases.by_arm)
    if len(income) != len(purchases.arm):
        raise ValueError(f"realised has {len(income)} rows, purchases {len(purchases.arm)}; both need one per customer")
    transactions, spend = fit_transactions(purchases), fit_spend(purchases)
    sizes = np.array([len(each.arm) for each in purchases.by_arm])
    estimates, deviation = np.zeros(arms), np.zeros(len(income))
    slopes_of_timing, slopes_of_money = np.zeros(4), np.zeros(3)  # of the logarithm of a value, over all customers
    for arm, each in enumerate(purchases.by_arm):
        here, timing, money = purchases.arm == arm, transactions.of_arm(arm), spend.of_arm(arm)
        ahead, price = _ahead(timing, each, days), _spend(money, each)
        values = income[here] + ahead * price
        estimates[arm] = _positive(values.mean(), arm)
        deviation[here] = values / estimates[arm] - 1
        share = 1 / (len(income) * estimates[arm])
        slopes_of_timing += share * _slopes_of_ahead(timing, each, days, price)
        slopes_of_money += share * _slopes_of_spend(money, each, ahead)
    by_timing = _scores_of_timing(purchases, transactions), transactions.pulls(slopes_of_timing, sizes)
    by_money = _scores_of_money(purchases, spend), spend.pulls(slopes_of_money, sizes)
    covariance = np.zeros((arms, arms))
    for arm, size in enumerate(sizes):
        influence = by_timing[0] @ by_timing[1][arm] + by_money[0] @ by_money[1][arm]
        influence[:, arm] += deviation / size
        covariance += influence.T @ influence * size / len(income)
    return Values(estimates, covariance)


def _positive(value: float, arm: int) -> float:
    if not value > 0:
        raise ValueError(f"arm {arm} is worth {value:.2f} per customer, must be > 0 to be compared by ratio")
    return value


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


def _timing(purchases: Purchases) -> Timing:
    first, _, count = purchases.groups
    return Timing(purchases.repeats[first], purchases.recency[first], purchases.age[first], count.astype(float))


def _money(purchases: Purchases) -> Money:
    bought = purchases.repeats > 0
    return Money(purchases.repeats[bought], purchases.total[bought], np.ones(int(bought.sum())))


def _fit(rows: Sequence[Rows], start: Array, shared: int) -> Fit:
    """Newton's method along the axes of the second derivatives, each step halved until the likelihood rises."""
    with threadpool_limits(1, "blas"):  # threads of these short products wait for each other more than they work
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
            logs, value = logs + step, tried
    raise ValueError(
        f"no best parameters of {sum(each.count.sum() for each in rows):.0f} customers after {STEPS} steps"
    )


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


def _scores_of_timing(purchases: Purchases, fit: Fit) -> Array:
    """Each customer's slopes of the log-likelihood, by the logarithms of her arm's parameters."""
    scores = np.empty((len(purchases.arm), 4))
    for arm, each in enumerate(purchases.by_arm):
        values = fit.of_arm(arm)
        scores[purchases.arm == arm] = (_timing(each).terms(values)[1] * values)[each.groups[1]]
    return scores


def _scores_of_money(purchases: Purchases, fit: Fit) -> Array:
    """The same of the spend; 0 without repeat purchases."""
    scores = np.zeros((len(purchases.arm), 3))
    for arm, each in enumerate(purchases.by_arm):
        values = fit.of_arm(arm)
        scores[(purchases.arm == arm) & (purchases.repeats > 0)] = _money(each).terms(values)[1] * values
    return scores


def _slopes_of_ahead(at: Array, purchases: Purchases, days: float, price: Array) -> Array:
    return _slopes(lambda values: float(_ahead(values, purchases, days) @ price), at)


def _slopes_of_spend(at: Array, purchases: Purchases, ahead: Array) -> Array:
    return _slopes(lambda values: float(ahead @ _spend(values, purchases)), at)


def _slopes(value: Callable[[Array], float], at: Array) -> Array:
    """By the logarithm of each parameter, by central difference."""
    steps = np.exp(STEP * np.eye(len(at)))
    return np.array([(value(at * step) - value(at / step)) / (2 * STEP) for step in steps])


def _by_arm(purchases: Purchases, value: Callable[[int, Purchases], Array]) -> Array:
    answer = np.empty(len(purchases.arm))
    for arm, each in enumerate(purchases.by_arm):
        answer[purchases.arm == arm] = value(arm, each)
    return answer


def _alive(values: Array, purchases: Purchases) -> Array:
    """Fader, Hardie & Lee 2005, the denominator of equation 10."""
    r, a, b, alpha = values
    x = purchases.repeats
    ratio = np.log((alpha + purchases.age) / (alpha + purchases.recency))
    return np.where(x > 0, expit(np.log(b + np.maximum(x - 1, 0)) - np.log(a) - (r + x) * ratio), 1.0)


def _ahead(values: Array, purchases: Purchases, days: float) -> Array:
    """Expected purchases in `days`: those of who is alive (by repeats and age) times the chance to be alive."""
    first, kind = purchases.kinds
    ahead = _while_alive(values, purchases.repeats[first], purchases.age[first], days)
    return ahead[kind] * _alive(values, purchases)


def _while_alive(values: Array, x: Ints, age: Array, days: float) -> Array:
    """Fader, Hardie & Lee 2005, equation 10, its series by Euler's transformation: no huge times tiny at large x."""
    r, a, b, alpha = values
    if abs(a - 1) < NEAR:
        below, above = (
            _while_alive(np.array([r, side, b, alpha]), x, age, days) for side in (1 - 2 * NEAR, 1 + 2 * NEAR)
        )
        return (below + above) / 2
    if a > MOST:
        chance = a / (a + b + x)
        off = np.sqrt(3 * (1 - chance) / (a + b + x + 1) / chance)  # of the chance, three points of Gauss and Hermite
        parts = [(4, chance), (1, chance * (1 - off)), (1, chance * (1 + off))]
        found: Array = sum(
            weight * -np.expm1(-(r + x) * np.log1p(at * days / (alpha + age))) / at for weight, at in parts
        )
        return found / 6
    even = min(1.0, EVEN / r)
    rate, top = (alpha + age) * even, a + b + x - 1
    z = days / (rate + days)
    left = (1 - z) ** (a - 1) * hyp2f1(top - (r + x) * even, a - 1, top, z)
    ahead: Array = top / (a - 1) * (1 - left)
    return ahead


def _spend(values: Array, purchases: Purchases) -> Array:
    """Fader & Hardie 2013, equation 5."""
    p, q, gamma = values
    if q <= 1:
        raise ValueError(
            f"spends vary so much that their mean has no expectation (q == {q:.2f}, must be > 1); cap them"
        )
    price: Array = p * (gamma + purchases.total) / (p * purchases.repeats + q - 1)
    return price
