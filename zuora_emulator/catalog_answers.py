"""Zuora's JSON for products and rate plans: "List all products", "List all product rate plans", Object Query's."""

from __future__ import annotations

from datetime import date

from zuora_emulator.answers import Json, number, text
from zuora_emulator.products import Price, Product, ProductCharge, ProductRatePlan

#: Object Query's names of models and periods, which differ from those of the rest of the API.
_MODELS = {
    "FlatFee": "Flat Fee Pricing",
    "PerUnit": "Per Unit Pricing",
    "Volume": "Volume Pricing",
    "Tiered": "Tiered Pricing",
    "DiscountPercentage": "Discount-Percentage",
    "DiscountFixedAmount": "Discount-Fixed Amount",
}
_PERIODS = {
    "Semi_Annual": "Semi-Annual",
    "Specific_Months": "Specific Months",
    "Subscription_Term": "Subscription Term",
    "Specific_Weeks": "Specific Weeks",
    "Specific_Days": "Specific Days",
}
_CONDITIONS = {"Subscription_End": "SubscriptionEnd", "One_Time": "OneTime", "Specific_End_Date": "SpecificEndDate"}


def product(of: Product, plans: str | list[Json]) -> Json:
    """A product; `plans` is the address of its rate plans or, before version 230.0, they themselves."""
    return {
        "id": of.id,
        "productNumber": of.number,
        "sku": of.sku,
        "name": of.name,
        "category": "Base Products",
        "effectiveStartDate": text(of.start),
        "effectiveEndDate": text(of.end),
        "productFeatures": [],
        "productRatePlans": plans,
    }


def rate_plan(of: ProductRatePlan, today: date) -> Json:
    """A rate plan with its charges."""
    status = "Active" if of.is_sold_on(today) else "Expired" if today >= of.end else "NotStarted"
    return {
        "id": of.id,
        "productRatePlanNumber": of.number,
        "name": of.name,
        "status": status,
        "effectiveStartDate": text(of.start),
        "effectiveEndDate": text(of.end),
        "productRatePlanCharges": [_charge(each) for each in of.charges],
    }


def queried_rate_plan(of: ProductRatePlan, product_of: Product, expand: set[str], updated: str) -> Json:
    """Object Query's row of a rate plan with what was asked for beside it."""
    row: Json = {
        "id": of.id,
        "productId": of.product_id,
        "productRatePlanNumber": of.number,
        "name": of.name,
        "effectiveStartDate": text(of.start),
        "effectiveEndDate": text(of.end),
        "createdDate": updated,
        "updatedDate": updated,
    }
    if "product" in expand:
        row["product"] = {
            "id": product_of.id,
            "name": product_of.name,
            "sKU": product_of.sku,
            "productNumber": product_of.number,
            "effectiveStartDate": text(product_of.start),
            "effectiveEndDate": text(product_of.end),
        }
    if any(each.startswith("productrateplancharges") for each in expand):
        tiers = "productrateplancharges.productrateplanchargetiers" in expand
        row["productRatePlanCharges"] = [_queried_charge(of, each, tiers=tiers) for each in of.charges]
    return row


def _charge(of: ProductCharge) -> Json:
    template = of.template
    return {
        "id": of.id,
        "productRatePlanChargeNumber": of.number,
        "name": template.name,
        "type": template.type,
        "model": template.model,
        "uom": template.unit_of_measure,
        "billingPeriod": template.billing_period,
        "specificBillingPeriod": template.specific_billing_period,
        "billingTiming": template.billing_timing,
        "billingDay": template.billing_day,
        "endDateCondition": template.end_date_condition,
        "triggerEvent": "ContractEffective",
        "discountLevel": template.discount_level,
        "applyDiscountTo": template.apply_discount_to,
        "defaultQuantity": number(template.segments[0].quantity),
        "listPriceBase": template.list_price_base if template.type == "Recurring" else None,
        "priceChangeOption": "NoChange",
        "pricing": [{"currency": currency, **_price(price)} for currency, price in of.prices.items()],
        "pricingSummary": [f"{currency}{price.price}" for currency, price in of.prices.items() if price.price],
    }


def _price(price: Price) -> Json:
    tiers = [
        {
            "tier": place,
            "startingUnit": number(tier.starting_unit),
            "endingUnit": number(tier.ending_unit),
            "price": number(tier.price),
            "priceFormat": tier.price_format,
        }
        for place, tier in enumerate(price.tiers, start=1)
    ]
    return {
        "price": number(price.price),
        "tiers": tiers or None,
        "discountPercentage": number(price.discount_percentage),
        "discountAmount": number(price.discount_amount),
    }


def _queried_charge(plan: ProductRatePlan, of: ProductCharge, *, tiers: bool) -> Json:
    template = of.template
    row: Json = {
        "id": of.id,
        "productRatePlanId": plan.id,
        "productRatePlanChargeNumber": of.number,
        "name": template.name,
        "chargeType": template.type,
        "chargeModel": _MODELS[template.model],
        "uOM": template.unit_of_measure,
        "billingPeriod": _PERIODS.get(template.billing_period or "", template.billing_period),
        "billingTiming": template.billing_timing,
        "defaultQuantity": number(template.segments[0].quantity),
        "discountLevel": template.discount_level,
        "applyDiscountTo": template.apply_discount_to,
        "endDateCondition": _CONDITIONS[template.end_date_condition],
        "triggerEvent": "ContractEffective",
    }
    if tiers:
        row["productRatePlanChargeTiers"] = [
            {"currency": currency, "active": True, "productRatePlanChargeId": of.id, **tier}
            for currency, price in of.prices.items()
            for tier in (_price(price)["tiers"] or [{"tier": 1, **_unstepped(price)}])
        ]
    return {name: value for name, value in row.items() if value is not None}


def _unstepped(price: Price) -> Json:
    given = {name: value for name, value in _price(price).items() if value is not None and name != "tiers"}
    return {**given, "priceFormat": "Per Unit"} if "price" in given else given
