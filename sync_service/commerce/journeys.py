"""The customer journeys: an order and what it meets become the steps that place it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from sync_service.commerce import account, cancellation, changes, gift, payments, purchase
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Catalog
from sync_service.commerce.order import CannotBePlacedError, Order, OrderType, Refusal
from sync_service.commerce.state import Options, State
from sync_service.commerce.steps import Plan


def journeys(order: Order, state: State, catalog: Catalog, options: Options, today: date) -> Plan | Refusal:
    """All steps that place `order`, which has its names; `today` is the day in the tenant's zone.

    `state` holds every read that `missing` asked for. Deterministic: the same values give the same
    bodies. The plan is what is stored; it is made again only before its first step was sent, or after `Replan`.
    """
    case = Case(order=order, state=state, catalog=catalog, options=options, today=today)
    try:
        return _JOURNEYS[order.type](case)
    except CannotBePlacedError as error:
        return Refusal(problems=error.problems)


def _buy(case: Case) -> Plan:
    if case.order.is_redeem:
        return gift.redeem(case)
    if case.order.is_gift or case.offer().is_gift:
        return gift.give(case)
    return purchase.buy(case)


def _place_nothing(_: Case) -> Plan:
    """Zuora has no part in it."""
    return Plan(steps=())


_JOURNEYS: Mapping[OrderType, Callable[[Case], Plan]] = {
    OrderType.NEW: _buy,
    OrderType.CHANGE_OFFER: changes.switch,
    OrderType.ADD_OFFER: changes.add_offer,
    OrderType.UPDATE_SUBSCRIPTION: changes.update,
    OrderType.CANCEL_SUBSCRIPTION: cancellation.cancel_subscription,
    OrderType.CANCEL_INTENT: _place_nothing,
    OrderType.RENEW: changes.renewal,
    OrderType.CHANGE_ADDRESS: account.change_address,
    OrderType.CHANGE_PAYMENT: account.change_payment,
    OrderType.CHANGE_EXTERNAL_PAYMENT: _place_nothing,
    OrderType.CHANGE_DEFAULT_PAYMENT: account.change_default,
    OrderType.PAY_INVOICE: payments.pay_invoice,
    OrderType.UPDATE_CUSTOMER_DETAILS: account.change_details,
    OrderType.GIFT_REFUND: payments.refund_gift,
    OrderType.REFUND: payments.refund,
    OrderType.CREDIT_MEMO: payments.credit_memo,
}
