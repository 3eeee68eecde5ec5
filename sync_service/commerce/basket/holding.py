"""What a subscription holds today, read from Limio's objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from sync_service.commerce.catalog import Offer, read_offer
from sync_service.commerce.state import day_of
from sync_service.commerce.subscribed import read_day
from sync_service.subscription.plan import Document


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
    """A subscription as the basket needs it. Days are in the tenant's zone, read from Limio's dates."""

    id: str
    reference: str
    owner: str | None
    status: str
    #: Made outside Limio: it takes no commerce actions ("Zuora sync", imported subscriptions).
    is_external: bool
    currency: str | None
    country: str | None
    #: The offer that is in force: no discount, begun, not ended, the newest of those.
    current: HeldItem | None
    offers: tuple[HeldItem, ...]
    add_ons: tuple[HeldItem, ...]
    #: The first day after the term; None: evergreen.
    term_end: date | None
    period: Period | None
    #: The next day on which a payment is due.
    next_payment: date | None
    #: A renewal that was changed already, for this day.
    pending_renewal: date | None


def nothing_yet(*, currency: str | None, country: str | None) -> Holding:
    """What a subscription holds that is still to be bought."""
    return Holding(
        id="",
        reference="",
        owner=None,
        status="",
        is_external=False,
        currency=currency,
        country=country,
        current=None,
        offers=(),
        add_ons=(),
        term_end=None,
        period=None,
        next_payment=None,
        pending_renewal=None,
    )


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
    data = _part(subscription, "data")
    held = tuple(_read_item(each, "offer", zone) for each in offers if _is_live(each))
    base = [item for item in held if not _is_discount(item, offers)]
    current = max(
        (item for item in base if _is_in_force(item, today)), key=lambda item: item.start or date.min, default=None
    )
    price = _part(data, "price")
    term_end = read_day(data.get("termEndDate"))
    due = sorted(_due_days(schedule))
    return Holding(
        id=str(subscription.get("id") or ""),
        reference=str(subscription.get("reference") or ""),
        owner=_text(subscription.get("owner")),
        status=str(subscription.get("status") or ""),
        is_external=_part(data, "attributes").get("external") is True,
        currency=_text(price.get("currency")) or (current.offer.currency if current else None),
        country=_text(data.get("purchaseCountry")),
        current=current,
        offers=tuple(base),
        add_ons=tuple(item for each in add_ons if _is_live(each) for item in [_read_item(each, "add_on", zone)]),
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
        data = _part(entry, "data")
        day = read_day(data.get("date"))
        if day and data.get("type", "payment") == "payment" and entry.get("status") != "cancelled":
            days.add(day)
    return days


def _read_item(document: Document, key: str, zone: tzinfo) -> HeldItem:
    data = _part(document, "data")
    inside = data.get(key)
    return HeldItem(
        id=str(document.get("id") or ""),
        offer=read_offer(inside if isinstance(inside, Mapping) else {}),
        quantity=_read_quantity(data.get("quantity", document.get("quantity"))),
        start=day_of(data.get("start"), zone),
        end=day_of(data.get("end"), zone),
    )


def _is_discount(item: HeldItem, offers: Sequence[Document]) -> bool:
    return any(_part(each, "data").get("record_subtype") == "discount" for each in offers if each.get("id") == item.id)


def _is_live(document: Document) -> bool:
    return bool(document.get("status", "active") == "active")


def _is_in_force(item: HeldItem, today: date) -> bool:
    return (item.start is None or item.start <= today) and (item.end is None or item.end > today)


def _read_quantity(value: Any) -> int:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return 1
    return int(number) if number.is_finite() and number >= 1 else 1


def _part(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
