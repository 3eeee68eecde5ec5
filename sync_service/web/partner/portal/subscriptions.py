"""One of the partner's subscriptions: what it holds, its payments, and a change that is on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, render_template

from sync_service.commerce.basket.holding import HeldItem, owned_add_ons
from sync_service.partner.holdings import OwnSubscription, look_at
from sync_service.partner.reading import read_customer
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.subscription.limio.documents import get_value, read_day
from sync_service.web.partner.portal.customers import Customer, as_customer
from sync_service.web.partner.portal.session import scope


@dataclass(frozen=True)
class PortalItem:
    """An offer or add-on as a row. `when` says since or until when, where it is not simply in force."""

    name: str
    quantity: int
    when: str


@dataclass(frozen=True)
class PortalPayment:
    """An entry of the schedule as a row."""

    due: date | None
    names: tuple[str, ...]
    amount: Any
    currency: str | None
    status: str
    is_cancelled: bool


@dataclass(frozen=True, kw_only=True)
class PortalSubscription:
    """All that the page shows of a subscription, beside what is held."""

    customer: Customer | None
    term_start: date | None
    renews: bool | None
    offers: tuple[PortalItem, ...]
    add_ons: tuple[PortalItem, ...]
    payments: tuple[PortalPayment, ...]


def attach(blueprint: Blueprint, settings: Settings, database: Database) -> None:
    """Add the page."""

    @blueprint.get("/subscriptions/<subscription_id>")
    def subscription(subscription_id: str) -> str:
        with database.reading() as session:
            today = settings.day_at(session.now())
            held = look_at(session, scope(), subscription_id, today, settings.tenant_time_zone)
            shown = show_subscription(session, held, today)
        return render_template("partner/subscription.html", shown=shown, held=held.holding, lock=held.lock)


def show_subscription(session: Session, held: OwnSubscription, today: date) -> PortalSubscription:
    """What the page shows of a subscription that was found in scope."""
    holding = held.holding
    renews = get_value(held.document, "data.attributes.autoRenew")
    return PortalSubscription(
        customer=find_customer_of(session, held),
        term_start=read_day(get_value(held.document, "data.termStartDate")),
        renews=renews if isinstance(renews, bool) else None,
        offers=tuple(_item(each, today) for each in holding.offers if each.end is None or each.end > today),
        add_ons=tuple(_item(each, today) for each in owned_add_ons(holding, today)),
        payments=tuple(sorted((_payment(each) for each in held.schedule), key=lambda each: each.due or date.max)),
    )


def find_customer_of(session: Session, held: OwnSubscription) -> Customer | None:
    """The partner's customer whose the subscription is."""
    customer_id = held.document.get("customer")
    document = read_customer(session, scope(), customer_id) if isinstance(customer_id, str) else None
    return as_customer(document) if document else None


def _item(held: HeldItem, today: date) -> PortalItem:
    when = ""
    if held.start is not None and held.start > today:
        when = f"from {held.start:%d %b %Y}"
    elif held.end is not None:
        when = f"until {held.end:%d %b %Y}"
    return PortalItem(held.offer.name, held.quantity, when)


def _payment(entry: Mapping[str, Any]) -> PortalPayment:
    lines = get_value(entry, "data.lineItems")
    names = [each.get("chargeName") or each.get("name") for each in lines or () if isinstance(each, Mapping)]
    currency = get_value(entry, "data.currency")
    status = str(entry.get("status") or "")
    return PortalPayment(
        due=read_day(get_value(entry, "data.date")),
        names=tuple(dict.fromkeys(str(name) for name in names if name)),
        amount=get_value(entry, "data.amount"),
        currency=currency if isinstance(currency, str) else None,
        status=status,
        is_cancelled=status.lower().startswith("cancel"),
    )
