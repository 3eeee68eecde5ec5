"""Limio's catalog and Zuora's, and the way from an offer to what is sold in Zuora.

The link ("Manage your pricing"): an offer's `productBundles[]` names a product by `product_path` and a rate plan by its
name in Zuora; the product's `syncedFrom` is Zuora's product id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce import wire
from sync_service.commerce.order import CannotBePlacedError, CatalogRef, ProblemCode, refuse
from sync_service.subscription.limio.documents import data_of, part_of
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.money import parse_amount


@dataclass(frozen=True, kw_only=True)
class ProductCharge:
    """A product rate plan charge. Words are those of Zuora's orders and subscriptions."""

    id: str
    name: str
    #: Recurring, OneTime or Usage.
    type: str
    #: FlatFee, PerUnit, Volume, Tiered, DiscountPercentage, DiscountFixedAmount, ….
    model: str
    #: List price by currency, where the model has one price.
    prices: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def is_discount(self) -> bool:
        """Whether it takes money off others."""
        return self.model.startswith("Discount")


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
    charges: tuple[ProductCharge, ...] = ()

    def is_sold_on(self, day: date) -> bool:
        """Whether it may be subscribed to from `day`."""
        return (self.since is None or self.since <= day) and (self.until is None or day < self.until)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What an offer or add-on sells: a rate plan of a product, both by name."""

    product_path: str
    rate_plan: str
    #: The percentage of the price that goes to it.
    share: Decimal = Decimal(100)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An offer or add-on of Limio's, in one version."""

    ref: CatalogRef
    #: `offer` or `add_on`.
    record_type: str
    name: str
    path: str | None
    is_published: bool
    attributes: Document
    bundles: tuple[Bundle, ...]
    #: The document as loaded.
    document: Document

    @property
    def prices(self) -> tuple[Document, ...]:
        """The entries of `price__limio`."""
        return _entries(self.attributes.get("price__limio"))

    @property
    def has_external_price(self) -> bool:
        """Zuora's list price holds ("External Price")."""
        return any(price.get("use_external_price") is True for price in self.prices)

    @property
    def currency(self) -> str | None:
        """Of its price; None where it says none."""
        for price in self.prices:
            inner = price.get("currency")
            code = price.get("currencyCode") or (inner.get("id") if isinstance(inner, Mapping) else None)
            if isinstance(code, str) and code:
                return code
        return None

    @property
    def is_one_time(self) -> bool:
        """Whether it is paid once and renews nothing: it has no term of its own."""
        return bool(self.prices) and all(price.get("type") == "onetime" for price in self.prices)

    @property
    def is_discount(self) -> bool:
        """Whether it is a discount (a cancel save) and no product."""
        return isinstance(self.attributes.get("discount__limio"), Mapping) and bool(self.attributes["discount__limio"])

    @property
    def is_gift(self) -> bool:
        """Whether it is bought for another person."""
        return self.attributes.get("is_gift__limio") is True

    @property
    def needs_activation(self) -> bool:
        """Zuora waits for a service activation before the subscription is active."""
        return self.attributes.get(wire.REQUIRES_ACTIVATION) is True

    @property
    def starts_at_once(self) -> bool:
        """Whether a switch to it happens today and not at the next payment."""
        return self.attributes.get("switch_date__limio") == "immediate"

    @property
    def cross_sell_attribute(self) -> Any:
        """What names the add-ons that go with it, under either of its names."""
        return self.attributes.get("cross_sell_addons__limio") or self.attributes.get("cross_sell_add_ons__limio")

    @property
    def cross_sells(self) -> frozenset[str] | None:
        """Ids and paths of the add-ons that go with it; None where it does not say."""
        said = self.cross_sell_attribute
        groups = _entries(said if isinstance(said, list) else [said])
        if not groups:
            return None
        items = [item for group in groups for item in _entries(group.get("items"))]
        return frozenset(str(item[key]) for item in items for key in ("id", "path") if item.get(key))

    def goes_with(self, add_on: Offer) -> bool:
        """Whether the add-on may stay where this becomes the offer; it may where the offer does not say."""
        return self.cross_sells is None or not self.cross_sells.isdisjoint({add_on.ref.id, add_on.path})

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name} ({self.path or self.ref.id})"

    @property
    def least_quantity(self) -> Decimal:
        """The least that is sold at a time."""
        return parse_amount(self._quantity_options.get("minimum_quantity")) or Decimal(1)

    @property
    def _quantity_options(self) -> Document:
        return part_of(self.attributes, "default_quantity_options__limio")

    def why_not_sold(self, quantity: Decimal | int) -> str | None:
        """What quantities it is sold in, for people, where this is none of them; None where it is."""
        options, least = self._quantity_options, self.least_quantity
        most, step = parse_amount(options.get("maximum_quantity")), parse_amount(options.get("increment")) or Decimal(1)
        if least <= quantity and (most is None or quantity <= most) and not (quantity - least) % step:
            return None
        until = f" to {most:f}" if most is not None else " or more"
        steps = f" in steps of {step:f}" if step > 1 else ""
        return f"is sold in quantities of {least:f}{until}{steps}."

    def is_same(self, other: Offer) -> bool:
        """Whether both are the same item, in whatever version."""
        return self.ref.id == other.ref.id or (self.path is not None and self.path == other.path)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What an order's references lead to; it may hold more."""

    #: Offers and add-ons by id and version; without a version, the newest.
    items: Mapping[CatalogRef, Offer] = field(default_factory=dict)
    #: Zuora's product id by the path of Limio's product; None: the product was never synced from Zuora.
    products: Mapping[str, str | None] = field(default_factory=dict)
    #: By Zuora's product id.
    rate_plans: Mapping[str, tuple[RatePlan, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """One rate plan that an offer leads to."""

    bundle: Bundle
    plan: RatePlan


def read_offer(document: Document) -> Offer:
    """An offer or add-on from Limio's document; total, whatever it holds."""
    data = data_of(document)
    path = document.get("path") or data.get("path")
    return Offer(
        ref=CatalogRef(id=str(document.get("id") or ""), version=_text(document.get("version"))),
        record_type="add_on" if (document.get("record_type") or data.get("record_type")) == "add_on" else "offer",
        name=str(document.get("name") or data.get("name") or ""),
        path=_text(path),
        is_published=str(document.get("status") or "").lower() not in wire.NOT_PUBLISHED,
        attributes=part_of(data, "attributes"),
        bundles=tuple(_read_bundle(each) for each in _entries(data.get("productBundles"))),
        document=document,
    )


def read_product_id(document: Document) -> str | None:
    """Zuora's id of a Limio product, wherever the document says it; None where it was not synced from Zuora."""
    data = data_of(document)
    for part in (document, data, part_of(data, "attributes")):
        if part.get("syncedFrom"):
            return str(part["syncedFrom"])
    return None


def find_item(catalog: Catalog, ref: CatalogRef, field_name: str) -> Offer:
    """The offer or add-on. Raises CannotBePlacedError where the catalog lacks it."""
    found = catalog.items.get(ref)
    if found is None:
        version = f" in version {ref.version}" if ref.version else ""
        message = f"There is no offer or add-on {ref.id}{version}: load it, or name another."
        raise refuse(field_name, ProblemCode.UNKNOWN, message)
    return found


def resolve(offer: Offer, catalog: Catalog, day: date) -> tuple[Sale, ...]:
    """The rate plans that `offer` sells on `day`.

    Raises CannotBePlacedError, naming product and plan, where one leads to no rate plan or to several.
    """
    if not offer.bundles:
        raise unsellable(f"{offer.label} has no product bundle: it sells nothing of Zuora's.")
    return tuple(
        Sale(bundle=bundle, plan=find_plan(catalog, bundle.product_path, bundle.rate_plan, day, offer.label))
        for bundle in offer.bundles
    )


def charges_of(offer: Offer, catalog: Catalog, day: date) -> list[ProductCharge]:
    """The charges of all its rate plans, discounts left out. Raises as `resolve` does."""
    sales = resolve(offer, catalog, day)
    return [charge for sale in sales for charge in sale.plan.charges if not charge.is_discount]


def find_plan(catalog: Catalog, product_path: str, name: str, day: date, of: str) -> RatePlan:
    """The one rate plan of that name that the product sells on `day`; `of` says for whom it is looked up."""
    product_id = catalog.products.get(product_path)
    if product_id is None:
        known = "was not synced from Zuora" if product_path in catalog.products else "is not loaded"
        raise unsellable(f"{of}: the product {product_path} {known}.")
    named = [plan for plan in catalog.rate_plans.get(product_id, ()) if plan.name == name]
    active = [plan for plan in named if plan.is_sold_on(day)]
    if len(active) == 1:
        return active[0]
    product = f"the product {product_path} ({product_id})"
    if active:
        plans = " and ".join(plan.number or plan.id for plan in active)
        raise unsellable(f"{of}: {product} has several rate plans “{name}” on {day}: {plans}.")
    reason = f"sells no rate plan “{name}” on {day}" if named else f"has no rate plan “{name}” in Zuora"
    raise unsellable(f"{of}: {product} {reason}.")


def unsellable(message: str) -> CannotBePlacedError:
    """The error that the catalog is at fault, for people who keep it."""
    return refuse("", ProblemCode.CATALOG, message)


def _read_bundle(entry: Document) -> Bundle:
    return Bundle(
        product_path=str(entry.get("product_path") or ""),
        rate_plan=str(entry.get("rate_plan") or ""),
        share=parse_amount(entry.get("revenue_split")) or Decimal(100),
    )


def _entries(value: Any) -> tuple[Document, ...]:
    return tuple(each for each in value if isinstance(each, Mapping)) if isinstance(value, list | tuple) else ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
