"""Conditions: one grammar for segments, triggers, exits, offer rules and item filters, with one meaning.

It is evaluated as a query for a population and in process for one; docs/conditions.md shows it by examples.
"""

from features.conditions.bound import all_bound, bound
from features.conditions.facts import Facts, holds, item_holds, of_item
from features.conditions.grammar import Condition, CustomerCondition, ItemCondition, parsed
from features.conditions.query import Members, allowed_items, matching, members, members_each
from features.conditions.why import why

__all__ = [
    "Condition",
    "CustomerCondition",
    "Facts",
    "ItemCondition",
    "Members",
    "all_bound",
    "allowed_items",
    "bound",
    "holds",
    "item_holds",
    "matching",
    "members",
    "members_each",
    "of_item",
    "parsed",
    "why",
]
