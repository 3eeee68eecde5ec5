"""Changing a subscription: the plans on offer, the add-ons, what it costs and from when, and the order.

A form says all that is wanted, as a basket does; what is not in it is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.basket.holding import Holding, owned_add_ons, read_holding
from sync_service.commerce.basket.items import WantedItem
from sync_service.commerce.order import CannotBePlacedError, UpdateAction
from sync_service.commerce.subscribed import read_day
from sync_service.partner.baskets import Baskets, BasketView, Opening
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.partner.portal.acting import NO_BASKET, agent
from sync_service.web.partner.portal.customers import is_id
from sync_service.web.partner.portal.session import person, scope
from sync_service.web.partner.portal.subscriptions import find_subscription

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


@dataclass(frozen=True, kw_only=True)
class BasketLine:
    """An item of the basket as a row."""

    #: Add or Remove.
    action: str
    name: str
    quantity: int
    amount: Any
    #: None: at once.
    day: date | None


@dataclass(frozen=True, kw_only=True)
class ShownBasket:
    """All that the page shows of a basket."""

    id: str
    rows: tuple[BasketLine, ...]
    total: Mapping[str, Any]
    current: OfferChoice | None
    upgrades: tuple[OfferChoice, ...]
    downgrades: tuple[OfferChoice, ...]
    owned: tuple[OfferChoice, ...]
    offered: tuple[OfferChoice, ...]


def attach(blueprint: Blueprint, settings: Settings, database: Database, baskets: Baskets) -> None:
    """Add the pages."""

    @blueprint.post("/subscriptions/<subscription_id>/change")
    def change(subscription_id: str) -> AnyResponse:
        view = baskets.open(agent(), Opening(id=subscription_id if is_id(subscription_id) else ""))
        return redirect(url_for("portal.basket", basket_id=view.id), 303)

    @blueprint.get("/baskets/<basket_id>")
    def basket(basket_id: str) -> AnyResponse | str:
        view = baskets.read(agent(), _checked(basket_id))
        if view.order_id is not None:
            return redirect(url_for("portal.order", order_id=view.order_id), 303)
        return _page(view, *_read(view))

    @blueprint.post("/baskets/<basket_id>")
    def fill(basket_id: str) -> AnyResponse | str:
        view = baskets.read(agent(), _checked(basket_id))
        held, today = _read(view)
        try:
            baskets.change(agent(), view.id, read_wanted(request.form, held, today))
        except (CannotBePlacedError, NoNumber) as error:
            return make_response(_page(view, held, today, problem=str(error)), 400)
        return redirect(url_for("portal.basket", basket_id=view.id), 303)

    @blueprint.post("/baskets/<basket_id>/order")
    def place(basket_id: str) -> AnyResponse | str:
        view = baskets.read(agent(), _checked(basket_id))
        try:
            work = baskets.submit(agent(), view.id, client=person().email)
        except CannotBePlacedError as error:
            problem = f"Nothing was ordered. {error} Look at the new basket and order again."
            return make_response(_page(view, *_read(view), problem=problem), 400)
        return redirect(url_for("portal.order", order_id=work.order_id), 303)

    def _read(view: BasketView) -> tuple[Holding, date]:
        with database.reading() as session:
            today = settings.day_at(session.now())
            detail = find_subscription(session, scope(), view.subscription_id or "")
        held = read_holding(
            detail.subscription, detail.offers, detail.add_ons, detail.schedule, today, settings.tenant_time_zone
        )
        return held, today

    def _page(view: BasketView, held: Holding, today: date, problem: str = "") -> str:
        return render_template(
            "partner/basket.html", basket=show(view, held, today), held=held, today=today, problem=problem
        )


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


def show(view: BasketView, held: Holding, today: date) -> ShownBasket:
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
    return ShownBasket(
        id=view.id,
        rows=tuple(_row(each, today) for each in items),
        total=order["total"],
        current=_current(held, added, is_chosen=new_offer in (None, current.offer.ref.id if current else None)),
        upgrades=tuple(plan(each) for each in following["upgrades"]),
        downgrades=tuple(plan(each) for each in following["downgrades"]),
        owned=tuple(
            choice(each, 0 if each["id"] in gone and each["id"] not in added else owned[each["id"]].quantity)
            for each in following["subscriptionAddOns"]
            if each["id"] in owned
        ),
        offered=(
            *(choice(each, 0) for each in following["crossSells"] if each["id"] not in owned),
            *(_added(each) for each in added.values() if each["type"] == "addon" and each["offerId"] not in owned),
        ),
    )


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


def _row(item: Mapping[str, Any], today: date) -> BasketLine:
    day = read_day(item["effective_date"])
    return BasketLine(
        action=item["orderItemActionType"].capitalize(),
        name=item["name"],
        quantity=item["quantity"],
        amount=item["price"].get("amount") if item["orderItemActionType"] == "add" else None,
        day=day if day and day > today else None,
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


def _checked(basket_id: str) -> str:
    if not is_id(basket_id):
        raise NotFound(NO_BASKET)
    return basket_id
