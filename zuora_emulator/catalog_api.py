"""Zuora's addresses of the product catalog and of the payment gateways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuora_emulator import catalog_answers
from zuora_emulator.answers import Json
from zuora_emulator.fields import Refused
from zuora_emulator.messages import Request
from zuora_emulator.products import Product

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi

#: From this version on a product holds the address of its rate plans, not the plans.
_WITH_ADDRESSES = 230.0


def list_products(api: ZuoraApi, request: Request) -> Json:
    """As "List all products", the last made first."""
    page, rest = api.page(request, list(reversed(api.tenant.catalog.products.values())))
    return {"products": [_product(api, request, each) for each in page], "success": True, **rest}


def show_product(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Retrieve a product"."""
    return {**_product(api, request, _need_product(api, key)), "success": True}


def list_rate_plans(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "List all product rate plans of a product"."""
    page, rest = api.page(request, list(_need_product(api, key).plans))
    shown = [catalog_answers.rate_plan(each, api.tenant.today) for each in page]
    return {"productRatePlans": shown, "success": True, **rest}


def show_rate_plan(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a product rate plan"."""
    found = api.tenant.catalog.find_plan(key)
    if found is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    shown = catalog_answers.rate_plan(found[1], api.tenant.today)
    return {**{name: value for name, value in shown.items() if name != "productRatePlanCharges"}, "success": True}


def list_gateways(api: ZuoraApi, _: Request) -> Json:
    """As "List all payment gateways"."""
    shown = [
        {"id": each.id, "name": each.name, "type": each.type, "isActive": True, "isDefault": each.is_default}
        for each in api.tenant.payment_methods.gateways
    ]
    return {"paymentgateways": shown, "success": True}


def _need_product(api: ZuoraApi, key: str) -> Product:
    found = api.tenant.catalog.find_product(key)
    if found is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return found


def _product(api: ZuoraApi, request: Request, of: Product) -> Json:
    version = request.headers.get("zuora-version", api.default_version)
    if "-" in version or float(version) >= _WITH_ADDRESSES:
        host = request.headers.get("host", "")
        return catalog_answers.product(of, f"http://{host}/v1/products/{of.id}/product-rate-plans")
    return catalog_answers.product(of, [catalog_answers.rate_plan(each, api.tenant.today) for each in of.plans])


ROUTES: dict[str, Any] = {
    "GET /v1/catalog/products": list_products,
    "GET /v1/catalog/products/{key}": show_product,
    "GET /v1/products/{key}/product-rate-plans": list_rate_plans,
    "GET /v1/product-rate-plans/{key}": show_rate_plan,
    "GET /v1/paymentgateways": list_gateways,
}
