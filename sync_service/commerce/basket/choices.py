"""What can be done next with a subscription: upgrades, downgrades, add-ons to buy and add-ons that are owned."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sync_service.commerce.basket.holding import Holding, owned_add_ons
from sync_service.commerce.basket.on_sale import OffersOnSale, cross_sells
from sync_service.commerce.catalog import Offer


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
            for offer in (on_sale.named(cross_sells(base)) if base else ())
            if not {offer.ref.id, offer.path} & kept and offer.ref.id not in in_basket
        ),
        add_ons=tuple(item.offer for item in owned),
        select_offer=current is None,
    )
