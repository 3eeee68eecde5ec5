"""A new subscription: what is sold to the partner, for whom, what it costs, and the order."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.basket.amounts import price_of
from sync_service.commerce.basket.on_sale import OffersOnSale, cross_sells
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import CannotBePlacedError, OrderType
from sync_service.partner.holdings import read_stock
from sync_service.partner.orders import PartnerOrders
from sync_service.partner.reading import read_customer
from sync_service.queue.submission import OtherBody
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.partner.portal.acting import agent
from sync_service.web.partner.portal.customers import NO_CUSTOMER, Customer, as_customer, is_id
from sync_service.web.partner.portal.order_page import asked_by_form
from sync_service.web.partner.portal.session import person, scope

#: The same whether there is none or it is not sold to this partner.
NO_OFFER = "There is no such offer for you."
#: Of the form: Limio's names, the words on the page, what browsers fill in, and whether they are needed.
FIELDS = (
    ("firstName", "First name", "given-name", True),
    ("lastName", "Last name", "family-name", True),
    ("email", "Email address", "email", True),
    ("companyName", "Company", "organization", False),
    ("address1", "Address", "address-line1", True),
    ("city", "City", "address-level2", True),
    ("postalCode", "Postal code", "postal-code", True),
    ("country", "Country, as a code of two letters such as GB", "country", True),
)
_PERSON = ("firstName", "lastName", "email", "companyName")


@dataclass(frozen=True, kw_only=True)
class Sold:
    """An offer or add-on as it is sold."""

    offer: Offer
    price: Decimal | None

    @property
    def counts(self) -> bool:
        """Sold in more than one."""
        return self.offer.attributes.get("allow_multibuy__limio") is True


@dataclass(frozen=True, kw_only=True)
class PurchaseForm:
    """What the form says: quantity, ids of add-ons, and the customer's fields."""

    quantity: int
    add_ons: tuple[str, ...]
    fields: dict[str, str]
    customer_id: str


