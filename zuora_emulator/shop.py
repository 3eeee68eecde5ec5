"""What Limio's shop sells to begin with: Zuora's products, and the offers and add-ons that lead to them.

Limio's shapes: "Manage your pricing" and the catalog's offers; an offer names a product by its path and a rate plan by
its name, and the product says in `syncedFrom` which one of Zuora's it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from zuora_emulator.fields import Fields
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.records import hex_id
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]
_MADE = "2026-01-01T09:30:00.000Z"


@dataclass(frozen=True, kw_only=True)
class Offering:
    """One thing that is sold: a rate plan with one charge, and the offer or add-on of the same name."""

    name: str
    product: str
    #: The charge: see `charges.make_charge`.
    charge: Json
    #: `offer` or `add_on`; None is a plan that no offer sells.
    record_type: str | None = "offer"
    #: The term, as `term__limio` has it.
    length: int = 1
    unit: str = "months"
    more: Json = field(default_factory=dict)


OFFERINGS = (
    Offering(name="Digital Monthly", product="The Gazette", charge={"price": "9.99"}),
    Offering(
        name="Digital Annual",
        product="The Gazette",
        charge={"price": "99.00", "billing_period": "Annual"},
        unit="years",
    ),
    Offering(name="Print", product="The Gazette", charge={"price": "22.00"}),
    Offering(
        name="Seats", product="The Gazette", charge={"price": "15.00", "model": "PerUnit", "unit": "Seat"}, length=12
    ),
    Offering(name="Audio", product="Add-ons", charge={"price": "3.00"}, record_type="add_on"),
    Offering(
        name="Stay at half price",
        product="Discounts",
        charge={"percent": "0"},
        more={"discount__limio": {"value": "50", "termLength": 3, "termType": "months"}},
    ),
    Offering(
        name="Gift of a year",
        product="The Gazette",
        charge={"price": "90.00", "billing_period": "Annual"},
        unit="years",
        more={"is_gift__limio": True, "is_redeem_gift__limio": True},
    ),
    Offering(name="Goodwill", product="Service", charge={"price": "0", "type": "OneTime"}),
)


def fill_catalog(tenant: Tenant) -> None:
    """Put Zuora's side into the tenant."""
    for each in OFFERINGS:
        said = {"product": each.product, "plan": each.name, **each.charge}
        tenant.put_product(Fields(said, today=tenant.today))


def offer_ref(name: str) -> dict[str, str]:
    """How an order names an offer or add-on."""
    return {"id": _long_id("offer", name), "version": _long_id("version", name)}


def limio_catalog() -> Iterator[Json]:
    """Limio's side, an object a line of a file."""
    for product in dict.fromkeys(each.product for each in OFFERINGS):
        path = f"/products/{product}"
        yield {
            "id": _long_id("product", product),
            "version": _long_id("product version", product),
            "record_type": "product",
            "service": "limio",
            "status": "published",
            "path": path,
            "name": product,
            "syncedFrom": hex_id("product", product),
            "created": _MADE,
            "updated": _MADE,
            "data": {"path": path, "name": product},
        }
    yield from (_offer(each) for each in OFFERINGS if each.record_type)


def _offer(of: Offering) -> Json:
    folder = "offers2" if of.record_type == "offer" else "add_ons"
    path = f"/{folder}/{of.name}"
    bundle = {"product_path": f"/products/{of.product}", "rate_plan": of.name, "revenue_split": "100"}
    return {
        **offer_ref(of.name),
        "path": path,
        "name": of.name,
        "type": "item",
        "record_type": of.record_type,
        "service": "limio",
        "mode": "production",
        "status": "published",
        "created": _MADE,
        "updated": _MADE,
        "data": {
            "path": path,
            "name": of.name,
            "record_type": of.record_type,
            "attributes": _attributes(of),
            "productBundles": [bundle],
        },
    }


def _attributes(of: Offering) -> Json:
    is_once = of.charge.get("type") == "OneTime"
    interval = {"repeat_interval": 1, "repeat_interval_type": "years" if "billing_period" in of.charge else "months"}
    price: Json = {
        "name": "charge_1",
        "label": of.name,
        "type": "onetime" if is_once else "recurring",
        "value": of.charge.get("price"),
        "currencyCode": "GBP",
        "trigger": "subscription_start",
        **({} if is_once else interval),
        "attributes": [],
    }
    term = {"renewal_type": "TERMED", "renewal_trigger": "EXTERNAL", "length": of.length, "type": of.unit}
    return {
        "price__limio": [price] if of.charge.get("price") else [],
        "term__limio": term,
        "autoRenew__limio": not of.more.get("is_gift__limio", False),
        "payment_types__limio": ["zuora_card"],
        "offer_type__limio": "standard",
        **of.more,
    }


def _long_id(*parts: object) -> str:
    """An id of the catalog: 40 hexadecimal digits."""
    return hex_id(*parts) + hex_id("catalog", *parts)[:8]


#: Payment methods that Zuora's hosted page made and that are not used yet: one that pays, one that is declined.
CARDS = {"good": hex_id("payment method", "good"), "declined": hex_id("payment method", "declined")}


def fill_payment_methods(tenant: Tenant) -> None:
    """The cards of the customers, each the default of its account, and two that belong to no account yet."""

    def put(**said: str) -> PaymentMethod:
        return tenant.put_payment_method(Fields(said, today=tenant.today))

    put(id=CARDS["good"])
    put(id=CARDS["declined"], declines="Insufficient funds")
    for number, account in sorted(tenant.accounts.items()):
        method = put(id=hex_id("payment method", number), account=number)
        # Their accounts were not changed today: they have had these cards all along.
        tenant.put_account(replace(account, default_payment_method=method.id))
