"""One of the partner's subscriptions: what it holds, its payments, and a change that is on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any

from flask import Blueprint, render_template
from werkzeug.exceptions import NotFound

from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.holding import HeldItem, Holding, owned_add_ons, read_holding
from sync_service.commerce.subscribed import read_day
from sync_service.partner.holdings import find_lock, find_own
from sync_service.partner.reading import NotThePartners, SubscriptionDetail, read_customer, read_subscription
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.subscription.limio.documents import get_value
from sync_service.web.partner.portal.customers import Customer, as_customer, is_id
from sync_service.web.partner.portal.session import scope

#: The same whether there is none or it is another's.
NO_SUBSCRIPTION = "You have no subscription by this id."


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
    """All that the page shows of a subscription."""

    holding: Holding
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
            detail = find_subscription(session, scope(), subscription_id)
            shown = show_subscription(session, detail, today, settings.tenant_time_zone)
            own = find_own(session, scope(), id=subscription_id)
            lock = find_lock(session, own, shown.holding, today) if own is not None else None
        return render_template("partner/subscription.html", shown=shown, held=shown.holding, lock=lock)


def find_subscription(session: Session, scope: PartnerScope, subscription_id: str) -> SubscriptionDetail:
    """The partner's subscription. Raises NotFound, in the same words for none and for another's."""
    try:
        detail = read_subscription(session, scope, subscription_id) if is_id(subscription_id) else None
    except NotThePartners:
        detail = None
    if detail is None:
        raise NotFound(NO_SUBSCRIPTION)
    return detail


def show_subscription(session: Session, detail: SubscriptionDetail, today: date, zone: tzinfo) -> PortalSubscription:
    """What the page shows of a subscription that was found in scope."""
    held = read_holding(detail.subscription, detail.offers, detail.add_ons, detail.schedule, today, zone)
    customer_id = detail.subscription.get("customer")
    customer = read_customer(session, scope(), customer_id) if isinstance(customer_id, str) else None
    renews = get_value(detail.subscription, "data.attributes.autoRenew")
    return PortalSubscription(
        holding=held,
        customer=as_customer(customer) if customer else None,
        term_start=read_day(get_value(detail.subscription, "data.termStartDate")),
        renews=renews if isinstance(renews, bool) else None,
        offers=tuple(_item(each, today) for each in held.offers if each.end is None or each.end > today),
        add_ons=tuple(_item(each, today) for each in owned_add_ons(held, today)),
        payments=tuple(sorted((_payment(each) for each in detail.schedule), key=lambda each: each.due or date.max)),
    )


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
