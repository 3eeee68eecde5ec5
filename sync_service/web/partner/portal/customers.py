"""The partner's customers, with search, and one of them with its subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.cipher import TextCipher
from sync_service.access.partner_scope import PartnerScope
from sync_service.partner.reading import list_customers, list_subscriptions, read_customer
from sync_service.store.engine import Database, Session
from sync_service.subscription.limio.documents import get_value, read_day
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


@dataclass(frozen=True)
class CustomerSubscription:
    """One of a customer's subscriptions, as a row."""

    id: str
    reference: str
    status: str
    term_end: Any
    is_external: bool


def attach(blueprint: Blueprint, database: Database, cipher: TextCipher) -> None:
    """Add the pages. `cipher` hides what was searched for: URLs hold no names or addresses."""

    @blueprint.get("")
    def customers() -> str:
        found = request.args.get("find", "")
        wanted, more = cipher.decrypt(found) if found else "", request.args.get("queryMore") or None
        with database.reading() as session:
            page, hits = list_customers(session, scope(), wanted=wanted or None, limit=PAGE, query_more=more)
        return render_template(
            "partner/customers.html",
            rows=[as_customer(each) for each in page.items],
            hits=hits,
            wanted=wanted,
            find=found or None,
            more=page.query_more,
        )

    @blueprint.post("/search")
    def search() -> AnyResponse:
        wanted = "".join(each for each in request.form.get("wanted", "") if each.isprintable()).strip()
        return redirect(url_for("portal.customers", find=cipher.encrypt(wanted) if wanted else None), 303)

    @blueprint.get("/customers/<customer_id>")
    def customer(customer_id: str) -> str:
        more = request.args.get("queryMore") or None
        with database.reading() as session:
            shown = find_customer(session, scope(), customer_id)
            held, following = [], None
            if shown.owner:
                page = list_subscriptions(session, scope(), owner=shown.owner, limit=PAGE, query_more=more)
                held, following = [_as_held(each) for each in page.items], page.query_more
        return render_template("partner/customer.html", customer=shown, rows=held, more=following)


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


def _as_held(document: Mapping[str, Any]) -> CustomerSubscription:
    return CustomerSubscription(
        id=str(document.get("id") or ""),
        reference=str(document.get("reference") or document.get("id") or ""),
        status=str(document.get("status") or ""),
        term_end=read_day(get_value(document, "data.termEndDate")),
        is_external=get_value(document, "data.attributes.external") is True,
    )
