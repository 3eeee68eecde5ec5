"""Limio's catalog and Zuora's, and the way from an offer to what is sold in Zuora.

The link ("Manage your pricing"): an offer's `productBundles[]` names a product by `product_path` and a rate plan by its
name in Zuora; the product's `syncedFrom` is Zuora's product id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from sync_service.commerce.order import CatalogRef, Document


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A product rate plan charge. Words are Zuora's."""

    id: str
    name: str
    #: Recurring, OneTime or Usage.
    type: str
    #: FlatFee, PerUnit, Volume, Tiered, DiscountPercentage, DiscountFixedAmount, ….
    model: str
    #: List price by currency, where the model has one.
    prices: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RatePlan:
    """One of Zuora's product rate plans. `until` is exclusive; None is open."""

    id: str
    product_id: str
    name: str
    number: str | None = None
    product_name: str = ""
    since: date | None = None
    until: date | None = None
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What an order's references lead to; it may hold more."""

    #: Offers and add-ons by id and version, as Limio's documents.
    items: Mapping[CatalogRef, Document] = field(default_factory=dict)
    #: Limio's products by path.
    products: Mapping[str, Document] = field(default_factory=dict)
    #: By Zuora's product id.
    rate_plans: Mapping[str, tuple[RatePlan, ...]] = field(default_factory=dict)
