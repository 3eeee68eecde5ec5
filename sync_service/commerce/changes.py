"""Journeys that change what a subscription consists of: switch, re-activation, update, cancel save, renewal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.account import move_contacts
from sync_service.commerce.build import (
    NO_BILLING,
    Json,
    add_product,
    cancel,
    change_terms,
    changes,
    order_body,
    order_step,
    remove_product,
    renew,
    segment,
    update_quantity,
)
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Offer, find_item, resolve
from sync_service.commerce.offer_terms import terms_from, terms_of
from sync_service.commerce.order import ItemUpdate, Problem, ProblemCode, UpdateAction, refuse
from sync_service.commerce.pricing import discount_of, discount_plan
from sync_service.commerce.purchase import buy_again
from sync_service.commerce.rate_plans import base_plans, current_offers, held_item, plans_to_remove, unfit_add_ons
from sync_service.commerce.state import ORDERS
from sync_service.commerce.steps import Evidence, Plan, Silence, Step, StepKind
from sync_service.commerce.subscribed import has_ended
from sync_service.subscription.limio.documents import data_of
from sync_service.subscription.zuora import ChargeSegment, ZuoraSubscription


def switch(case: Case) -> Plan:
    """Another offer in place of the present one: its terms begin, its product comes, the old one goes.

    With a cancellation to come it is a re-activation: the cancellation's order is deleted first.
    """
    subscription = case.subscription
    _check_running(case, subscription)
    offer = case.offer()
    outgoing = base_plans(case, subscription)
    wished = case.order.effective or (case.today if offer.starts_at_once else case.next_payment(outgoing))
    day, warnings = _within_term(subscription, wished)
    actions = [
        *(remove_product(day, plan.number) for plan in outgoing),
        *(remove_product(day, plan.number) for plan in unfit_add_ons(case, subscription, offer)),
        *(add_product(day, plan) for plan in case.plans(offer, day, case.order.items[0].quantity)),
    ]
    if subscription.cancelled_from and subscription.cancelled_from > case.today:
        return Plan(steps=tuple(_reactivate(case, subscription, day, actions)), warnings=warnings)
    actions.append(change_terms(day, terms_from(day, terms_of(offer, case.order.auto_renew))))
    processing = case.processing(day, on_existing_account=True)
    steps = [*case.association(), _change(case, subscription, actions, processing), *move_contacts(case)]
    return Plan(steps=tuple(steps), warnings=warnings)


def update(case: Case) -> Plan:
    """Add-ons and offers that come and go, each on its own day; a mere change of quantity stays the same product."""
    subscription = case.subscription
    _check_running(case, subscription)
    _check_not_cancelled(subscription)
    quantities, rest = _pair_quantities(case, case.order.updates)
    actions: list[Json] = [action for update_ in quantities for action in _requantify(case, subscription, update_)]
    added = [each for each in rest if each.action is UpdateAction.ADD]
    removed = [each for each in rest if each.action is UpdateAction.REMOVE]
    going: dict[str, date] = {}
    for each in removed:
        for plan in plans_to_remove(case, subscription, each):
            going[plan.number] = each.effective or case.today
    for each in added:
        offer = find_item(case.catalog, each.item, "updates")
        day = each.effective or case.today
        actions += [add_product(day, plan) for plan in case.plans(offer, day, each.quantity or Decimal(1))]
        if each.record_type == "offer" and any(other.record_type == "offer" for other in removed):
            actions.append(change_terms(day, terms_from(day, terms_of(offer, case.order.auto_renew))))
            for plan in unfit_add_ons(case, subscription, offer):
                going.setdefault(plan.number, day)
    actions += [remove_product(day, number) for number, day in going.items()]
    return Plan(steps=(_change(case, subscription, actions, NO_BILLING),))


def add_offer(case: Case) -> Plan:
    """A discount that keeps a customer from cancelling, or another offer beside the present one."""
    subscription = case.subscription
    _check_running(case, subscription)
    _check_not_cancelled(subscription)
    offer = case.offer()
    at_once = offer.starts_at_once and not offer.is_discount
    day, warnings = _within_term(subscription, case.order.effective or (case.today if at_once else case.next_payment()))
    if offer.is_discount:
        sales = resolve(offer, case.catalog, day)
        plans = [discount_plan(sale.plan, discount_of(offer, sale.bundle), offer.label) for sale in sales]
    else:
        plans = case.plans(offer, day, case.order.items[0].quantity)
    actions = [add_product(day, plan) for plan in plans]
    return Plan(steps=(_change(case, subscription, actions, NO_BILLING),), warnings=warnings)


def renewal(case: Case) -> Plan:
    """The next term of an active subscription; a new subscription for one that has ended, or for a gift."""
    subscription = case.subscription
    if has_ended(subscription, case.today):
        return buy_again(case, case.order.start or case.today)
    if _is_gift(case):
        return buy_again(case, subscription.term_end or case.today)
    _check_not_cancelled(subscription)
    day = subscription.term_end
    if subscription.is_evergreen or day is None or subscription.renewal_term == 0:
        message = "Only a subscription with a term and a renewal term can be renewed."
        raise refuse("forSubscription", ProblemCode.NOT_ALLOWED, message)
    actions = [renew(day)]
    if case.order.items:
        actions += _renewed_otherwise(case, subscription, day)
    step = _change(case, subscription, actions, case.processing(day, on_existing_account=True))
    return Plan(steps=(*case.association(), step))


def _renewed_otherwise(case: Case, subscription: ZuoraSubscription, day: date) -> list[Json]:
    """Another offer from the next term on. Without the removal both would run, as Zuora's tutorial warns."""
    offer = case.offer()
    outgoing = base_plans(case, subscription)
    same_offer = offer.has_external_price or offer.ref.id in {each.ref.id for _, each in current_offers(case)}
    if same_offer and {sale.plan.id for sale in resolve(offer, case.catalog, day)} == {p.plan_id for p in outgoing}:
        return []
    removals = [remove_product(day, plan.number) for plan in outgoing]
    added = [add_product(day, plan) for plan in case.plans(offer, day, case.order.items[0].quantity)]
    return (removals if case.options.renewal_removes_old_plan else []) + added


