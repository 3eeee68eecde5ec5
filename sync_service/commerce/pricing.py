"""What an offer costs, told to Zuora in the words of each charge's model, and why an offer could not be ordered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from sync_service.commerce.catalog import Bundle, Catalog, Offer, ProductCharge, RatePlan, Sale, resolve, unsellable
from sync_service.commerce.offer_terms import UNITS, terms_of
from sync_service.commerce.order import CannotBePlacedError, OrderDiscount, Problem
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import parse_amount, round_amount

#: The key of `pricing` by the charge's type and model, for the models that have a price.
_PRICING = {
    ("Recurring", "FlatFee"): "recurringFlatFee",
    ("Recurring", "PerUnit"): "recurringPerUnit",
    ("Recurring", "Volume"): "recurringVolume",
    ("Recurring", "Tiered"): "recurringTiered",
    ("OneTime", "FlatFee"): "oneTimeFlatFee",
    ("OneTime", "PerUnit"): "oneTimePerUnit",
    ("OneTime", "Volume"): "oneTimeVolume",
    ("OneTime", "Tiered"): "oneTimeTiered",
}
_PRICE_TYPES = {"recurring": "Recurring", "onetime": "OneTime"}
_HUNDRED = Decimal(100)


def plans_of(offer: Offer, sales: Sequence[Sale], quantity: Decimal, *, free: bool = False) -> list[dict[str, Any]]:
    """The `subscribeToRatePlans` entries of an offer or add-on; `free` sets every price to 0 (a gift paid before).

    A Limio price overrides the list price of its charge; with an external price only the quantity is sent. Raises
    CannotBePlacedError where a price finds no charge, or a quantity no charge that counts units.
    """
    return [_plan(offer, sale, _prices(offer, sale, sales, free=free), quantity) for sale in sales]


def discount_plan(plan: RatePlan, discount: OrderDiscount, of: str) -> dict[str, Any]:
    """The entry of a discount's rate plan; `of` names who wishes it."""
    charges = [charge for charge in plan.charges if charge.is_discount]
    if len(charges) != 1:
        raise unsellable(f"{of}: the rate plan “{plan.name}” must have one discount charge; it has {len(charges)}.")
    is_percentage = charges[0].model == "DiscountPercentage"
    value = discount.percentage if is_percentage else discount.amount
    override: dict[str, Any] = {"productRatePlanChargeId": charges[0].id}
    if value is not None:
        override["pricing"] = {"discount": {"discountPercentage" if is_percentage else "discountAmount": value}}
    if discount.periods and discount.period_type:
        override["endDate"] = {
            "endDateCondition": "Fixed_Period",
            "upToPeriods": discount.periods,
            "upToPeriodsType": discount.period_type,
        }
    return {"productRatePlanId": plan.id, **({"chargeOverrides": [override]} if len(override) > 1 else {})}


def discount_of(offer: Offer, bundle: Bundle) -> OrderDiscount:
    """The discount that a cancel-save offer gives: `discount__limio`."""
    said = offer.attributes["discount__limio"]
    value = _number(said.get("value"), f"{offer.label}: discount__limio.value")
    length, unit = said.get("termLength"), str(said.get("termType")).lower()
    return OrderDiscount(
        product_path=bundle.product_path,
        rate_plan=bundle.rate_plan,
        percentage=value,
        amount=value,
        periods=int(_number(length, f"{offer.label}: discount__limio.termLength")) if length else None,
        period_type=unit.capitalize() if unit in UNITS else None,
    )


def unit_price(offer: Offer) -> Decimal | None:
    """The recurring price of one unit, else the one-time price; None where Zuora's list price holds, or by tiers."""
    if offer.has_external_price:
        return None
    for kind in _PRICE_TYPES:
        for price in offer.prices:
            if price.get("type") == kind and price.get("value") not in (None, ""):
                return _number(price["value"], f"{offer.label}: price__limio")
    return None


def counts_units(offer: Offer, catalog: Catalog, day: date) -> bool:
    """Whether more than one of it can be ordered; True, too, where the catalog does not lead to its rate plans."""
    try:
        return all(_counts(sale.plan) for sale in resolve(offer, catalog, day))
    except CannotBePlacedError:
        return True


def _counts(plan: RatePlan) -> bool:
    return any(charge.model in ("PerUnit", "Volume", "Tiered") for charge in plan.charges)


def _plan(offer: Offer, sale: Sale, prices: Mapping[str, Document], quantity: Decimal) -> dict[str, Any]:
    overrides = []
    for charge in sale.plan.charges:
        pricing = _charge_pricing(offer, charge, prices.get(charge.id), quantity)
        if pricing:
            overrides.append({"productRatePlanChargeId": charge.id, "pricing": pricing})
    if quantity != 1 and not _counts(sale.plan):
        raise unsellable(f"{offer.label}: the rate plan “{sale.plan.name}” counts no units, so its quantity must be 1.")
    return {"productRatePlanId": sale.plan.id, **({"chargeOverrides": overrides} if overrides else {})}


