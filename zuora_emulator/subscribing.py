"""A subscription's rate plan, made from one of the catalog and what an order overrides of it.

Source: "Create an order" of Zuora's API reference, `subscribeToRatePlans`, `addProduct` and `chargeOverrides`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from zuora_emulator.fields import Fields, Refused
from zuora_emulator.periods import add_term
from zuora_emulator.products import Catalog, Price, Product, ProductCharge, ProductRatePlan
from zuora_emulator.records import Charge, RatePlan, Segment, Tier

#: Where an override's `pricing` has the price of a charge, by its type and model.
PRICING = {
    ("Recurring", "FlatFee"): "recurringFlatFee",
    ("Recurring", "PerUnit"): "recurringPerUnit",
    ("Recurring", "Volume"): "recurringVolume",
    ("Recurring", "Tiered"): "recurringTiered",
    ("OneTime", "FlatFee"): "oneTimeFlatFee",
    ("OneTime", "PerUnit"): "oneTimePerUnit",
    ("OneTime", "Volume"): "oneTimeVolume",
    ("OneTime", "Tiered"): "oneTimeTiered",
    ("Usage", "FlatFee"): "usageFlatFee",
    ("Usage", "PerUnit"): "usagePerUnit",
    ("Usage", "Volume"): "usageVolume",
    ("Usage", "Tiered"): "usageTiered",
}
#: The units of `upToPeriodsType`; billing periods are those of a month here.
_UNITS = {"Days": "Day", "Weeks": "Week", "Months": "Month", "Years": "Year", "Billing_Periods": "Month"}


def subscribe(
    catalog: Catalog, asked: Fields, *, start: date, currency: str, make_number: Callable[[str], str]
) -> RatePlan:
    """The rate plan that `asked` (an entry of `subscribeToRatePlans`) makes from that day on. Raises Refused."""
    key = asked.text("productRatePlanId") or asked.text("productRatePlanNumber")
    if not key:
        raise Refused("productRatePlanId is missing", 50000022)
    found = catalog.find_plan(key)
    if found is None:
        raise Refused(f"The product rate plan '{key}' is not in the product catalog.", 50000040)
    product, plan = found
    if not plan.is_sold_on(start):
        day = f"{start:%m/%d/%Y}"
        raise Refused(f'Rate plan "{plan.name}" is not effective on the contract effective date of {day}.', 50000020)
    overrides = {_charge_of(plan, each).id: each for each in asked.inner_list("chargeOverrides")}
    charges = tuple(
        _charge(plan, each, overrides.get(each.id), start, currency, make_number("C-")) for each in plan.charges
    )
    return _plan(product, plan, charges, make_number("SRP-"), asked.raw("customFields"))


def reprice(charge: Charge, segment: Segment, pricing: Fields) -> Segment:
    """The segment of a charge with the prices and the quantity of an override. Raises Refused."""
    key = "discount" if charge.is_discount else PRICING[charge.type, charge.model]
    wrong = sorted(name for name in pricing.names() if name != key)
    if wrong:
        kind = f"{charge.type} {charge.model}"
        raise Refused(f"The pricing of a charge that is {kind} stands in {key}, not in {', '.join(wrong)}.", 50000020)
    given = pricing.inner(key)
    if given is None:
        return segment
    if charge.is_discount:
        percentage = given.number("discountPercentage", segment.discount_percentage)
        return replace(
            segment,
            discount_percentage=percentage,
            discount_amount=given.number("discountAmount", segment.discount_amount),
        )
    quantity = given.number("quantity", segment.quantity)
    if quantity is None or quantity < 0:
        raise Refused("The quantity of a charge is not below 0.", 50000020)
    tiers = tuple(_tier(each) for each in given.inner_list("tiers")) or segment.tiers
    return replace(segment, price=given.number("listPrice", segment.price), quantity=quantity, tiers=tiers)


def _charge_of(plan: ProductRatePlan, override: Fields) -> ProductCharge:
    key = override.text("productRatePlanChargeId") or override.text("productRatePlanChargeNumber")
    found = next((each for each in plan.charges if key in (each.id, each.number)), None)
    if found is None:
        raise Refused(f"The rate plan {plan.name} has no charge {key}.", 50000020)
    return found


def _charge(
    plan: ProductRatePlan, of: ProductCharge, override: Fields | None, start: date, currency: str, number: str
) -> Charge:
    template = replace(of.template, number=number)
    listed = of.prices.get(currency)
    pricing = override.inner("pricing") if override else None
    if listed is None and pricing is None:
        raise Refused(f"The charge {template.name} of {plan.name} has no price in {currency}.", 50000020)
    price = listed or Price()
    segment = replace(
        template.segments[0],
        start=start,
        price=price.price,
        tiers=price.tiers,
        discount_percentage=price.discount_percentage,
        discount_amount=price.discount_amount,
    )
    charge = replace(template, segments=(segment,))
    if override is None:
        return charge
    if pricing is not None:
        segment = reprice(charge, segment, pricing)
    begins = override.inner("startDate")
    if begins is not None and (day := begins.day("specificTriggerDate")):
        segment = replace(segment, start=day)
    return _ended(replace(charge, segments=(segment,)), override.inner("endDate"))


def _ended(charge: Charge, end: Fields | None) -> Charge:
    """The charge with the end that an override gives it."""
    if end is None:
        return charge
    condition = end.one_of(
        "endDateCondition", ("Subscription_End", "Fixed_Period", "Specific_End_Date", "One_Time"), "Subscription_End"
    )
    segment = charge.segments[0]
    if condition == "Fixed_Period":
        count, unit = end.whole("upToPeriods") or 0, end.text("upToPeriodsType") or ""
        if count < 1 or unit not in _UNITS:
            raise Refused("upToPeriods and upToPeriodsType are needed for a Fixed_Period", 50000020)
        segment = replace(segment, end=add_term(segment.start, count, _UNITS[unit]))
        return replace(charge, segments=(segment,), end_date_condition=condition, up_to=(count, unit))
    if condition == "Specific_End_Date":
        segment = replace(segment, end=end.day("specificEndDate"))
    return replace(charge, segments=(segment,), end_date_condition=condition)


def _tier(given: Fields) -> Tier:
    price = given.number("price")
    if price is None:
        raise Refused("the price of a tier is missing", 50000022)
    return Tier(
        starting_unit=given.number("startingUnit") or Decimal(0),
        ending_unit=given.number("endingUnit"),
        price=price,
        price_format=given.text("priceFormat", "PerUnit") or "PerUnit",
    )


def _plan(product: Product, plan: ProductRatePlan, charges: tuple[Charge, ...], number: str, custom: Any) -> RatePlan:
    return RatePlan(
        number=number,
        name=plan.name,
        product_name=product.name,
        charges=charges,
        catalog_id=plan.id,
        catalog_product_id=product.id,
        custom_fields=custom if isinstance(custom, Mapping) else {},
    )
