"""The customer journeys: an order and what it meets become the steps that place it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Catalog
from sync_service.commerce.options import Options
from sync_service.commerce.order import Order, OrderType, Problem, ProblemCode, Refusal
from sync_service.commerce.state import State
from sync_service.commerce.steps import Plan


def journeys(order: Order, state: State, catalog: Catalog, options: Options, today: date) -> Plan | Refusal:
    """All steps that place `order`, which has its names; `today` is the day in the tenant's zone.

    `state` holds every read that `reads.missing` asked for. Deterministic: the same values give the same
    bodies. The plan is what is stored; it is made again only before its first step was sent, or after `Replan`.
    """
    journey = _JOURNEYS.get(order.type)
    if journey is None:
        message = f"Orders of the type {order.type} are not placed yet."
        return Refusal(problems=(Problem(field="order_type", code=ProblemCode.UNSUPPORTED, message=message),))
    return journey(Case(order=order, state=state, catalog=catalog, options=options, today=today))


def _place_nothing(_: Case) -> Plan:
    """Zuora has no part in it."""
    return Plan(steps=())


_JOURNEYS: Mapping[OrderType, Callable[[Case], Plan | Refusal]] = {
    OrderType.CANCEL_INTENT: _place_nothing,
    OrderType.CHANGE_EXTERNAL_PAYMENT: _place_nothing,
}
