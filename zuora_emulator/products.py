"""The product catalog: products, their rate plans and charges, and what each costs in each currency.

Shapes are those of "List all products" and of Object Query's product rate plans. A subscription's rate plan is made of
one of these by `subscribing.subscribe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from zuora_emulator import charges
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.records import Charge, Segment, Tier, hex_id

#: Until when a product or plan is sold unless told otherwise.
_FOR_EVER = date(2099, 12, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a charge costs in one currency."""

    price: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    discount_percentage: Decimal | None = None
    discount_amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductCharge:
    """A charge of the catalog; `template` says all that a subscription's charge takes over, but for its price."""

    id: str
    number: str
    template: Charge
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRatePlan:
    """A rate plan of the catalog, sold from `start` to before `end`."""

    id: str
    number: str
    name: str
    product_id: str
    start: date
    end: date
    charges: tuple[ProductCharge, ...] = ()

    def is_sold_on(self, day: date) -> bool:
        """Whether it may be subscribed to from that day on."""
        return self.start <= day < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product of the catalog."""

    id: str
    number: str
    name: str
    start: date
    end: date
    plans: tuple[ProductRatePlan, ...] = ()

    @property
    def sku(self) -> str:
        """Its stock keeping unit."""
        return f"SKU-{self.id[:8]}"


class Catalog:
    """All products, by id, in the order in which they were made."""

    def __init__(self) -> None:
        self.products: dict[str, Product] = {}

    def find_plan(self, key: str) -> tuple[Product, ProductRatePlan] | None:
        """The rate plan with this id or number."""
        return next((each for each in self.plans() if key in (each[1].id, each[1].number)), None)

    def find_charge(self, key: str) -> tuple[Product, ProductRatePlan, ProductCharge] | None:
        """The charge with this id or number."""
        every = ((product, plan, charge) for product, plan in self.plans() for charge in plan.charges)
        return next((each for each in every if key in (each[2].id, each[2].number)), None)

    def find_product(self, key: str) -> Product | None:
        """The product with this id, number or name."""
        return next((each for each in self.products.values() if key in (each.id, each.number, each.name)), None)

    def plans(self) -> Iterator[tuple[Product, ProductRatePlan]]:
        """Every rate plan with its product."""
        return ((product, plan) for product in self.products.values() for plan in product.plans)

    def add(self, fields: Fields) -> tuple[Product, ProductRatePlan, ProductCharge]:
        """A charge of a rate plan of a product; product and plan are made if need be.

        `product`, `plan`, `charge` (by default the plan's name) are names, `product_id`, `plan_id` and `charge_id` ids
        of one's own (a plan of another id is another plan); `currency` (GBP, USD and EUR) says where the price holds;
        `sold_from` and `sold_until` bound the plan; the rest is as `charges.make_charge` has it.
        """
        named, plan_name = fields.need("product"), fields.need("plan")
        product_id = fields.text("product_id") or hex_id("product", named)
        plan_id = fields.text("plan_id") or hex_id("product rate plan", named, plan_name)
        currencies = (fields.text("currency") or "GBP,USD,EUR").split(",")
        start = fields.day("sold_from", date(2000, 1, 1)) or date.min
        end = fields.day("sold_until", _FOR_EVER) or _FOR_EVER
        name = fields.text("charge") or plan_name
        charge_id = fields.text("charge_id") or hex_id("product charge", named, plan_name, name)
        template = charges.make_charge(fields, name, number="", start=start)
        fields.finish()
        product = self.products.get(product_id) or Product(
            id=product_id, number=f"PC-{len(self.products) + 1:08d}", name=named, start=date(2000, 1, 1), end=_FOR_EVER
        )
        plan = next((each for each in product.plans if each.id == plan_id), None)
        if plan is None and self.find_plan(plan_id):
            raise Refused(f"the rate plan {plan_id} belongs to another product", 50000020)
        plan = plan or ProductRatePlan(
            id=plan_id, number=f"PRP-{plan_id[:8]}", name=plan_name, product_id=product_id, start=start, end=end
        )
        charge = _charge(charge_id, template, [each.strip() for each in currencies])
        kept = tuple(each for each in plan.charges if each.id != charge_id)
        after = replace(plan, start=start, end=end, charges=(*kept, charge))
        others = tuple(each for each in product.plans if each.id != plan_id)
        product = replace(product, plans=(*others, after))
        self.products[product_id] = product
        return product, after, charge


def _charge(key: str, template: Charge, currencies: list[str]) -> ProductCharge:
    segment: Segment = template.segments[0]
    price = Price(
        price=segment.price,
        tiers=segment.tiers,
        discount_percentage=segment.discount_percentage,
        discount_amount=segment.discount_amount,
    )
    return ProductCharge(
        id=key,
        number=f"PRPC-{key[:8]}",
        template=replace(template, catalog_id=key),
        prices=dict.fromkeys(currencies, price),
    )