def _reactivate(case: Case, subscription: ZuoraSubscription, day: date, actions: list[Json]) -> list[Step]:
    """The cancellation taken back, then the change. Not atomic: a refused change puts the cancellation back."""
    if subscription.scheduled_cancel:
        cleared = change_terms(day, {"clearingScheduledCancelDate": True})
        return [_change(case, subscription, [*actions, cleared], NO_BILLING)]
    number = _cancelling_order(case, subscription)
    path = f"/v1/orders/{segment(number)}"
    assert subscription.cancelled_from is not None  # noqa: S101 - the caller saw it
    again = _change(
        case,
        subscription,
        [cancel(case.today, subscription.cancelled_from)],
        NO_BILLING,
        name="restore_cancel",
        number=f"{case.names.reference}-C",
        kind=StepKind.UNDO,
        fields={},
        may_replan=False,
    )
    deletion = Step(
        name="delete_cancel",
        method="DELETE",
        path=path,
        silence=Silence(evidence=Evidence.GONE, path=path),
        undo=again,
    )
    return [deletion, _change(case, subscription, actions, NO_BILLING, name="change", may_replan=False)]


def _cancelling_order(case: Case, subscription: ZuoraSubscription) -> str:
    """The order that cancelled: it must have made the latest version, or more than the cancel would be taken back."""
    orders = (case.state.zuora.get(ORDERS) or {}).get("orders") or ()
    for order in orders:
        if order.get("orderNumber") == subscription.order_number and _cancels(order, subscription.number):
            return str(order["orderNumber"])
    message = "The cancellation cannot be taken back: the subscription was changed after it."
    raise refuse("forSubscription", ProblemCode.NOT_ALLOWED, message)


def _cancels(order: Mapping[str, Any], number: str) -> bool:
    return any(
        action.get("type") == "CancelSubscription"
        for part in order.get("subscriptions") or ()
        if part.get("subscriptionNumber") in (None, number)
        for action in part.get("orderActions") or ()
    )


