"""How well predicted effects rank and fit, from rows they were not learned from. All are functions of arrays.

Everything ranks by the prediction, highest first; rows with equal predictions enter together, never in row order.
`weight` is how many people a row stands for, divided by the probability of its arm where that is not constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

Array = NDArray[np.float64]
PER = 1000.0  # results are outcomes per this many customers


@dataclass(frozen=True)
class Trial:
    """One offer against none: outcome, whether the offer was given, weight."""

    outcome: Array
    treated: NDArray[np.bool_]
    weight: Array


@dataclass(frozen=True)
class Curve:
    """At each share of customers, the extra outcomes per 1,000 customers when the best ranked share is treated."""

    share: Array
    extra: Array

    def at(self, share: Array) -> Array:
        """The curve at these shares, straight between its points."""
        return np.interp(share, self.share, self.extra)


class Ranking:
    """Customers ordered by a prediction, once; curves for any weights (a bootstrap's draws) follow cheaply.

    `treated`, `outcome` and `weight` are in ranked order; `ends` are the last places of equal predictions.
    """

    def __init__(self, prediction: Array, trial: Trial) -> None:
        self.order = np.argsort(-prediction, kind="stable")
        ordered = prediction[self.order]
        self.ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        self.treated = trial.treated[self.order].astype(np.float64)
        self.outcome = trial.outcome[self.order]
        self.weight = trial.weight[self.order]

    def curve(self, draws: Array | None = None) -> Curve:
        """The Qini curve (Radcliffe 2007), per customer: N_t(s) / N_t x (mean of treated - mean of control) up to s."""
        weight = self.weight if draws is None else self.weight * draws[self.order]
        treated, control = weight * self.treated, weight * (1 - self.treated)
        n_t, n_c = self.sums(treated), self.sums(control)
        y_t, y_c = self.sums(treated * self.outcome), self.sums(control * self.outcome)
        gain = y_t - y_c * np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
        share = (n_t + n_c) / (n_t[-1] + n_c[-1])
        return Curve(np.append(0.0, share), np.append(0.0, PER * gain / n_t[-1]))

    def at(self, k: float) -> float:
        """The difference of the arms' means among the best ranked share `k`; a tie at the border counts in part."""
        if not 0 < k <= 1:
            raise ValueError(f"k == {k}, must be > 0 and <= 1 (uplift_at)")
        ends = np.append(0, self.ends + 1)
        border = k * len(self.outcome)
        group = np.searchsorted(ends[1:], np.arange(len(self.outcome)), side="right")
        part = np.clip((border - ends[group]) / (ends[group + 1] - ends[group]), 0.0, 1.0)
        weight = self.weight * part
        return _mean(self.outcome, weight * self.treated) - _mean(self.outcome, weight * (1 - self.treated))

    def sums(self, values: Array) -> Array:
        """Of these values, given in ranked order, up to the end of each group of equal predictions."""
        result: Array = np.cumsum(values)[self.ends]
        return result


def area(curve: Curve) -> float:
    """Qini: the mean height of the curve above the straight line to its end."""
    return float(np.trapezoid(curve.extra, curve.share) - curve.extra[-1] / 2)


def qini(prediction: Array, trial: Trial) -> float:
    """Extra outcomes per 1,000 customers above treating at random, over all shares treated; 0 is random."""
    return area(Ranking(prediction, trial).curve())


def uplift_at(prediction: Array, trial: Trial, k: float) -> float:
    """The effect per customer among the best ranked share `k`."""
    return Ranking(prediction, trial).at(k)


def interval(draws: Array, level: float = 0.95) -> tuple[float, float]:
    """The middle share of the draws."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error and its 95 % interval."""

    value: float
    standard_error: float

    @property
    def lower(self) -> float:
        return self.value - float(stats.norm.ppf(0.975)) * self.standard_error

    @property
    def upper(self) -> float:
        return self.value + float(stats.norm.ppf(0.975)) * self.standard_error


def slope(score: Array, prediction: Array, weight: Array) -> Estimate:
    """The calibration slope: of a doubly robust score regressed on the prediction. 1 is calibrated; NaN if constant."""
    centred = prediction - np.average(prediction, weights=weight)
    spread = float((weight * centred**2).sum())
    if spread <= 1e-20 * len(score):
        return Estimate(float("nan"), float("nan"))
    value = float((weight * centred * score).sum() / spread)
    residual = score - np.average(score, weights=weight) - value * centred
    return Estimate(value, float(np.sqrt(((weight * centred * residual) ** 2).sum()) / spread))


def average(trial: Trial) -> Estimate:
    """The average effect: the difference of the arms' weighted means (Hájek), and its standard error."""
    arms = [_moments(trial.outcome[chosen], trial.weight[chosen]) for chosen in (trial.treated, ~trial.treated)]
    return Estimate(arms[0][0] - arms[1][0], float(np.sqrt(arms[0][1] + arms[1][1])))


def by_decile(prediction: Array, trial: Trial, groups: int = 10) -> list[Estimate]:
    """The average effect per tenth of customers, best ranked first; equal predictions share a tenth."""
    rank = stats.rankdata(-prediction, method="average")
    group = np.minimum(((rank - 0.5) / len(rank) * groups).astype(int), groups - 1)
    return [_average_or_nan(trial, group == number) for number in range(groups)]


def sample_ratio(counts: Sequence[int], expected: Sequence[float]) -> float:
    """The p-value of a chi-square test that the arms have their expected shares."""
    shares = np.asarray(expected, dtype=np.float64)
    return float(stats.chisquare(counts, shares / shares.sum() * sum(counts)).pvalue)


def balance(X: Array, treated: NDArray[np.bool_], weight: Array) -> Array:
    """Standardised mean difference per column: beyond 0.1 the arms differ (Austin 2009)."""
    moments = [(np.average(X[arm], axis=0, weights=weight[arm]), X[arm].var(axis=0)) for arm in (treated, ~treated)]
    spread = np.sqrt((moments[0][1] + moments[1][1]) / 2)
    result: Array = np.divide(moments[0][0] - moments[1][0], spread, out=np.zeros_like(spread), where=spread > 0)
    return result


def chance_of(differences: Array, trial: Trial) -> Array:
    """The p-values of standardised differences when a coin gave the offer, Bonferroni-corrected for their number."""
    arms = (trial.weight[trial.treated], trial.weight[~trial.treated])
    error = np.sqrt(sum((weight**2).sum() / weight.sum() ** 2 for weight in arms))  # Kish 1965: rows worth as much
    return np.asarray(np.minimum(2 * stats.norm.sf(np.abs(differences) / error) * len(differences), 1.0))


def predictability(X: Array, treated: NDArray[np.bool_], fold: NDArray[np.intp]) -> Estimate:
    """Out-of-fold AUC of the arm given the features: 0.5 in a randomised test (error: Hanley and McNeil 1982)."""
    score = np.empty(len(X))
    for number in np.unique(fold):
        learn = fold != number
        model = LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=200).fit(X[learn], treated[learn])
        # ranks within the fold: models of two folds are not on one scale
        score[~learn] = stats.rankdata(model.predict_proba(X[~learn])[:, 1]) / (~learn).sum()
    auc = float(roc_auc_score(treated, score))
    return Estimate(auc, _auc_error(auc, int(treated.sum()), int((~treated).sum())))


def _auc_error(auc: float, positive: int, negative: int) -> float:
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    return float(np.sqrt(variance / (positive * negative)))


def _average_or_nan(trial: Trial, chosen: NDArray[np.bool_]) -> Estimate:
    treated = trial.treated[chosen]
    if treated.sum() < 2 or (~treated).sum() < 2:
        return Estimate(float("nan"), float("nan"))
    return average(Trial(trial.outcome[chosen], treated, trial.weight[chosen]))


def _mean(values: Array, weight: Array) -> float:
    return float((values * weight).sum() / weight.sum()) if weight.sum() > 0 else 0.0


def _moments(values: Array, weight: Array) -> tuple[float, float]:
    mean = float(np.average(values, weights=weight))
    return mean, float(((weight * (values - mean)) ** 2).sum() / weight.sum() ** 2)
