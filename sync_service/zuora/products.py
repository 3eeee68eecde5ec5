"""Zuora's product rate plans, as Object Query lists them ("List product rate plans" in Zuora's API reference)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.catalog import ProductCharge, RatePlan
from sync_service.errors import PayloadInvalid
from sync_service.zuora.reading import Reading

#: Fewer than Object Query allows, because every plan brings its charges and their prices along.
_PAGE_SIZE = 50
#: No tenant has more pages.
_MAX_PAGES = 500
_EXPAND = "product,productrateplancharges,productrateplancharges.productrateplanchargetiers"
#: Object Query's words for charge models; subscriptions and orders have others.
_MODELS = {
    "Flat Fee Pricing": "FlatFee",
    "Per Unit Pricing": "PerUnit",
    "Volume Pricing": "Volume",
    "Tiered Pricing": "Tiered",
    "Tiered with Overage Pricing": "TieredWithOverage",
    "Overage Pricing": "Overage",
    "Delivery Pricing": "Delivery",
    "Discount-Percentage": "DiscountPercentage",
    "Discount-Fixed Amount": "DiscountFixedAmount",
}
#: Models with one price in each currency.
_PRICED = frozenset({"FlatFee", "PerUnit"})


def fetch_rate_plans(reading: Reading) -> list[RatePlan]:
    """All product rate plans of the tenant, with their charges.

    Raises PayloadInvalid where one lacks what identifies it, and every TenantError.
    """
    return [_read_plan(row) for row in _rows(reading)]


def _rows(reading: Reading) -> Iterator[Mapping[str, Any]]:
    params: dict[str, Any] = {"pageSize": _PAGE_SIZE, "sort[]": "id.ASC", "expand[]": _EXPAND}
    for _ in range(_MAX_PAGES):
        answer = reading.call("GET", "/object-query/product-rate-plans", params=params)
        rows = answer.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise PayloadInvalid("data is no list of objects in Zuora's list of product rate plans")
        yield from rows
        following = answer.get("nextPage")
        if not following or following == params.get("cursor"):
            return
        params["cursor"] = following
    raise PayloadInvalid("Zuora's list of product rate plans does not end.")


def _read_plan(row: Mapping[str, Any]) -> RatePlan:
    product = row.get("product")
    return RatePlan(
        id=_need(row, "id"),
        product_id=_need(row, "productId"),
        name=_need(row, "name"),
        number=row.get("productRatePlanNumber") or None,
        product_name=str(product.get("name") or "") if isinstance(product, Mapping) else "",
        since=_day(row, "effectiveStartDate"),
        until=_day(row, "effectiveEndDate"),
        charges=tuple(_read_charge(each) for each in _objects(row, "productRatePlanCharges")),
    )


def _read_charge(row: Mapping[str, Any]) -> ProductCharge:
    model = str(row.get("chargeModel") or "")
    model = _MODELS.get(model, model)
    prices = {
        str(tier["currency"]): Decimal(str(tier["price"]))
        for tier in _objects(row, "productRatePlanChargeTiers")
        if tier.get("currency") and tier.get("price") is not None
    }
    return ProductCharge(
        id=_need(row, "id"),
        name=str(row.get("name") or ""),
        type=str(row.get("chargeType") or ""),
        model=model,
        prices=prices if model in _PRICED else {},
    )


def _objects(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = row.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _need(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise PayloadInvalid(f"{name} is missing in Zuora's list of product rate plans")
    return value


def _day(row: Mapping[str, Any], name: str) -> date | None:
    value = row.get(name)
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        raise PayloadInvalid(f"{name} is no date in Zuora's list of product rate plans") from None