def _change(
    case: Case,
    subscription: ZuoraSubscription,
    actions: Iterable[Json],
    processing: Json,
    *,
    name: str = "order",
    number: str | None = None,
    kind: StepKind = StepKind.SEND,
    fields: Json | None = None,
    may_replan: bool = True,
) -> Step:
    """The order step that changes the subscription."""
    own = case.subscription_fields() if fields is None else fields
    body = order_body(
        number or case.names.reference,
        case.today,
        {"existingAccountNumber": subscription.payer_number},
        processing,
        [changes(subscription.number, actions, own)],
        case.order_fields(),
    )
    return order_step(name, body, kind=kind, may_replan=may_replan)


def _check_running(case: Case, subscription: ZuoraSubscription) -> None:
    if has_ended(subscription, case.today):
        message = "The subscription has ended: renew it instead."
        raise refuse("forSubscription", ProblemCode.NOT_ALLOWED, message)
    if subscription.status != "Active":
        message = f"Only an active subscription can be changed; this one is {subscription.status} in Zuora."
        raise refuse("forSubscription", ProblemCode.NOT_ALLOWED, message)


def _check_not_cancelled(subscription: ZuoraSubscription) -> None:
    day = subscription.cancelled_from or subscription.scheduled_cancel
    if day:
        message = f"The subscription is cancelled from {day} on: a change_offer order takes that back."
        raise refuse("forSubscription", ProblemCode.NOT_ALLOWED, message)


def _within_term(subscription: ZuoraSubscription, wished: date) -> tuple[date, tuple[Problem, ...]]:
    """The wished day, or the nearest end of the term with a warning (Limio's help on switches)."""
    day = wished
    if subscription.term_start and day < subscription.term_start:
        day = subscription.term_start
    if subscription.term_end and day > subscription.term_end:
        day = subscription.term_end
    if day == wished:
        return day, ()
    message = f"{wished} is outside of the term: the change takes effect on {day}."
    return day, (Problem(field="effectiveDate", code=ProblemCode.INVALID, message=message),)


def _is_gift(case: Case) -> bool:
    return (data_of(case.state.store.subscription).get("attributes") or {}).get("gift") is True


def _pair_quantities(
    case: Case, updates: Sequence[ItemUpdate]
) -> tuple[list[tuple[ItemUpdate, Offer]], list[ItemUpdate]]:
    """Additions of what is removed on the same day, which only change its quantity; and all other updates."""
    rest = list(updates)
    pairs = []
    for added in updates:
        if added.action is not UpdateAction.ADD or added.quantity is None:
            continue
        twin = next(
            (
                each
                for each in rest
                if each.action is UpdateAction.REMOVE
                and (each.record_type, each.effective) == (added.record_type, added.effective)
                and (held := held_item(case, each)) is not None
                and held.ref.id == added.item.id
            ),
            None,
        )
        if twin is not None:
            rest.remove(twin)
            rest.remove(added)
            pairs.append((added, find_item(case.catalog, added.item, "updates")))
    return pairs, rest


def _is_counted(segment: ChargeSegment) -> bool:
    """Whether it has a quantity that can change."""
    return segment.type == "Recurring" and segment.model in ("PerUnit", "Volume", "Tiered")


def _requantify(case: Case, subscription: ZuoraSubscription, pair: tuple[ItemUpdate, Offer]) -> list[Json]:
    added, offer = pair
    actions = []
    for plan in plans_to_remove(case, subscription, added):
        keys = {each.charge_number: each.model for each in plan.segments if _is_counted(each)}
        charge_updates = [
            {"chargeNumber": number, "pricing": {f"recurring{model}": {"quantity": added.quantity}}}
            for number, model in keys.items()
        ]
        if charge_updates:
            actions.append(update_quantity(added.effective or case.today, plan.number, charge_updates))
    if not actions:
        message = f"{offer.label} counts no units: its quantity cannot change."
        raise refuse("updates", ProblemCode.NOT_ALLOWED, message)
    return actions