class NewOrders:
    """`/partner/new…`: choose, fill in, look, order."""

    def __init__(self, settings: Settings, database: Database, orders: PartnerOrders) -> None:
        self._settings = settings
        self._database = database
        self._orders = orders

    def attach(self, blueprint: Blueprint) -> None:
        """Add the pages."""
        blueprint.add_url_rule("/new", "new", self._choose)
        blueprint.add_url_rule("/new/<offer_id>", "new_of", self._begin)
        blueprint.add_url_rule("/new/<offer_id>", "review", self._review, methods=["POST"])
        blueprint.add_url_rule("/new/<offer_id>/order", "buy", self._buy, methods=["POST"])

    def _choose(self) -> str:
        on_sale = self._on_sale()
        sold = [_sold(offer) for offer in on_sale.published if offer.record_type == "offer" and on_sale.sells(offer)]
        customer = self._customer(request.args.get("customer", ""))
        return render_template("partner/new.html", sold=sold, customer=customer)

    def _begin(self, offer_id: str) -> str:
        customer = self._customer(request.args.get("customer", ""))
        first, _, last = (customer.name if customer else "").rpartition(" ")
        known = {"firstName": first, "lastName": last, "email": customer.email} if customer else {}
        draft = PurchaseForm(quantity=1, add_ons=(), fields=known, customer_id=customer.id if customer else "")
        return self._form(offer_id, draft)

    def _review(self, offer_id: str) -> AnyResponse | str:
        on_sale, draft, key = self._on_sale(), _read_draft(), secrets.token_urlsafe(16)
        offer = _find(on_sale, offer_id)
        try:
            payload = _payload(offer, draft, self._customer(draft.customer_id), key)
            with self._database.reading() as session:
                self._orders.check(session, agent(), payload)
        except CannotBePlacedError as error:
            return make_response(self._form(offer_id, draft, str(error)), 400)
        add_ons = [_sold(each) for each in on_sale.named(cross_sells(offer)) if each.ref.id in draft.add_ons]
        price = price_of(offer, draft.quantity, offer.currency)
        amount = price.amount - price.discount if price and price.amount is not None else None
        amounts = [amount, *(each.price for each in add_ons)]
        known = [each for each in amounts if each is not None]
        return render_template(
            "partner/review.html",
            offer=offer,
            draft=draft,
            amount=amount,
            add_ons=add_ons,
            total=sum(known) if len(known) == len(amounts) else None,
            fields=FIELDS,
            key=key,
        )

    def _buy(self, offer_id: str) -> AnyResponse | str:
        draft = _read_draft()
        customer = self._customer(draft.customer_id)
        payload = _payload(_find(self._on_sale(), offer_id), draft, customer, request.form.get("key", ""))
        try:
            work = self._orders.place(agent(), payload, asked_by_form(payload), client=person().email)
        except (CannotBePlacedError, OtherBody) as error:
            return make_response(self._form(offer_id, draft, str(error)), 400)
        return redirect(url_for("portal.order", order_id=work.order_id), 303)

    def _form(self, offer_id: str, draft: PurchaseForm, problem: str = "") -> str:
        on_sale = self._on_sale()
        offer = _find(on_sale, offer_id)
        return render_template(
            "partner/new_of.html",
            sold=_sold(offer),
            add_ons=[_sold(each) for each in on_sale.named(cross_sells(offer))],
            draft=draft,
            customer=self._customer(draft.customer_id),
            fields=FIELDS,
            problem=problem,
        )

    def _on_sale(self) -> OffersOnSale:
        with self._database.reading() as session:
            today = self._settings.day_at(session.now())
            return read_stock(session, scope(), currency=None, country=None, today=today).on_sale

    def _customer(self, customer_id: str) -> Customer | None:
        """The partner's customer; None where none is named. Raises NotFound."""
        if not customer_id:
            return None
        with self._database.reading() as session:
            document = read_customer(session, scope(), customer_id) if is_id(customer_id) else None
        if document is None:
            raise NotFound(NO_CUSTOMER)
        return as_customer(document)


def _find(on_sale: OffersOnSale, offer_id: str) -> Offer:
    offer = on_sale.find(offer_id)
    if offer is None or offer.record_type != "offer":
        raise NotFound(NO_OFFER)
    return offer


def _sold(offer: Offer) -> Sold:
    price = price_of(offer, 1, offer.currency)
    return Sold(offer=offer, price=price.amount if price else None)


def _read_draft() -> PurchaseForm:
    form = request.form
    quantity = form.get("quantity", "1").strip()
    number = int(quantity) if quantity.isascii() and quantity.isdigit() and len(quantity) < 10 else 0
    fields = {name: form.get(name, "").strip()[:255] for name, _, _, _ in FIELDS}
    add_ons = tuple(form.getlist("add-on")[:50])
    return PurchaseForm(quantity=number, add_ons=add_ons, fields=fields, customer_id=form.get("customer", "")[:100])


def _payload(offer: Offer, draft: PurchaseForm, customer: Customer | None, key: str) -> Mapping[str, Any]:
    """The order, as Limio's API takes it; the version is the one that the page showed."""
    said = {name: value for name, value in draft.fields.items() if value}
    return {
        "order_type": OrderType.NEW.value,
        "checkoutId": f"portal-{key[:60]}",
        "orderItems": [
            {
                "offer": {"id": offer.ref.id, "version": offer.ref.version},
                "quantity": draft.quantity,
                **({"addOns": [{"id": each} for each in draft.add_ons]} if draft.add_ons else {}),
            }
        ],
        "customerDetails": {name: said[name] for name in _PERSON if name in said},
        "billingDetails": {name: value for name, value in said.items() if name != "companyName"},
        "payment": {"type": "invoice"},
        "country": said.get("country", "").upper(),
        **({"owner": customer.owner} if customer and customer.owner else {}),
    }
