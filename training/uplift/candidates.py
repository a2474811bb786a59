"""Candidates: the learners among which the selector weighs. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.uplift.bases import Matrix, family_of
from training.uplift.class_transformation import ClassTransformationLightGBM, ClassTransformationLinear
from training.uplift.constant import Constant
from training.uplift.dr import DRLightGBM, DRLinear
from training.uplift.per_offer import PerOffer
from training.uplift.r import RLightGBM, RLinear
from training.uplift.response import ResponseLinear
from training.uplift.s import SLightGBM, SLinear
from training.uplift.t import TLightGBM, TLinear
from training.uplift.two_part import TwoPartLightGBM, TwoPartLinear
from training.uplift.x import XLightGBM, XLinear

CANDIDATES: dict[str, type[PerOffer]] = {
    "s-linear": SLinear,
    "s-lightgbm": SLightGBM,
    "t-linear": TLinear,
    "t-lightgbm": TLightGBM,
    "x-linear": XLinear,
    "x-lightgbm": XLightGBM,
    "dr-linear": DRLinear,
    "dr-lightgbm": DRLightGBM,
    "r-linear": RLinear,
    "r-lightgbm": RLightGBM,
    "class-linear": ClassTransformationLinear,
    "class-lightgbm": ClassTransformationLightGBM,
    "two-part-linear": TwoPartLinear,
    "two-part-lightgbm": TwoPartLightGBM,
    "response-linear": ResponseLinear,
    "constant": Constant,
}
BASELINES = ("response-linear", "constant")
TWO_PART = (TwoPartLinear.name, TwoPartLightGBM.name)
BELIEVED = dict.fromkeys((XLinear.name, XLightGBM.name), 16.0) | dict.fromkeys(TWO_PART, 32.0)


def suited(names: Sequence[str], outcome: Matrix) -> list[str]:
    """Those that this outcome can be learned by: two parts are of amounts, most of which are 0."""
    two = family_of(outcome) == "amount" and outcome.min() >= 0 and np.mean(outcome == 0) >= 0.5
    return [name for name in names if two or name not in TWO_PART]


def believed(names: Sequence[str]) -> Matrix:
    """How likely each is to be the best before any outcome is seen, up to a constant.

    X and, of amounts, two parts vary least from log to log: X learns effects without dividing by a probability (Kuenzel
    et al. 2019), two parts learn amounts from those alone who spent something. How much more they are believed was
    chosen in simulated worlds, those in which an offer changes only how much is bought among them.
    """
    return np.array([BELIEVED.get(name, 1.0) for name in names])
