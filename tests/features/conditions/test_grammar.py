"""What is wrong with a condition is one line that names the place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from features.conditions import parsed
from features.conditions.grammar import leaves, of_customers, of_items

WRONG = {
    "{tray: city, is: Lyon}": r"condition == .*: must have exactly one of all, any, not, .*; did you mean 'trait'\?",
    "{trait: city, score: churn}": "condition == .*: must have exactly one of",
    "[]": r"condition == \[\]: must have exactly one of",
    "{all: []}": r"condition.all == \[\]: must not be empty",
    "{trait: city, in: []}": r"condition.in == \[\]: must not be empty",
    "{all: [{trait: city, iz: Lyon}]}": r"condition.all.0 == .*: unknown key 'iz'; did you mean 'is'\?",
    "{not: {trait: city}}": "condition.not == .*: asks nothing; it needs one of .*is, in, exists",
    "{trait: city, is: 2024-01-01}": r"condition.is == .*: must be a text, a number, true or false",
    "{trait: city, is: null}": "asks nothing",
    "{trait: city, in: Lyon}": "condition.in == 'Lyon': Input should be a valid tuple",
    "{trait: city, at_least: '3'}": "condition.at_least == '3': must be a number",
    "{trait: city, at_least: .nan}": "condition.at_least == nan: must be a number",
    "{trait: city, at_least: true}": "condition.at_least == True: must be a number",
    "{trait: age, at_least: 5, at_most: 3}": "at_least == 5 is above at_most == 3: nothing could fit",
    "{trait: age, exists: false, at_most: 3}": "exists: false stands alone",
    "{trait: 3, is: 3}": "condition.trait == 3: must be a name",
    "{event: View, within: 30}": "condition.within == 30: must be a time like 30d, 12h or 15m",
    "{event: View, within: 0d}": "condition.within == '0d': must be a time like",
    "{event: View, count: {at_leest: 2}}": r"condition.count == .*: unknown key 'at_leest'; did you mean 'at_least'\?",
    "{event: View, where: {category: {iss: Shoes}}}": "condition.where.category == .*: unknown key 'iss'",
    "{event: View, where: {category: null}}": "condition.where.category == .*: asks nothing",
    "{score: churn, is: 3}": "condition == .*: unknown key 'is'; known are",
    '{trait: "a\\0b", is: 3}': "condition.trait == .*: must be a text that is not empty, without NUL",
    '{trait: city, is: "\\uD800"}': "condition.is == .*: must be a text that is not empty, without NUL",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_condition_is_one_line_that_names_the_place(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]) as raised:
        parsed(yaml.safe_load(text), "offers.yaml")
    assert str(raised.value).startswith("offers.yaml: condition")
    assert "\n" not in str(raised.value)
    assert "more)" not in str(raised.value)


def test_a_condition_that_is_too_deep_too_large_or_inside_itself_is_refused() -> None:
    deep: Any = {"trait": "city", "is": "Lyon"}
    for _ in range(2000):
        deep = {"not": deep}
    around: dict[str, Any] = {"any": []}
    around["any"] += [around, around]
    for raw in (deep, around, {"all": [{"trait": "city", "is": "Lyon"}] * 501}):
        with pytest.raises(ValueError, match=r"condition: (is nested more than 20 deep|has more than 500 parts)$"):
            parsed(raw)


def test_what_is_asked_of_items_cannot_be_asked_of_customers_nor_the_other_way() -> None:
    item, event = {"item": "price", "at_most": 50}, {"event": "Product Viewed"}
    assert len(list(leaves(of_items(parsed({"not": item}))))) == 1
    assert len(list(leaves(of_customers(parsed({"any": [event, event]}))))) == 2
    with pytest.raises(ValueError, match="asks for the 'price' of an item, where there are customers only"):
        of_customers(parsed({"any": [event, item]}))
    with pytest.raises(ValueError, match="asks for events of a customer, where there are items only"):
        of_items(parsed({"any": [item, event]}))
