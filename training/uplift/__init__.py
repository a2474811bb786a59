"""Uplift learners; `LEARNERS` names them all. A new learner is one file here and one line below."""

from __future__ import annotations

from training.uplift.constant import Constant
from training.uplift.dr import DRLightGBM, DRLinear
from training.uplift.per_offer import PerOffer
from training.uplift.response import ResponseLinear
from training.uplift.s import SLightGBM, SLinear
from training.uplift.t import TLightGBM, TLinear
from training.uplift.x import XLightGBM, XLinear

LEARNERS: dict[str, type[PerOffer]] = {
    "s-linear": SLinear,
    "s-lightgbm": SLightGBM,
    "t-linear": TLinear,
    "t-lightgbm": TLightGBM,
    "x-linear": XLinear,
    "x-lightgbm": XLightGBM,
    "dr-linear": DRLinear,
    "dr-lightgbm": DRLightGBM,
    "response-linear": ResponseLinear,
    "constant": Constant,
}
BASELINES = ("response-linear", "constant")
