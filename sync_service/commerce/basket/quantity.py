"""How many of an offer may be bought: one, or what its quantity options allow ("Cart items")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import CannotBePlacedError, Problem, ProblemCode

_FIELD = "order.orderItems.quantity"


def read_quantity(offer: Offer, wanted: int | None, *, field: str = _FIELD) -> int:
    """The quantity to buy: `wanted`, or without it the least that `offer` allows; `field` is where it stands.

    Raises CannotBePlacedError, saying what is allowed.
    """
    if offer.attributes.get("allow_multibuy__limio") is not True:
        if wanted not in (None, 1):
            raise _wrong(field, f"{offer.name} is sold one at a time.")
        return 1
    said = offer.attributes.get("default_quantity_options__limio")
    options = said if isinstance(said, Mapping) else {}
    least = _number(options.get("minimum_quantity")) or 1
    most, step = _number(options.get("maximum_quantity")), _number(options.get("increment")) or 1
    quantity = least if wanted is None else wanted
    if quantity < least or (most is not None and quantity > most) or (quantity - least) % step:
        until = f" to {most}" if most is not None else " or more"
        steps = f" in steps of {step}" if step > 1 else ""
        raise _wrong(field, f"{offer.name} is sold in quantities of {least}{until}{steps}.")
    return quantity


def _number(value: Any) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _wrong(field: str, message: str) -> CannotBePlacedError:
    return CannotBePlacedError(Problem(field=field, code=ProblemCode.INVALID, message=message))
