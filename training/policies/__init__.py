"""Policies; `POLICIES` names them all. A new policy is one file here and one line below."""

from __future__ import annotations

from training.policies.base import Policy
from training.policies.budgeted import Budgeted
from training.policies.epsilon import Epsilon
from training.policies.greedy import Greedy
from training.policies.thompson import Thompson

POLICIES: dict[str, type[Policy]] = {"greedy": Greedy, "epsilon": Epsilon, "budgeted": Budgeted, "thompson": Thompson}
