"""Whether a change that was made before keeps a subscription from being changed again, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sync_service.commerce.basket.holding import Holding


class LockReason(StrEnum):
    """What keeps the subscription."""

    CHANGE = "change"
    RENEWAL = "renewal"
    ORDER = "order"
    CANCELLATION = "cancellation"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A pending change. `until` is the day on which it lifts; an order has none, it lifts when the order has ended."""

    reason: LockReason
    until: date | None = None
    order: str | None = None

    @property
    def message(self) -> str:
        """For people."""
        pending = "You have a pending change to your subscription."
        if self.reason is LockReason.ORDER:
            return f"{pending} Try again when {self.order} is done."
        if self.reason is LockReason.CANCELLATION:
            return f"{pending} It is cancelled on {self.until}."
        return f"{pending} It can be changed again from {self.until}."


def pending_change(
    holding: Holding, today: date, *, open_orders: Sequence[str] = (), cancelled_on: date | None = None
) -> Lock | None:
    """The first lock that holds on `today`; None: the subscription can be changed.

    `open_orders` are orders for it that have not ended, `cancelled_on` the day of a cancellation that is set.
    """
    if coming := _coming_change(holding, today):
        return Lock(reason=LockReason.CHANGE, until=coming)
    if holding.pending_renewal and holding.pending_renewal > today:
        return Lock(reason=LockReason.RENEWAL, until=holding.pending_renewal)
    if open_orders:
        return Lock(reason=LockReason.ORDER, order=open_orders[0])
    if cancelled_on and cancelled_on > today:
        return Lock(reason=LockReason.CANCELLATION, until=cancelled_on)
    return None


def _coming_change(holding: Holding, today: date) -> date | None:
    """The last day on which an offer or add-on begins; a successor of the current offer begins as that one ends."""
    starts = [item.start for item in (*holding.offers, *holding.add_ons) if item.start and item.start > today]
    return max(starts, default=None)
