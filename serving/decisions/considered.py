"""Considered: the offers of a request, each weighed for the customer or left out with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.decisions import NOTHING, Option
from features.offers import Offer
from serving.decisions.eligibility import barred
from serving.decisions.expected import Expected, expected_of
from serving.decisions.glance import glance
from serving.decisions.limits import used_up
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from serving.decisions.weighed import Weighed
from training.policies.budgeted import Budgeted
from training.policies.prices import Prices
from training.release import Release

NAMED = 5  # offers that an answer names where it says what was left out
NOT_PLANNED = Prices({}, {})


@dataclass(frozen=True)
class Considered:
    """All offers that were asked for, those of them that could be weighed, and what there is to say about the rest.

    `barred`: why offers are not for the customer: their conditions do not hold, or nothing of them is left.
    `person`: the id that the customer bears.
    """

    offers: tuple[Offer, ...]
    weighed: tuple[Weighed, ...]
    barred: Mapping[str, str]
    fallback: str | None
    person: str | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        """Nothing, and every offer with its expected profit; not eligible where it could not be weighed."""
        profits = {one.offer.key: one.profit for one in self.weighed}
        offers = ((offer.key, profits.get(offer.key)) for offer in self.offers)
        return Option(NOTHING, 0.0), *(
            Option(key, profit, eligible=profit is not None, reason=self.barred.get(key)) for key, profit in offers
        )


def considered(state: State, request: OfferRequest, now: datetime) -> Considered:
    """The offers of the workspace that the request asks for, weighed by what is expected of the customer."""
    release, offers = state.uplift, _asked(state.offers, request)
    who = None if request.customer is None else glance(state, request.customer, now)
    expected, prices = expected_of(release, request, who), _prices(state, release)
    not_for = barred(state, offers, request.customer, who, now)
    known = [offer for offer in offers if expected.reckons(offer) and (prices is None or offer.key in prices.money)]
    known = [offer for offer in known if offer.key not in not_for]
    gone = used_up(state, known, request.customer, now)
    said = [expected.fallback, *(_left_out(offers, expected, prices, gone) if release else ())]
    return Considered(
        tuple(offers),
        tuple(_weighed(offer, expected, prices or NOT_PLANNED) for offer in known if offer.key not in gone),
        {**not_for, **gone},
        "; ".join(filter(None, said)) or None,
        None if who is None else who.ids[0],
    )


def _prices(state: State, release: Release | None) -> Prices | None:
    """Those of the release's plan where offers are chosen by them; without a plan no offer has a price."""
    return ((release and release.prices) or NOT_PLANNED) if state.settings.offers.policy == Budgeted.name else None


def _asked(offers: Sequence[Offer], request: OfferRequest) -> list[Offer]:
    keys = [offer.key for offer in offers]
    unknown = [key for key in request.offers or [] if key not in keys]
    if unknown:
        raise ValueError(f"offers == {unknown}, the workspace has {keys}")
    wanted = [offer for offer in offers if request.offers is None or offer.key in request.offers]
    return [offer for offer in wanted if request.channel is None or offer.channel == request.channel]


def _weighed(offer: Offer, expected: Expected, prices: Prices) -> Weighed:
    effect, error = expected.effects[offer.key]
    charges = prices.money.get(offer.key, 0.0), prices.contact.get(offer.key, 0.0)
    return Weighed(offer, effect, error, expected.baseline or 0.0, expected.ceiling, *charges)


def _left_out(
    offers: Sequence[Offer], expected: Expected, prices: Prices | None, gone: Mapping[str, str]
) -> Iterator[str]:
    """A line per reason for which offers are not considered."""
    reasons: dict[str, list[str]] = {}
    for offer in offers:
        if offer.key not in expected.effects:
            reasons.setdefault("the model does not know the offers", []).append(offer.key)
        elif not expected.reckons(offer):
            why = "the release does not say who buys without an offer (train again), and redemption costs: the offers"
            reasons.setdefault(why, []).append(offer.key)
        elif prices is not None and offer.key not in prices.money:
            reasons.setdefault("no plan has a price (run `attune plan`) for the offers", []).append(offer.key)
        elif offer.key in gone:
            reasons.setdefault(f"{gone[offer.key]} for the offers", []).append(offer.key)
    for why, keys in reasons.items():
        more = f" and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
        yield f"{why} {keys[:NAMED]}{more}: not considered"
