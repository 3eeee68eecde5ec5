"""What the items of a basket cost: per period, and due today. Decimals throughout, rounded once a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.basket.holding import Period
from sync_service.commerce.catalog import Offer
from sync_service.subscription.limio.documents import part_of
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import parse_amount, round_amount

_HUNDRED = Decimal(100)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What `quantity` of an offer costs for a full period. Amounts are None where only Zuora knows the price."""

    quantity: int
    unit: Decimal | None
    amount: Decimal | None
    discount: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The sums of a basket. `due` is an estimate by days: Zuora's preview of the order is the truth."""

    subtotal: Decimal
    discounts: Decimal
    total: Decimal
    #: Due today; negative is a credit. None where a price is not known.
    due: Decimal | None


def price_of(offer: Offer, quantity: int, currency: str | None, rate: Decimal | None = None) -> Price | None:
    """What `quantity` of `offer` costs in a period; None if no tier of a volume price holds it.

    A volume price per unit is the tier's price times the quantity; a flat tier costs its price, and the quantity
    becomes the tier's last unit. `rate` is Zuora's price of a unit, for offers with an external price.
    """
    if offer.has_external_price:
        amount = None if rate is None else round_amount(rate * quantity, currency)
        return Price(quantity=quantity, unit=rate, amount=amount)
    entry = _recurring(offer)
    tiers = entry.get("tiers") if entry else None
    if tiers:
        return _volume(tiers, quantity, currency)
    unit = _number(entry.get("value")) if entry else Decimal(0)
    if unit is None:
        return Price(quantity=quantity, unit=None, amount=None)
    amount = round_amount(unit * quantity, currency)
    return Price(quantity=quantity, unit=unit, amount=amount, discount=_discount(offer, amount, currency))


def prorate(amount: Decimal, period: Period | None, today: date, currency: str | None) -> Decimal:
    """The part of a period's `amount` for the days that are left of it, today included; all of it without a period."""
    if period is None:
        return round_amount(amount, currency)
    days, left = (period.end - period.start).days, (period.end - today).days
    return round_amount(amount * left / days, currency) if days else Decimal(0)


def sum_up(
    added: Sequence[Price],
    begins_today: Sequence[Price],
    ends_today: Sequence[Price],
    period: Period | None,
    today: date,
    currency: str | None,
) -> Totals:
    """The sums over what is added; of it what begins today is due by days, less what it replaces."""
    zero = round_amount(Decimal(0), currency)
    subtotal = sum((price.amount for price in added if price.amount is not None), zero)
    discounts = sum((price.discount for price in added), zero)
    due: Decimal | None = zero
    for sign, prices in ((1, begins_today), (-1, ends_today)):
        for price in prices:
            if price.amount is None or due is None:
                due = None
                break
            due += sign * prorate(price.amount - price.discount, period, today, currency)
    return Totals(subtotal=subtotal, discounts=discounts, total=subtotal - discounts, due=due)


def _volume(tiers: Sequence[Document], quantity: int, currency: str | None) -> Price | None:
    for tier in tiers:
        first, last = _number(tier.get("startingUnit")), _number(tier.get("endingUnit"))
        price = _number(tier.get("price"))
        if price is None or first is None or quantity < first or (last is not None and quantity > last):
            continue
        if str(tier.get("priceFormat") or "").replace(" ", "").lower() == "flatfee":
            whole = int(last) if last is not None else quantity
            return Price(quantity=whole, unit=None, amount=round_amount(price, currency))
        return Price(quantity=quantity, unit=price, amount=round_amount(price * quantity, currency))
    return None


def _discount(offer: Offer, amount: Decimal, currency: str | None) -> Decimal:
    """What a discount offer takes off its own price: `discount__limio.value` in percent."""
    value = _number(part_of(offer.attributes, "discount__limio").get("value"))
    return round_amount(amount * value / _HUNDRED, currency) if value else Decimal(0)


def _recurring(offer: Offer) -> Document | None:
    """The recurring price, else the one-time price."""
    prices = sorted(offer.prices, key=lambda price: price.get("type") != "recurring")
    return prices[0] if prices else None


def _number(value: Any) -> Decimal | None:
    number = parse_amount(value)
    return None if number is None or number < 0 else number
