"""When a change takes effect: more at once, less at the end of the term ("Release 112")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sync_service.commerce.basket.holding import Holding


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The day of a change, in the tenant's zone, and whether that is now."""

    day: date
    at_once: bool


def at_once(today: date) -> Effect:
    """Now: upgrades, more of something, new add-ons."""
    return Effect(day=today, at_once=True)


def at_term_end(holding: Holding) -> Effect | None:
    """At the end of what is paid for: downgrades, less of something, cancellations.

    The term's end is the first day after the term. An evergreen subscription ends its billing period at the next
    payment. None if neither is known: the day cannot be told.
    """
    day = holding.term_end or holding.next_payment
    return Effect(day=day, at_once=False) if day else None
