"""A new subscription: what is sold to the partner, for whom, what it costs, and the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import iso3166
from flask import make_response, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.basket.amounts import price_of
from sync_service.commerce.basket.items import WantedItem
from sync_service.commerce.basket.on_sale import OffersOnSale
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import CannotBePlacedError, OrderType, UpdateAction
from sync_service.partner.baskets import Opening
from sync_service.partner.holdings import read_new_ground
from sync_service.web.page_parts import get, post
from sync_service.web.partner.portal.acting import PortalPages, agent
from sync_service.web.partner.portal.customers import Customer, find_customer
from sync_service.web.partner.portal.order_page import review
from sync_service.web.partner.portal.session import scope

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
    ("country", "Country", "country", True),
)
#: Names by code, in the order of the names.
COUNTRIES = {each.alpha2: each.apolitical_name for each in sorted(iso3166.countries, key=lambda it: it.apolitical_name)}
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

    @property
    def country(self) -> str | None:
        """As a code of two letters."""
        return self.fields.get("country", "").upper() or None

    def wanted(self, offer_id: str) -> tuple[WantedItem, ...]:
        """What goes into the basket."""
        items = [("offer", offer_id, self.quantity), *(("add_on", each, 1) for each in self.add_ons)]
        return tuple(
            WantedItem(action=UpdateAction.ADD, record_type=kind, item_id=id, quantity=count)
            for kind, id, count in items
        )


class NewOrderPages(PortalPages):
    """`/partner/new…`: choose, fill in, look, order."""

    @get("/new")
    def new(self) -> str:
        """What is sold to the partner."""
        on_sale = self._shelf()
        sold = [_sold(offer) for offer in on_sale.published if offer.record_type == "offer" and on_sale.sells(offer)]
        customer = self._customer(request.args.get("customer", ""))
        return render_template("partner/new.html", sold=sold, customer=customer)

    @get("/new/<offer_id>")
    def new_of(self, offer_id: str) -> str:
        """The form of one offer."""
        customer = self._customer(request.args.get("customer", ""))
        first, _, last = (customer.name if customer else "").rpartition(" ")
        known = {"firstName": first, "lastName": last, "email": customer.email} if customer else {}
        draft = PurchaseForm(quantity=1, add_ons=(), fields=known, customer_id=customer.id if customer else "")
        return self._form(offer_id, draft)

    @post("/new/<offer_id>")
    def review_new(self, offer_id: str) -> AnyResponse | str:
        """What it costs."""
        draft = _read_draft()
        customer = self._customer(draft.customer_id)
        _find(self._shelf(), offer_id)
        try:
            view = self._context.baskets.open(agent(), Opening(country=draft.country, wanted=draft.wanted(offer_id)))
            payload = _payload(view.id, draft, customer)
            with self._database.reading() as session:
                self._context.orders.check(session, agent(), payload)
        except CannotBePlacedError as error:
            return make_response(self._form(offer_id, draft, str(error)), 400)
        page = {"offer_id": offer_id, "draft": draft, "fields": FIELDS, "countries": COUNTRIES}
        return review(self._context, view, payload, **page)

    @post("/new/<offer_id>/again")
    def new_again(self, offer_id: str) -> str:
        """The form as it was filled in."""
        return self._form(offer_id, _read_draft())

    @post("/new/<offer_id>/order")
    def buy(self, offer_id: str) -> AnyResponse:
        """The order."""
        draft = _read_draft()
        customer = self._customer(draft.customer_id)
        _find(self._shelf(), offer_id)
        view = self._context.baskets.read(agent(), request.form.get("basket", ""), buys=True)
        payload = _payload(view.id, draft, customer)
        return self._context.place(payload, lambda text: self._form(offer_id, draft, f"Nothing was ordered. {text}"))

    def _form(self, offer_id: str, draft: PurchaseForm, problem: str = "") -> str:
        on_sale = self._shelf()
        offer = _find(on_sale, offer_id)
        return render_template(
            "partner/new_of.html",
            sold=_sold(offer),
            add_ons=[_sold(each) for each in on_sale.named(offer.cross_sell_attribute)],
            draft=draft,
            customer=self._customer(draft.customer_id),
            fields=FIELDS,
            countries=COUNTRIES,
            problem=problem,
        )

    def _shelf(self) -> OffersOnSale:
        with self._database.reading() as session:
            return read_new_ground(session, scope(), self._context.today(session)).on_sale

    def _customer(self, customer_id: str) -> Customer | None:
        """The partner's customer; None where none is named. Raises NotFound."""
        if not customer_id:
            return None
        with self._database.reading() as session:
            return find_customer(session, scope(), customer_id)


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


def _payload(basket_id: str, draft: PurchaseForm, customer: Customer | None) -> Mapping[str, Any]:
    """The order of the basket, as Limio's API takes it."""
    said = {name: value for name, value in draft.fields.items() if value}
    return {
        "order_type": OrderType.NEW.value,
        "checkoutId": basket_id,
        "customerDetails": {name: said[name] for name in _PERSON if name in said},
        "billingDetails": {name: value for name, value in said.items() if name != "companyName"},
        "payment": {"type": "invoice"},
        "country": draft.country or "",
        **({"owner": customer.owner} if customer and customer.owner else {}),
    }
