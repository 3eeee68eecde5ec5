"""What a subscription holds today, read from Limio's objects, and when it may be changed.

More takes effect at once, less at the end of the term ("Release 112"); a change that was made before may lock it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from enum import StrEnum
from typing import Any

from sync_service.commerce.catalog import Offer, read_offer
from sync_service.commerce.state import day_of, is_discount
from sync_service.subscription.limio.documents import data_of, part_of, read_day
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import parse_amount


@dataclass(frozen=True, kw_only=True)
class HeldItem:
    """An offer or add-on of the subscription. `end` is exclusive; None: it goes on."""

    #: Limio's id: `subscription_offer-…` or `add_on-…`.
    id: str
    offer: Offer
    quantity: int
    start: date | None
    end: date | None


@dataclass(frozen=True, kw_only=True)
class Period:
    """The billing period that runs today; `end` is exclusive."""

    start: date
    end: date


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A subscription as the basket needs it; one that is still to be bought holds nothing.

    Days are in the tenant's zone, read from Limio's dates.
    """

    id: str = ""
    reference: str = ""
    owner: str | None = None
    status: str = ""
    #: Made outside Limio: it takes no commerce actions ("Zuora sync", imported subscriptions).
    is_external: bool = False
    currency: str | None = None
    country: str | None = None
    #: The offer that is in force: no discount, begun, not ended, the newest of those.
    current: HeldItem | None = None
    offers: tuple[HeldItem, ...] = ()
    add_ons: tuple[HeldItem, ...] = ()
    #: The first day after the term; None: evergreen.
    term_end: date | None = None
    period: Period | None = None
    #: The next day on which a payment is due.
    next_payment: date | None = None
    #: A renewal that was changed already, for this day.
    pending_renewal: date | None = None

    @property
    def is_active(self) -> bool:
        """Whether it can be changed; `initial` is one whose first order has not been placed, or has failed."""
        return not self.id or self.status.lower() == "active"


def read_holding(
    subscription: Document,
    offers: Sequence[Document],
    add_ons: Sequence[Document],
    schedule: Sequence[Document],
    today: date,
    zone: tzinfo,
) -> Holding:
    """From Limio's objects: the subscription, its offers, add-ons and schedule entries. Total.

    `today` is the day in the tenant's `zone`.
    """
    data = data_of(subscription)
    base = [_read_item(each, "offer", zone) for each in offers if _is_live(each) and not is_discount(each)]
    current = max(
        (item for item in base if _is_in_force(item, today)), key=lambda item: item.start or date.min, default=None
    )
    price = part_of(data, "price")
    term_end = read_day(data.get("termEndDate"))
    due = sorted(_due_days(schedule))
    return Holding(
        id=str(subscription.get("id") or ""),
        reference=str(subscription.get("reference") or ""),
        owner=_text(subscription.get("owner")),
        status=str(subscription.get("status") or ""),
        is_external=part_of(data, "attributes").get("external") is True,
        currency=_text(price.get("currency")) or (current.offer.currency if current else None),
        country=_text(data.get("purchaseCountry")),
        current=current,
        offers=tuple(base),
        add_ons=tuple(_read_item(each, "add_on", zone) for each in add_ons if _is_live(each)),
        term_end=term_end,
        period=_find_period(due, read_day(data.get("termStartDate")), term_end, today),
        next_payment=next((day for day in due if day > today), None),
        pending_renewal=read_day(data.get("pendingRenewalChange")),
    )


def owned_add_ons(holding: Holding, today: date) -> tuple[HeldItem, ...]:
    """The add-ons that are in force, or will be, in the order in which they are stored."""
    return tuple(item for item in holding.add_ons if item.end is None or item.end > today)


def _find_period(due: Sequence[date], term_start: date | None, term_end: date | None, today: date) -> Period | None:
    """From the last payment to the next, within the term; without payments the term itself."""
    days = [*due, *(day for day in (term_start, term_end) if day)]
    start = max((day for day in days if day <= today), default=None)
    end = min((day for day in days if day > today), default=None)
    return Period(start=start, end=end) if start and end else None


def _due_days(schedule: Iterable[Document]) -> set[date]:
    days = set()
    for entry in schedule:
        data = data_of(entry)
        day = read_day(data.get("date"))
        if day and data.get("type", "payment") == "payment" and entry.get("status") != "cancelled":
            days.add(day)
    return days


def _read_item(document: Document, key: str, zone: tzinfo) -> HeldItem:
    data = data_of(document)
    return HeldItem(
        id=str(document.get("id") or ""),
        offer=read_offer(part_of(data, key)),
        quantity=_read_quantity(data.get("quantity", document.get("quantity"))),
        start=day_of(data.get("start"), zone),
        end=day_of(data.get("end"), zone),
    )


def _is_live(document: Document) -> bool:
    return bool(document.get("status", "active") == "active")


def _is_in_force(item: HeldItem, today: date) -> bool:
    return (item.start is None or item.start <= today) and (item.end is None or item.end > today)


def _read_quantity(value: Any) -> int:
    number = parse_amount(value)
    return int(number) if number is not None and number >= 1 else 1


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


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
