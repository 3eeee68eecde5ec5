"""From a basket to the order that it becomes, and whether it is still what the user saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sync_service.commerce.basket.holding import Holding
from sync_service.commerce.basket.items import ITEMS, Basket, BasketItem
from sync_service.commerce.order import Problem, ProblemCode, Refusal, UpdateAction


@dataclass(frozen=True, kw_only=True)
class SeenItem:
    """What a user saw of an item; plain values, to be kept as JSON."""

    action: str
    record_type: str
    id: str
    version: str | None
    name: str
    quantity: int
    amount: str | None
    #: ISO; empty: at once, whatever day it is.
    day: str


def lines_of(basket: Basket) -> tuple[SeenItem, ...]:
    """What the user sees of the items."""
    return tuple(
        SeenItem(
            action=item.action.value,
            record_type=item.record_type,
            id=item.offer.ref.id,
            version=item.offer.ref.version,
            name=item.offer.name,
            quantity=item.quantity,
            amount=None if item.price.amount is None else str(item.price.amount - item.price.discount),
            day="" if item.effect.at_once else item.effect.day.isoformat(),
        )
        for item in basket.items
    )


def find_changes(seen: Sequence[SeenItem], now: Basket | Refusal) -> tuple[Problem, ...]:
    """What has changed since the user saw these lines; nothing if the basket can be ordered as it was seen."""
    if isinstance(now, Refusal):
        return now.problems
    present = {(line.action, line.record_type, line.id): line for line in lines_of(now)}
    before = {(line.action, line.record_type, line.id): line for line in seen}
    messages = [f"{line.name} is no longer part of this change." for key, line in before.items() if key not in present]
    messages += [f"{line.name} is now part of this change." for key, line in present.items() if key not in before]
    messages += [_difference(before[key], line) for key, line in present.items() if before.get(key, line) != line]
    return tuple(Problem(field=ITEMS, code=ProblemCode.NOT_ALLOWED, message=message) for message in messages)


def to_order(holding: Holding, basket: Basket) -> dict[str, Any]:
    """What the basket says of its order, as Limio's Send Order API takes it: a change, or a new subscription."""
    country = {"country": holding.country} if holding.country else {}
    if not holding.id:
        return {**country, "orderItems": _bought(basket)}
    return {
        "forSubscription": {"id": holding.id, "name": holding.reference},
        **({"owner": holding.owner} if holding.owner else {}),
        **country,
        "updates": [_update(item) for item in basket.items],
    }


def _bought(basket: Basket) -> list[dict[str, Any]]:
    """The one offer that a basket holds, with its add-ons."""
    add_ons = [_ref(item) for item in basket.items if item.record_type == "add_on"]
    return [
        {"offer": _ref(item), "quantity": item.quantity, **({"addOns": add_ons} if add_ons else {})}
        for item in basket.items
        if item.record_type == "offer"
    ]


def _ref(item: BasketItem) -> dict[str, Any]:
    return {"id": item.offer.ref.id, "version": item.offer.ref.version}


def _update(item: BasketItem) -> dict[str, Any]:
    dated = {"quantity": item.quantity, "effective_date": item.effect.day.isoformat()}
    named = {"type": item.action.value, "record_type": item.record_type}
    if item.action is UpdateAction.REMOVE:
        return {**named, "id": item.held_id, **dated}
    return {**named, **_ref(item), **dated}


def _difference(seen: SeenItem, now: SeenItem) -> str:
    if seen.amount != now.amount:
        return f"The price of {now.name} is now {now.amount}; it was {seen.amount}."
    if seen.quantity != now.quantity:
        return f"The quantity of {now.name} is now {now.quantity}; it was {seen.quantity}."
    if seen.day != now.day:
        return f"{now.name} now changes on {now.day or 'the day of the order'}."
    return f"{now.name} was published anew; look at it again."
