"""Changing a subscription: the plans on offer, the add-ons, what it costs and from when, and the order.

A form says all that is wanted, as a basket does; what is not in it is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.basket.holding import Holding, owned_add_ons
from sync_service.commerce.basket.items import WantedItem
from sync_service.commerce.order import CannotBePlacedError, OrderType, UpdateAction
from sync_service.partner.baskets import BasketView, Opening
from sync_service.web.page_parts import get, post, see_other
from sync_service.web.partner.portal.acting import PortalPages, agent
from sync_service.web.partner.portal.order_page import review

#: In the form: the offer stays.
KEEP = "keep"
_OFFER, _QUANTITY, _ADD_ON = "offer", "quantity-", "add-on-"


class NoNumber(Exception):
    """A quantity of the form is no whole number."""


@dataclass(frozen=True, kw_only=True)
class OfferChoice:
    """An offer or add-on that the form offers."""

    id: str
    name: str
    #: For one and a period; None where only Zuora knows it.
    price: Any
    currency: str | None
    quantity: int
    #: Sold in more than one.
    counts: bool
    is_chosen: bool = False


class ChangePages(PortalPages):
    """`/partner/baskets/…`: choose, look, order."""

    @post("/subscriptions/<subscription_id>/change")
    def change(self, subscription_id: str) -> AnyResponse:
        """A basket for a subscription."""
        view = self._context.baskets.open(agent(), Opening(id=subscription_id))
        return see_other("portal.basket", basket_id=view.id)

    @get("/baskets/<basket_id>")
    def basket(self, basket_id: str) -> AnyResponse | str:
        """What may be chosen, and what is."""
        view = self._context.baskets.read(agent(), basket_id)
        return _ordered(view) or self._page(view)

    @post("/baskets/<basket_id>")
    def fill(self, basket_id: str) -> AnyResponse | str:
        """What the form says goes into the basket."""
        view = self._context.baskets.read(agent(), basket_id)
        try:
            view = self._context.baskets.change(agent(), view.id, read_wanted(request.form, *self._read(view)))
        except (CannotBePlacedError, NoNumber) as error:
            return self._refuse(view, str(error))
        if not view.document["order"]["orderItems"]:
            return self._refuse(view, "Nothing is chosen yet that differs from what there is.")
        return see_other("portal.review", basket_id=view.id)

    @get("/baskets/<basket_id>/review")
    def review(self, basket_id: str) -> AnyResponse | str:
        """What it costs."""
        view = self._context.baskets.read(agent(), basket_id)
        if not view.document["order"]["orderItems"]:
            return see_other("portal.basket", basket_id=view.id)
        subscription = view.document["order"]["forSubscription"]
        return _ordered(view) or review(self._context, view, _payload(view), subscription=subscription)

    @post("/baskets/<basket_id>/order")
    def place(self, basket_id: str) -> AnyResponse:
        """The order."""
        view = self._context.baskets.read(agent(), basket_id)
        text = "Nothing was ordered. {} Choose again and look at what it costs now."
        return self._context.place(_payload(view), lambda problem: self._page(view, text.format(problem)))

    def _read(self, view: BasketView) -> tuple[Holding, date]:
        with self._database.reading() as session:
            held = self._context.look_at(session, view.subscription_id or "")
            return held.holding, self._context.today(session)

    def _refuse(self, view: BasketView, problem: str) -> AnyResponse:
        return make_response(self._page(view, problem), 400)

    def _page(self, view: BasketView, problem: str = "") -> str:
        held, today = self._read(view)
        typed = request.form if problem and _OFFER in request.form else {}
        basket = show(view, held, today)
        return render_template("partner/basket.html", basket=basket, held=held, problem=problem, typed=typed)


def _ordered(view: BasketView) -> AnyResponse | None:
    """Where a basket leads that was ordered."""
    return see_other("portal.order", order_id=view.order_id) if view.order_id is not None else None


def _payload(view: BasketView) -> dict[str, Any]:
    return {"order_type": OrderType.UPDATE_SUBSCRIPTION.value, "checkoutId": view.id}


def read_wanted(form: Mapping[str, str], held: Holding, today: date) -> list[WantedItem]:
    """What the form wants beside what is held. Raises NoNumber."""
    wanted = []
    chosen, current = form.get(_OFFER, KEEP), held.current
    if chosen != KEEP:
        wanted.append(_add("offer", chosen, _number(form.get(f"{_QUANTITY}{chosen}"))))
    elif current is not None:
        quantity = _number(form.get(f"{_QUANTITY}{current.offer.ref.id}"))
        if quantity not in (None, current.quantity):
            wanted.append(_add("offer", current.offer.ref.id, quantity))
    owned = {item.offer.ref.id: item.quantity for item in owned_add_ons(held, today)}
    for name, value in form.items():
        if not name.startswith(_ADD_ON):
            continue
        item_id, quantity = name.removeprefix(_ADD_ON), _number(value) or 0
        if quantity == owned.get(item_id, 0):
            continue
        if quantity:
            wanted.append(_add("add_on", item_id, quantity))
        else:
            wanted.append(WantedItem(action=UpdateAction.REMOVE, record_type="add_on", item_id=item_id))
    return wanted


def show(view: BasketView, held: Holding, today: date) -> dict[str, Any]:
    """The page's values of a basket."""
    order, following = view.document["order"], view.document["nextActions"]
    items = order["orderItems"]
    added = {each["offerId"]: each for each in items if each["orderItemActionType"] == "add"}
    current = held.current
    new_offer = next((id for id, each in added.items() if each["type"] == "offer"), None)
    quantity = current.quantity if current else 1

    def choice(offer: Mapping[str, Any], usual: int) -> OfferChoice:
        inside = added.get(offer["id"])
        return OfferChoice(
            id=offer["id"],
            name=offer["name"],
            price=offer["price"].get("amount"),
            currency=offer["price"].get("currency"),
            quantity=inside["quantity"] if inside else usual,
            counts=offer["attributes"].get("allow_multibuy__limio") is True,
            is_chosen=inside is not None,
        )

    def plan(offer: Mapping[str, Any]) -> OfferChoice:
        return choice(offer, quantity if offer["attributes"].get("allow_multibuy__limio") is True else 1)

    owned = {item.offer.ref.id: item for item in owned_add_ons(held, today)}
    gone = {each["offerId"] for each in items if each["orderItemActionType"] == "remove"}
    return {
        "id": view.id,
        "current": _current(held, added, is_chosen=new_offer in (None, current.offer.ref.id if current else None)),
        "upgrades": tuple(plan(each) for each in following["upgrades"]),
        "downgrades": tuple(plan(each) for each in following["downgrades"]),
        "owned": tuple(
            choice(each, 0 if each["id"] in gone and each["id"] not in added else owned[each["id"]].quantity)
            for each in following["subscriptionAddOns"]
            if each["id"] in owned
        ),
        "offered": (
            *(choice(each, 0) for each in following["crossSells"] if each["id"] not in owned),
            *(_added(each) for each in added.values() if each["type"] == "addon" and each["offerId"] not in owned),
        ),
    }


def _current(held: Holding, added: Mapping[str, Mapping[str, Any]], *, is_chosen: bool) -> OfferChoice | None:
    if held.current is None:
        return None
    offer = held.current.offer
    inside = added.get(offer.ref.id)
    return OfferChoice(
        id=offer.ref.id,
        name=offer.name,
        price=None,
        currency=held.currency,
        quantity=inside["quantity"] if inside else held.current.quantity,
        counts=offer.attributes.get("allow_multibuy__limio") is True,
        is_chosen=is_chosen,
    )


def _added(item: Mapping[str, Any]) -> OfferChoice:
    """An add-on of the basket, which is no longer among those to buy."""
    return OfferChoice(
        id=item["offerId"],
        name=item["name"],
        price=item["orderLineItem"].get("unitAmount"),
        currency=item["price"].get("currency"),
        quantity=item["quantity"],
        counts=True,
        is_chosen=True,
    )


def _add(record_type: str, item_id: str, quantity: int | None) -> WantedItem:
    return WantedItem(action=UpdateAction.ADD, record_type=record_type, item_id=item_id[:200], quantity=quantity)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NoNumber("A quantity must be a whole number.")
    return int(text)
