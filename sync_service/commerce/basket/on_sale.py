"""What a buyer may be sold: published offers and add-ons, for this partner, currency and country."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sync_service.commerce.catalog import Offer
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
        return next((each for each in self.published if _is_same(each, offer)), None)

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


def cross_sells(offer: Offer) -> Any:
    """The attribute of `offer` that names the add-ons sold with it, under either of its names."""
    return offer.attributes.get("cross_sell_addons__limio") or offer.attributes.get("cross_sell_add_ons__limio")


def _is_same(offer: Offer, other: Offer) -> bool:
    return offer.ref.id == other.ref.id or (offer.path is not None and offer.path == other.path)


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