def _charge_pricing(offer: Offer, charge: ProductCharge, price: Document | None, quantity: Decimal) -> dict[str, Any]:
    key = _PRICING.get((charge.type, charge.model))
    if key is None:
        if price is not None:
            raise unsellable(f"{offer.label}: its price cannot override the {charge.model} charge “{charge.name}”.")
        return {}
    if charge.model in ("Volume", "Tiered"):
        tiers = _tiers(offer, price)
        return {key: {"quantity": quantity, **({"tiers": tiers} if tiers else {})}}
    if charge.model == "PerUnit":
        listed = {} if price is None else {"listPrice": _value(offer, price)}
        return {key: {**listed, "quantity": quantity}}
    return {} if price is None else {key: {"listPrice": _value(offer, price)}}


def _prices(offer: Offer, sale: Sale, sales: Sequence[Sale], *, free: bool) -> dict[str, Document]:
    """Which of the offer's prices overrides which charge, by the charge's id."""
    if free:
        return {charge.id: {"value": "0"} for charge in sale.plan.charges if (charge.type, charge.model) in _PRICING}
    if offer.has_external_price:
        return {}
    found: dict[str, Document] = {}
    for price in offer.prices:
        if price.get("delay_interval") not in (None, "", 0, "0"):
            raise unsellable(f"{offer.label}: a price that begins later (delay_interval) cannot be ordered.")
        charge = _charge_for(offer, sale.plan, price)
        if charge.id in found:
            raise unsellable(f"{offer.label} has several prices for the charge “{charge.name}” of “{sale.plan.name}”.")
        found[charge.id] = price if len(sales) == 1 else _share(offer, price, sale, sales)
    return found


def _charge_for(offer: Offer, plan: RatePlan, price: Document) -> ProductCharge:
    """The one charge of the price's type, else the one that has the price's label as its name."""
    kind = _PRICE_TYPES.get(str(price.get("type")))
    fitting = [charge for charge in plan.charges if charge.type == kind and not charge.is_discount]
    if len(fitting) != 1:
        fitting = [charge for charge in fitting if charge.name == price.get("label")]
    if len(fitting) != 1:
        named = price.get("label") or price.get("name")
        message = f"{offer.label}: the price “{named}” ({price.get('type')}) fits no charge of “{plan.name}” clearly."
        raise unsellable(message)
    return fitting[0]


def _share(offer: Offer, price: Document, sale: Sale, sales: Sequence[Sale]) -> Document:
    """The part of the price that goes to one of several bundles, by `revenue_split`; the parts sum up to the price."""
    if sum(each.bundle.share for each in sales) != _HUNDRED:
        raise unsellable(f"{offer.label}: the revenue splits of its bundles must sum up to 100.")
    until = sum((each.bundle.share for each in sales[: sales.index(sale) + 1]), Decimal(0))

    def upto(share: Decimal) -> Decimal:
        return round_amount(_value(offer, price) * share / _HUNDRED, offer.currency)

    return {**price, "value": str(upto(until) - upto(until - sale.bundle.share))}


def _tiers(offer: Offer, price: Document | None) -> list[dict[str, Any]]:
    """Limio's tiers, whose names no document shows: those of Zuora are expected."""
    given = (price or {}).get("tiers")
    what = f"{offer.label}: price__limio.tiers"
    tiers = []
    for index, tier in enumerate(given if isinstance(given, list) else (), start=1):
        end = tier.get("endingUnit")
        tiers.append(
            {
                "tier": index,
                "startingUnit": _number(tier.get("startingUnit"), what),
                **({} if end in (None, "") else {"endingUnit": _number(end, what)}),
                "price": _number(tier.get("price"), what),
                "priceFormat": str(tier.get("priceFormat") or "PerUnit").replace(" ", ""),
            }
        )
    return tiers


def _value(offer: Offer, price: Document) -> Decimal:
    return _number(price.get("value"), f"{offer.label}: price__limio")


def _number(value: Any, of: str) -> Decimal:
    number = parse_amount(value)
    if number is None or number < 0:
        raise unsellable(f"{of} is no number of 0 or more.")
    return number


def faults_of(offer: Offer, catalog: Catalog, day: date) -> tuple[Problem, ...]:
    """All that is wrong with `offer` on `day`; empty where it can be ordered."""
    sales: tuple[Sale, ...] = ()
    found: list[Problem] = []
    try:
        sales = resolve(offer, catalog, day)
    except CannotBePlacedError as error:
        found += error.problems
    for step in _steps(offer, sales):
        try:
            step()
        except CannotBePlacedError as error:
            found += error.problems
    return tuple(dict.fromkeys(found))


def _steps(offer: Offer, sales: tuple[Sale, ...]) -> Iterator[Callable[[], object]]:
    if offer.is_discount:
        for sale in sales:
            yield partial(_discount, offer, sale)
        return
    if sales:
        yield partial(plans_of, offer, sales, Decimal(1))
    if offer.record_type == "offer" and not offer.is_one_time:
        yield partial(terms_of, offer)


def _discount(offer: Offer, sale: Sale) -> object:
    return discount_plan(sale.plan, discount_of(offer, sale.bundle), offer.label)
