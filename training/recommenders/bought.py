"""Bought: what may be answered of what a customer bought before.

    never    nothing of it                          something new
    only     nothing else                           buy again
    mixed    what is replenishable, beside the new  tea comes back, the sofa that was bought does not

Replenishable is learned: the chance that a buyer of the item buys it again (`cycles.chance_of_repeat`). Whether it is
due decides no more than its place: on Online Retail's validation period leaving out what is not due cost every
model a tenth of its Recall@10 or more, leaving out the durable nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.workspace import Bought
from training.recommenders.base import ItemFilter, Recommender

REPLENISHABLE = 0.1  # chance of repeat: 0.15 cost 3 to 5 % of Recall@10 on that period, 0.1 at most 0.3 %


def allowed(mode: Bought, bought: Sequence[NDArray[np.str_]], model: Recommender) -> ItemFilter:
    """The filter of this mode for customers who bought these items."""
    if mode == "only":
        return ItemFilter(required_each=bought)
    if mode == "never":
        return ItemFilter(excluded_each=bought)
    if len(bought) < 2:
        return ItemFilter(excluded_each=[ids[model.chance_of_repeat(ids) < REPLENISHABLE] for ids in bought])
    durable = model.chance_of_repeat(np.concatenate(bought)) < REPLENISHABLE
    ends = np.cumsum([len(ids) for ids in bought]).tolist()
    parts = zip(bought, pairwise([0, *ends]), strict=True)
    return ItemFilter(excluded_each=[ids[durable[start:end]] for ids, (start, end) in parts])
