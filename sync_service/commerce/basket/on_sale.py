"""What a buyer may be sold: published offers and add-ons, for this partner, currency and country, in what quantity.

And what can be done next with a subscription: upgrades, downgrades, add-ons to buy and add-ons that are owned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sync_service.commerce.basket.holding import Holding, owned_add_ons
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import ProblemCode, refuse
from sync_service.subscription.plan import Document

#: Limio's channels are documented as Online and Salesforce; the partners' one is our inference.
PARTNER_CHANNEL = "Partner"
#: Names the organisations that an offer is for; the attribute's wire name is our inference ("Eligible Partners").
ELIGIBLE_PARTNERS = "eligible_partners__limio"
EVERY_PARTNER = "*"


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """For whom the on_sale is filled. No partner: the shop's own customers."""

    partner_org: str | None
    currency: str | None
    country: str | None


@dataclass(frozen=True)
class OffersOnSale:
    """The catalog's items in its order, each in its newest version, and which of them this buyer may buy.

    What is not published has a name here and is not sold.
    """

    items: tuple[Offer, ...]
    buyer: Buyer

    @property
    def published(self) -> tuple[Offer, ...]:
        """What is sold at all."""
        return tuple(offer for offer in self.items if offer.is_published)

    def priced_in(self, currency: str | None) -> OffersOnSale:
        """The same on_sale, for a buyer who pays in `currency`."""
        return replace(self, buyer=replace(self.buyer, currency=currency))

    def name_of(self, item_id: str) -> str:
        """The item's name for people; its id if it is not known, or not for this buyer."""
        return next((each.name for each in self.items if each.ref.id == item_id and self.sells(each)), item_id)

    def newest(self, offer: Offer) -> Offer | None:
        """The newest published version of `offer`, for this buyer or not; None if it has none any more."""
        return next((each for each in self.published if each.is_same(offer)), None)

    def find(self, item_id: str) -> Offer | None:
        """The item of that id if this buyer may buy it."""
        return next((each for each in self.published if each.ref.id == item_id and self.sells(each)), None)

    def sells(self, offer: Offer) -> bool:
        """Whether this buyer may buy `offer`. An offer that names no partner is sold to none."""
        buyer = self.buyer
        if buyer.partner_org is not None:
            partners = _words(offer.attributes.get(ELIGIBLE_PARTNERS))
            channels = _words(offer.attributes.get("sales_channel__limio"))
            if PARTNER_CHANNEL not in channels or not {buyer.partner_org, EVERY_PARTNER} & partners:
                return False
        if buyer.currency and offer.currency and offer.currency != buyer.currency:
            return False
        countries = _words(offer.attributes.get("allowed_countries__limio"))
        return not (countries and buyer.country) or buyer.country in countries

    def named(self, said: Any) -> tuple[Offer, ...]:
        """The items that an attribute names, by id, path or label, that this buyer may buy: each once, in order.

        Limio writes lists of `{path, id, label}`, groups `{item_label, items}`, or a label that offers carry
        ("Configure an update subscription flow").
        """
        found: dict[str, Offer] = {}
        for wanted in _references(said):
            for offer in self.published:
                if self._fits(offer, wanted) and self.sells(offer):
                    found.setdefault(offer.ref.id, offer)
        return tuple(found.values())

    @staticmethod
    def _fits(offer: Offer, wanted: Document) -> bool:
        if wanted.get("id") or wanted.get("path"):
            return offer.ref.id == wanted.get("id") or (bool(offer.path) and offer.path == wanted.get("path"))
        return bool(wanted.get("label")) and wanted["label"] in _words(offer.attributes.get("label__limio"))


def _references(said: Any) -> Iterator[Document]:
    if isinstance(said, str):
        yield {"label": said}
    elif isinstance(said, Mapping):
        if "items" in said:
            yield from _references(said["items"])
            if not said["items"] and said.get("item_label"):
                yield {"label": said["item_label"]}
        else:
            yield said
    elif isinstance(said, Iterable):
        for each in said:
            yield from _references(each)


def _words(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset([value])
    return frozenset(str(each) for each in value) if isinstance(value, list | tuple) else frozenset()


@dataclass(frozen=True, kw_only=True)
class Choices:
    """`nextActions` of a checkout."""

    upgrades: tuple[Offer, ...]
    downgrades: tuple[Offer, ...]
    cross_sells: tuple[Offer, ...]
    #: Owned now, whatever the basket says.
    add_ons: tuple[Offer, ...]
    #: The subscription has no current offer, or one that is published no longer: any offer may be chosen.
    select_offer: bool


def next_actions(
    holding: Holding,
    on_sale: OffersOnSale,
    today: date,
    *,
    chosen: Offer | None = None,
    in_basket: Collection[str] = (),
) -> Choices:
    """What may follow; `chosen` is the offer in the basket and `in_basket` the ids of the add-ons added there.

    The lists are those of the newest published version of the current offer, not of the version that was bought
    ("Update subscription offers"), cut down to what this buyer may buy.
    """
    current = on_sale.newest(holding.current.offer) if holding.current else None
    base = chosen or current
    owned = owned_add_ons(holding, today)
    kept = {item.offer.ref.id for item in owned} | {item.offer.path for item in owned if item.offer.path}
    upgrades = on_sale.named(current.attributes.get("upgrade_offers__limio")) if current else ()
    return Choices(
        upgrades=upgrades,
        downgrades=tuple(
            offer
            for offer in (on_sale.named(current.attributes.get("downgrade_offers__limio")) if current else ())
            if offer not in upgrades
        ),
        cross_sells=tuple(
            offer
            for offer in (on_sale.named(base.cross_sell_attribute) if base else ())
            if not {offer.ref.id, offer.path} & kept and offer.ref.id not in in_basket
        ),
        add_ons=tuple(item.offer for item in owned),
        select_offer=current is None,
    )


def read_quantity(offer: Offer, wanted: int | None) -> int:
    """The quantity to buy: `wanted`, or without it the least that `offer` allows ("Cart items").

    Raises CannotBePlacedError, saying what is allowed.
    """
    quantity = int(offer.least_quantity) if wanted is None else wanted
    if offer.attributes.get("allow_multibuy__limio") is not True:
        quantity, why = 1, None if wanted in (None, 1) else "is sold one at a time."
    else:
        why = offer.why_not_sold(quantity)
    if why:
        raise refuse("order.orderItems.quantity", ProblemCode.INVALID, f"{offer.name} {why}")
    return quantity
