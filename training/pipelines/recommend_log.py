"""The event log of a training run, as of any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from features.catalog import Catalog, read_catalog
from features.events import Events
from features.interactions import Interactions
from features.lines import Lines
from features.workspace import InteractionSettings, Workspace


@dataclass(frozen=True)
class Log:
    """The events, how they are weighed, and the catalogue as it is now: it has no past, so it is read once."""

    events: Events
    settings: InteractionSettings
    catalog: Catalog

    @classmethod
    def of(cls, events: Events, workspace: Workspace) -> Log:
        return cls(events, workspace.settings.interactions, read_catalog(workspace))

    def weighed(self, settings: InteractionSettings) -> Log:
        """The same events, weighed like this."""
        return replace(self, settings=settings)

    def before(self, as_of: datetime) -> Interactions:
        """The interactions as of this moment, with purchases one by one."""
        found = self.before_or_none(as_of)
        if found is None:
            raise ValueError(
                f"no event of a known customer with an item before {as_of:%Y-%m-%d}; "
                "a recommender needs some to learn from"
            )
        return found

    def before_or_none(self, as_of: datetime) -> Interactions | None:
        """The same; None where there was no event yet."""
        found = Interactions.build(self.events, as_of, self.settings)
        if not len(found):
            return None
        return replace(found, lines=Lines.build(self.events, as_of, found), catalog=self.catalog)

    def looking_back(self, moments: Sequence[datetime]) -> Interactions | None:
        """The interactions as of the first of these moments, which know themselves as of the next one, and so on."""
        found = None
        for moment in reversed(moments):
            past = self.before_or_none(moment)
            found = replace(past, earlier=found) if past else found
        return found


def one_back(interactions: Interactions) -> Interactions:
    """The same with one earlier self at most: what is fitted next learns from two steps."""
    earlier = interactions.earlier
    return replace(interactions, earlier=earlier and replace(earlier, earlier=None))
