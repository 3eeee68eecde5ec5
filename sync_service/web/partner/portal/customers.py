"""The partner's customers, with search, one of them, and one subscription: what it holds, its payments, its lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.cipher import TextCipher
from sync_service.access.partner_scope import PartnerScope
from sync_service.commerce.basket.holding import HeldItem, owned_add_ons
from sync_service.partner.holdings import OwnSubscription
from sync_service.partner.scope import list_customers, list_subscriptions, read_customer
from sync_service.store.engine import Session
from sync_service.subscription.limio.documents import get_value, read_day
from sync_service.web.page_parts import get, post, see_other
from sync_service.web.partner.portal.acting import PortalContext, PortalPages
from sync_service.web.partner.portal.session import scope

#: Rows of a list.
PAGE = 50


@dataclass(frozen=True)
class Customer:
    """A customer as the pages show one."""

    id: str
    name: str
    email: str
    owner: str | None


class PortalCustomerPages(PortalPages):
    """`/partner`, `/partner/customers/…` and `/partner/subscriptions/…`."""

    def __init__(self, context: PortalContext) -> None:
        super().__init__(context)
        # URLs hold no names or addresses.
        self._cipher = TextCipher(context.settings.secret_keys, "portal search")

    @get("")
    def customers(self) -> str:
        """All of them, or those that were searched for."""
        found = request.args.get("find", "")
        wanted, more = self._cipher.decrypt(found) if found else "", request.args.get("queryMore") or None
        with self._database.reading() as session:
            page, hits = list_customers(session, scope(), wanted=wanted or None, limit=PAGE, query_more=more)
        return render_template(
            "partner/customers.html",
            rows=[as_customer(each) for each in page.items],
            hits=hits,
            wanted=wanted,
            find=found or None,
            more=page.query_more,
        )

    @post("/search")
    def search(self) -> AnyResponse:
        """Leads to what is found."""
        wanted = "".join(each for each in request.form.get("wanted", "") if each.isprintable()).strip()
        return see_other("portal.customers", find=self._cipher.encrypt(wanted) if wanted else None)

    @get("/customers/<customer_id>")
    def customer(self, customer_id: str) -> str:
        """One, with the subscriptions."""
        more = request.args.get("queryMore") or None
        with self._database.reading() as session:
            shown = find_customer(session, scope(), customer_id)
            held, following = [], None
            if shown.owner:
                page = list_subscriptions(session, scope(), owner=shown.owner, limit=PAGE, query_more=more)
                held, following = [_as_held(each) for each in page.items], page.query_more
        return render_template("partner/customer.html", customer=shown, rows=held, more=following)

    @get("/subscriptions/<subscription_id>")
    def subscription(self, subscription_id: str) -> str:
        """What it holds, its payments, and its lock."""
        with self._database.reading() as session:
            held = self._context.look_at(session, subscription_id)
            shown = show_subscription(session, held, self._context.today(session))
        return render_template("partner/subscription.html", shown=shown, held=held.holding, lock=held.lock)


#: The same whether there is none or it is another's.
NO_CUSTOMER = "You have no customer by this id."


def find_customer(session: Session, scope: PartnerScope, customer_id: str) -> Customer:
    """The partner's customer. Raises NotFound."""
    document = read_customer(session, scope, customer_id)
    if document is None:
        raise NotFound(NO_CUSTOMER)
    return as_customer(document)


def as_customer(document: Mapping[str, Any]) -> Customer:
    """What the pages show of Limio's customer object."""
    return Customer(
        id=str(document.get("id") or ""),
        name=str(get_value(document, "data.name") or ""),
        email=str(get_value(document, "data.email") or ""),
        owner=document.get("owner") if isinstance(document.get("owner"), str) else None,
    )


def _as_held(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(document.get("id") or ""),
        "reference": str(document.get("reference") or document.get("id") or ""),
        "status": str(document.get("status") or ""),
        "term_end": read_day(get_value(document, "data.termEndDate")),
        "is_external": get_value(document, "data.attributes.external") is True,
    }


def show_subscription(session: Session, held: OwnSubscription, today: date) -> dict[str, Any]:
    """What the page shows of a subscription that was found in scope."""
    holding = held.holding
    renews = get_value(held.document, "data.attributes.autoRenew")
    return {
        "customer": find_customer_of(session, held),
        "term_start": read_day(get_value(held.document, "data.termStartDate")),
        "renews": renews if isinstance(renews, bool) else None,
        "offers": [_item(each, today) for each in holding.offers if each.end is None or each.end > today],
        "add_ons": [_item(each, today) for each in owned_add_ons(holding, today)],
        "payments": sorted(map(_payment, held.schedule), key=lambda each: each["due"] or date.max),
    }


def find_customer_of(session: Session, held: OwnSubscription) -> Customer | None:
    """The partner's customer whose the subscription is."""
    customer_id = held.document.get("customer")
    document = read_customer(session, scope(), customer_id) if isinstance(customer_id, str) else None
    return as_customer(document) if document else None


def _item(held: HeldItem, today: date) -> dict[str, Any]:
    when = ""
    if held.start is not None and held.start > today:
        when = f"from {held.start:%d %b %Y}"
    elif held.end is not None:
        when = f"until {held.end:%d %b %Y}"
    return {"name": held.offer.name, "quantity": held.quantity, "when": when}


def _payment(entry: Mapping[str, Any]) -> dict[str, Any]:
    lines = get_value(entry, "data.lineItems")
    names = [each.get("chargeName") or each.get("name") for each in lines or () if isinstance(each, Mapping)]
    currency = get_value(entry, "data.currency")
    status = str(entry.get("status") or "")
    return {
        "due": read_day(get_value(entry, "data.date")),
        "names": tuple(dict.fromkeys(str(name) for name in names if name)),
        "amount": get_value(entry, "data.amount"),
        "currency": currency if isinstance(currency, str) else None,
        "status": status,
        "is_cancelled": status.lower().startswith("cancel"),
    }
