"""From what is wanted to what happens: the items of a basket, with what the system adds, each priced and dated.

What is sent is all that the user wants, every time; what the system adds is computed anew. Prices, dates and read-only
fields that are sent count for nothing ("Update subscription", Limio's partner API).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NoReturn

from sync_service.commerce.basket.amounts import Price, Totals, price_of, sum_up
from sync_service.commerce.basket.holding import Effect, HeldItem, Holding, at_once, at_term_end, owned_add_ons
from sync_service.commerce.basket.on_sale import Choices, OffersOnSale, next_actions, read_quantity
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import CannotBePlacedError, Problem, ProblemCode, Refusal, UpdateAction

#: Where an item stands in what the caller sent.
ITEMS = "order.orderItems"


@dataclass(frozen=True, kw_only=True)
class WantedItem:
    """One item as the user sends it. `quantity` None: the least that the offer allows."""

    action: UpdateAction
    #: `offer` or `add_on`.
    record_type: str
    #: The catalog's id.
    item_id: str
    quantity: int | None = None


@dataclass(frozen=True, kw_only=True)
class BasketItem:
    """One item of a basket."""

    action: UpdateAction
    record_type: str
    offer: Offer
    quantity: int
    effect: Effect
    price: Price
    #: Of a removal: which of the subscription's offers or add-ons.
    held_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Basket:
    """The whole of it: items, sums, and what may follow."""

    items: tuple[BasketItem, ...]
    totals: Totals
    choices: Choices

    @property
    def effective(self) -> date | None:
        """The latest day on which an item takes effect; None for an empty basket."""
        return max((item.effect.day for item in self.items), default=None)


def apply_items(
    holding: Holding,
    on_sale: OffersOnSale,
    wanted: Sequence[WantedItem],
    today: date,
    rates: Mapping[str, Decimal] | None = None,
) -> Basket | Refusal:
    """The basket of all that is wanted, or why it cannot be.

    `rates` are Zuora's unit prices by the catalog's id, for offers with an external price. Pure and total.
    """
    try:
        return _Change(holding, on_sale, today, rates or {}).apply(wanted)
    except CannotBePlacedError as error:
        return Refusal(problems=error.problems)


def check_holding(holding: Holding) -> None:
    """Raise CannotBePlacedError if the subscription takes no commerce actions."""
    if holding.is_external:
        refuse("The subscription was imported from Zuora and takes no commerce actions.", field="order.forSubscription")
    if not holding.is_active:
        message = f"The subscription is {holding.status.lower()}: only an active one can be changed."
        refuse(message, field="order.forSubscription")


def refuse(message: str, *, code: ProblemCode = ProblemCode.NOT_ALLOWED, field: str = ITEMS) -> NoReturn:
    """Raise CannotBePlacedError with one problem."""
    raise CannotBePlacedError(Problem(field=field, code=code, message=message))


@dataclass
class _Change:
    """A basket while it is computed."""

    holding: Holding
    on_sale: OffersOnSale
    today: date
    rates: Mapping[str, Decimal]
    items: list[BasketItem] = field(default_factory=list)
    chosen: Offer | None = None
    #: When the change of the offer takes effect, if there is one.
    offer_effect: Effect | None = None

    def apply(self, wanted: Sequence[WantedItem]) -> Basket:
        check_holding(self.holding)
        for record_type, kind in (("offer", "offer"), ("add_on", "add-on")):
            self._refuse_repetition([each for each in wanted if each.record_type == record_type], kind)
        added = [each for each in wanted if each.action is UpdateAction.ADD]
        removed = [each for each in wanted if each.action is UpdateAction.REMOVE]
        for each in (each for each in added if each.record_type == "offer"):
            self._change_offer(each)
        for each in (each for each in added if each.record_type == "add_on"):
            self._add(each)
        for each in removed:
            self._remove(each)
        return Basket(items=tuple(self.items), totals=self._sum_up(), choices=self._choices())

    def _refuse_repetition(self, wanted: Sequence[WantedItem], kind: str) -> None:
        added = [each.item_id for each in wanted if each.action is UpdateAction.ADD]
        if kind == "offer" and len(added) > 1:
            refuse("Add one offer at a time.", code=ProblemCode.INVALID)
        for action in UpdateAction:
            ids = [each.item_id for each in wanted if each.action is action]
            if len(set(ids)) < len(ids):
                refuse(f"The same {kind} is in the basket twice.", code=ProblemCode.INVALID)

    def _change_offer(self, wanted: WantedItem) -> None:
        offer, current = self._find(wanted), self.holding.current
        quantity = read_quantity(offer, wanted.quantity)
        if current is not None and current.offer.is_same(offer):
            if quantity == current.quantity:
                refuse(f"{offer.name} is the present offer, with the same quantity.")
            effect = self._more_or_less(quantity > current.quantity)
        else:
            effect = self._effect_of_switch(offer)
        self.chosen, self.offer_effect = offer, effect
        self.items.append(self._item(UpdateAction.ADD, "offer", offer, quantity, effect))
        if current is None:
            return
        self.items.append(self._removal("offer", current, current.quantity, effect))
        if not current.offer.is_same(offer):
            for held in owned_add_ons(self.holding, self.today):
                if not any(held.offer.is_same(fitting) for fitting in self._sold_with(offer)):
                    self.items.append(self._removal("add_on", held, held.quantity, effect))

    def _effect_of_switch(self, offer: Offer) -> Effect:
        choices = next_actions(self.holding, self.on_sale, self.today)
        if offer in choices.upgrades or choices.select_offer:
            return at_once(self.today)
        if offer in choices.downgrades:
            return self._at_term_end()
        name = self.holding.current.offer.name if self.holding.current else "the present offer"
        refuse(f"{offer.name} is neither an upgrade nor a downgrade of {name}.")

    def _add(self, wanted: WantedItem) -> None:
        add_on = self._find(wanted)
        quantity = read_quantity(add_on, wanted.quantity)
        if not self.holding.id and quantity != 1:
            refuse("Of an add-on one is bought with a new subscription; more can be added to it afterwards.")
        base = self.chosen or self._current_offer()
        if base is None or add_on not in self._sold_with(base):
            refuse(f"{add_on.name} is not sold with {base.name if base else 'this subscription'}.")
        held = self._held_add_on(add_on)
        if held is not None and not self._is_removed(held):
            if quantity == held.quantity:
                refuse(f"The subscription has {add_on.name} in this quantity already.")
            effect = self._more_or_less(quantity > held.quantity)
            self.items.append(self._removal("add_on", held, held.quantity, effect))
        else:
            effect = self._effect_of_addition(add_on)
        self.items.append(self._item(UpdateAction.ADD, "add_on", add_on, quantity, effect))

    def _effect_of_addition(self, add_on: Offer) -> Effect:
        """At once; with a downgrade, if the present offer does not allow it."""
        current = self._current_offer()
        allowed = current is not None and add_on in self._sold_with(current)
        return self.offer_effect if self.offer_effect is not None and not allowed else at_once(self.today)

    def _remove(self, wanted: WantedItem) -> None:
        """What the system removes itself may be sent back; the base offer goes only if another one comes."""
        held = self._held_of(wanted)
        if held is None:
            refuse(f"The subscription does not have {self.on_sale.name_of(wanted.item_id)}.")
        if wanted.quantity is not None and wanted.quantity > held.quantity:
            refuse(f"The subscription has {held.quantity} of {held.offer.name}, fewer than {wanted.quantity}.")
        if self._is_removed(held):
            return
        stays = held.quantity - (wanted.quantity or held.quantity)
        if wanted.record_type == "add_on" and stays:
            refuse(f"All {held.quantity} of {held.offer.name} are removed at once; to keep some, add it with {stays}.")
        if wanted.record_type == "offer":
            refuse("An offer is removed only if another takes its place; to end the subscription, cancel it.")
        self.items.append(self._removal("add_on", held, held.quantity, self._at_term_end()))

    def _find(self, wanted: WantedItem) -> Offer:
        offer = self.on_sale.find(wanted.item_id)
        if offer is None or offer.record_type != wanted.record_type:
            refuse(f"{self.on_sale.name_of(wanted.item_id)} is not sold to you for this subscription.")
        return offer

    def _sold_with(self, offer: Offer) -> tuple[Offer, ...]:
        return self.on_sale.named(offer.cross_sell_attribute)

    def _current_offer(self) -> Offer | None:
        current = self.holding.current
        return (self.on_sale.newest(current.offer) or current.offer) if current else None

    def _held_add_on(self, add_on: Offer) -> HeldItem | None:
        owned = owned_add_ons(self.holding, self.today)
        return next((item for item in owned if item.offer.is_same(add_on)), None)

    def _held_of(self, wanted: WantedItem) -> HeldItem | None:
        current = [self.holding.current] if self.holding.current else []
        held = current if wanted.record_type == "offer" else owned_add_ons(self.holding, self.today)
        return next((item for item in held if wanted.item_id in (item.offer.ref.id, item.id)), None)

    def _is_removed(self, held: HeldItem) -> bool:
        return any(item.held_id == held.id for item in self.items)

    def _more_or_less(self, is_more: bool) -> Effect:
        return at_once(self.today) if is_more else self._at_term_end()

    def _at_term_end(self) -> Effect:
        effect = at_term_end(self.holding)
        if effect is None:
            refuse("The end of the term is not known, so the day of this change cannot be told.")
        return effect

    def _item(self, action: UpdateAction, record_type: str, offer: Offer, quantity: int, effect: Effect) -> BasketItem:
        price = price_of(offer, quantity, self.holding.currency, self.rates.get(offer.ref.id))
        if price is None:
            refuse(f"{offer.name} has no price for a quantity of {quantity}.", code=ProblemCode.INVALID)
        return BasketItem(
            action=action,
            record_type=record_type,
            offer=offer,
            quantity=price.quantity,
            effect=effect,
            price=price,
        )

    def _removal(self, record_type: str, held: HeldItem, quantity: int, effect: Effect) -> BasketItem:
        rate = self.rates.get(held.offer.ref.id)
        price = price_of(held.offer, quantity, self.holding.currency, rate)
        return BasketItem(
            action=UpdateAction.REMOVE,
            record_type=record_type,
            offer=held.offer,
            quantity=quantity,
            effect=effect,
            price=price or Price(quantity=quantity, unit=None, amount=None),
            held_id=held.id,
        )

    def _sum_up(self) -> Totals:
        added = [item for item in self.items if item.action is UpdateAction.ADD]
        removed = [item for item in self.items if item.action is UpdateAction.REMOVE]
        return sum_up(
            [item.price for item in added],
            [item.price for item in added if item.effect.at_once],
            [item.price for item in removed if item.effect.at_once],
            self.holding.period,
            self.today,
            self.holding.currency,
        )

    def _choices(self) -> Choices:
        in_basket = {
            item.offer.ref.id for item in self.items if item.record_type == "add_on" and item.action is UpdateAction.ADD
        }
        return next_actions(self.holding, self.on_sale, self.today, chosen=self.chosen, in_basket=in_basket)
