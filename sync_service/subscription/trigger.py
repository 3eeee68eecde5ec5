"""What asks for a sync, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Trigger(StrEnum):
    """What asked for a sync, the strongest first: of a run's causes the strongest one stands for it."""

    ADMIN = "admin"
    CLI = "cli"
    API = "api"
    CALLOUT = "callout"
    WORKFLOW = "workflow"
    EVENT = "event"
    #: One of our own orders has reached Zuora.
    ORDER = "order"
    BACKFILL = "backfill"
    CALENDAR = "calendar"
    SWEEP = "sweep"

    @property
    def weakness(self) -> int:
        """The position in the order of strength; 0 is the strongest."""
        return tuple(Trigger).index(self)

    @property
    def is_person(self) -> bool:
        """A person asked for this one subscription: passes the safety stop."""
        return self in (Trigger.ADMIN, Trigger.CLI)

    @property
    def is_awaited(self) -> bool:
        """Someone waits for the result: an unchanged subscription is worth a row in the history too."""
        return self.is_person or self is Trigger.API

    @property
    def is_from_zuora(self) -> bool:
        """Zuora told of a change."""
        return self in (Trigger.CALLOUT, Trigger.WORKFLOW, Trigger.EVENT)

    @property
    def chose_the_number(self) -> bool:
        """A person chose this subscription, alone or in a list: a missing Limio subscription may be imported."""
        return self.is_person or self is Trigger.BACKFILL

    @property
    def named_the_number(self) -> bool:
        """The subscription was asked for by name; sweeps and the calendar come upon it."""
        return self.chose_the_number or self.is_awaited or self.is_from_zuora


def read_triggers(words: Iterable[str | None]) -> frozenset[Trigger]:
    """The triggers among stored words; one that only a newer release knows is left out."""
    known = set(words)
    return frozenset(trigger for trigger in Trigger if trigger in known)
