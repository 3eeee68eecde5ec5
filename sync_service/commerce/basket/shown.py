"""A basket as Limio's partner API shows it: `order` and `nextActions` of a checkout's answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sync_service.commerce.basket.amounts import Totals, price_of, prorate
from sync_service.commerce.basket.holding import Effect, Holding
from sync_service.commerce.basket.items import Basket, BasketItem
from sync_service.commerce.basket.on_sale import ELIGIBLE_PARTNERS, Choices
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import UpdateAction
from sync_service.commerce.order_objects import headline_of
from sync_service.subscription.limio.documents import data_of
from sync_service.subscription.schedule.money import as_json_number

#: What the catalog says of others: whom an offer is for besides, and offers that this partner may not buy.
_OF_OTHERS = frozenset(
    {
        ELIGIBLE_PARTNERS,
        "upgrade_offers__limio",
        "downgrade_offers__limio",
        "cross_sell_addons__limio",
        "cross_sell_add_ons__limio",
    }
)
_TYPES = {"offer": "offer", "add_on": "addon"}


def show_checkout(
    holding: Holding, basket: Basket, *, basket_id: str, external_id: str | None, today: date, at: str
) -> dict[str, Any]:
    """`order` and `nextActions`; `at` is now as a timestamp, `today` the day of it in the tenant's zone.

    What holds nothing yet is bought anew. Amounts that only Zuora knows are left out: they are never 0.
    """
    effective = basket.effective
    last = next((item.effect for item in basket.items if item.effect.day == effective), None)
    order = {
        "checkoutId": basket_id,
        **({"external_id": external_id} if external_id else {}),
        **_show_kind(holding),
        "orderItems": [_show_item(item, holding, basket_id, today, at) for item in basket.items],
        **({"country": holding.country} if holding.country else {}),
        "source": "shop",
        **({"effectiveDate": _instant(last, at)} if last else {}),
        "total": _show_totals(basket, holding.currency),
    }
    return {"order": order, "nextActions": show_choices(basket.choices, holding.currency)}


def _show_kind(holding: Holding) -> dict[str, Any]:
    if not holding.id:
        return {"order_type": "new"}
    current = {"forSubscriptionOffer": {"offerId": holding.current.offer.ref.id}} if holding.current else {}
    named = {"id": holding.id, "name": holding.reference}
    return {"order_type": "update_subscription", "forSubscription": named, **current}


def show_choices(choices: Choices, currency: str | None) -> dict[str, Any]:
    """`nextActions`."""
    return {
        "upgrades": [show_offer(offer, currency) for offer in choices.upgrades],
        "downgrades": [show_offer(offer, currency) for offer in choices.downgrades],
        "crossSells": [show_offer(offer, currency) for offer in choices.cross_sells],
        "subscriptionAddOns": [show_offer(offer, currency) for offer in choices.add_ons],
        "selectOffer": choices.select_offer,
    }


def show_offer(offer: Offer, currency: str | None) -> dict[str, Any]:
    """The whole offer, with the five fields of Limio's schema at its top."""
    price = price_of(offer, 1, currency)
    code = offer.currency or currency
    document = without_others(offer.document)
    said = document.get("description") or data_of(document).get("description")
    return {
        **document,
        "id": offer.ref.id,
        "name": offer.name,
        "description": str(said or ""),
        "price": _show_price(price.amount if price else None, code),
        "attributes": without_others(offer.attributes),
    }


def without_others(value: Any) -> Any:
    """A copy of a catalog's document, or of one that has some inside, without what it says of other partners."""
    if isinstance(value, Mapping):
        return {key: without_others(inner) for key, inner in value.items() if key not in _OF_OTHERS}
    return [without_others(each) for each in value] if isinstance(value, list | tuple) else value


def _show_item(item: BasketItem, holding: Holding, basket_id: str, today: date, at: str) -> dict[str, Any]:
    price, currency, effect = item.price, holding.currency, item.effect
    amount = None if price.amount is None else price.amount - price.discount
    line: dict[str, Any] = {"quantity": item.quantity, "discount": as_json_number(price.discount)}
    if price.unit is not None:
        line["unitAmount"] = as_json_number(price.unit)
    if amount is not None:
        line["amount"] = as_json_number(amount)
    if effect.at_once and holding.period is not None:
        line["period"] = {"from": today.isoformat(), "to": holding.period.end.isoformat()}
        if amount is not None:
            sign = 1 if item.action is UpdateAction.ADD else -1
            line["prorated"] = as_json_number(sign * prorate(amount, holding.period, today, currency))
    named = f"{basket_id}/{item.action}/{item.held_id or item.offer.ref.id}"
    return {
        "id": str(uuid5(NAMESPACE_URL, named)),
        "orderItemActionType": item.action.value,
        "type": _TYPES[item.record_type],
        "offerId": item.offer.ref.id,
        "name": item.offer.name,
        "quantity": item.quantity,
        "price": _show_price(price.amount, currency),
        "orderLineItem": line,
        "effective_date": _instant(effect, at),
    }


def _instant(effect: Effect, at: str) -> str:
    return at if effect.at_once else f"{effect.day.isoformat()}T00:00:00Z"


def _show_totals(basket: Basket, currency: str | None) -> dict[str, Any]:
    totals: Totals = basket.totals
    known = all(item.price.amount is not None for item in basket.items if item.action is UpdateAction.ADD)
    sums = {
        "orderSubtotal": totals.subtotal if known else None,
        "orderTotal": totals.total if known else None,
        "totalOrderDiscounts": totals.discounts,
        "amount": totals.due,
    }
    shown = {name: as_json_number(value) for name, value in sums.items() if value is not None}
    return {**({"currency": currency} if currency else {}), **shown}


def _show_price(amount: Decimal | None, currency: str | None) -> dict[str, Any]:
    code = {"currency": currency} if currency else {}
    if amount is None:
        return code
    headline = headline_of(amount, currency)
    return {**code, "amount": as_json_number(amount), "summary": {"headline": headline, "subline": ""}}
