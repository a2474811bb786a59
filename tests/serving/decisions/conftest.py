"""The state of the small shop, as the service holds it; and the same with a condition on an offer."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from features.offers import Offer
from features.workspace import Workspace
from serving.decisions.seen import Seen
from serving.decisions.state import State


@pytest.fixture
def state(shop: Workspace) -> Iterator[State]:
    """Everything of the shop; its journal is closed after the test."""
    state = State.of(shop)
    yield state
    assert state.journal is not None
    state.journal.close()


@pytest.fixture
def asking(state: State, shop: Workspace) -> Callable[[dict[str, Any]], State]:
    """The state, as if the offer `coupon` were for those only for whom the condition holds."""

    def ask(condition: dict[str, Any]) -> State:
        offers = tuple(
            Offer.model_validate(offer.model_dump(exclude={"eligible"}) | {"eligible": condition})
            if offer.key == "coupon"
            else offer
            for offer in state.offers
        )
        asked = replace(state, offers=offers)
        return replace(asked, seen=Seen.of(shop, asked.conditions))

    return ask
