"""Candidates: the learners among which the selector weighs. A new one is one file here and one line below."""

from __future__ import annotations

from training.uplift.class_transformation import ClassTransformationLightGBM, ClassTransformationLinear
from training.uplift.constant import Constant
from training.uplift.dr import DRLightGBM, DRLinear
from training.uplift.per_offer import PerOffer
from training.uplift.r import RLightGBM, RLinear
from training.uplift.response import ResponseLinear
from training.uplift.s import SLightGBM, SLinear
from training.uplift.t import TLightGBM, TLinear
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
    "response-linear": ResponseLinear,
    "constant": Constant,
}
BASELINES = ("response-linear", "constant")
