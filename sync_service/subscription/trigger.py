"""What asks for a sync, and what follows from it: whose word it is, and whether it may import. Pure.

A callout, an API caller, a person or a given list asks for one subscription by name; a sweep comes upon it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sync_service.subscription.zuora import ZuoraSubscription


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


_OVER = frozenset({"Cancelled", "Expired"})
#: A sweep leaves a new subscription to Limio's own order, which may still be on its way here.
_YOUNG = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ImportRules:
    """The settings that decide: IMPORT_UNKNOWN is `all`, and LIMIO_REFERENCE_FORMAT."""

    import_all: bool
    #: A regular expression that every reference made by Limio matches; empty is off.
    limio_reference_format: str
    tenant_zone: ZoneInfo


def refuse_import(
    subscription: ZuoraSubscription, triggers: Collection[Trigger], rules: ImportRules, *, echoed: bool, now: datetime
) -> str | None:
    """Why this unknown subscription stays out, in words for people; None imports it. `now` has a zone."""
    if subscription.status == "Draft":
        return "It is a draft in Zuora."
    made_by_limio = bool(
        rules.limio_reference_format and re.fullmatch(rules.limio_reference_format, subscription.number)
    )
    if made_by_limio and not any(each.chose_the_number for each in triggers):
        return "Its number is a Limio reference, so it is missing from what was loaded: load it, or sync it by hand."
    if any(each.named_the_number for each in triggers):
        return None
    if not rules.import_all:
        return "No person or list asked for this import, and IMPORT_UNKNOWN is not `all`."
    if subscription.status in _OVER:
        return f"It is {subscription.status.lower()} in Zuora."
    if echoed:
        return "An order of Limio's own is behind it."
    if _is_young(subscription, rules, now):
        return "It is less than an hour old: Limio's own order may still arrive."
    return None


def _is_young(subscription: ZuoraSubscription, rules: ImportRules, now: datetime) -> bool:
    """Zuora prints createTime in the tenant's zone without an offset; one that we cannot read is not young."""
    try:
        created = datetime.fromisoformat(subscription.create_time or "").replace(tzinfo=rules.tenant_zone)
    except ValueError:
        return False
    return subscription.version == 1 and now - created < _YOUNG
