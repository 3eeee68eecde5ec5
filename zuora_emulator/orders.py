"""Orders: what is asked of a subscription becomes a new version of it, and an order that says who asked and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from heapq import heapify, heappop, heappush
from typing import Any

from zuora_emulator import charges
from zuora_emulator import order_actions as actions
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.order_records import By, Part, commit, creation
from zuora_emulator.records import Subscription, Version, hex_id
from zuora_emulator.tenant import SYSTEM_USER, Tenant

_ACTIONS = {
    "renew": actions.renew,
    "cancel": actions.cancel,
    "suspend": actions.suspend,
    "resume": actions.resume,
    "change_terms": actions.change_terms,
    "change_contacts": actions.change_contacts,
    "change_price": actions.change_price,
    "remove_product": actions.remove_product,
}
#: What `place` takes.
ORDER_ACTIONS = (*_ACTIONS, "add_product", "transfer_owner")


def need_subscription(tenant: Tenant, key: str) -> Subscription:
    """The subscription with this number or id. Raises Refused."""
    found = tenant.find_subscription(key)
    if found is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return found


def place(tenant: Tenant, subscription: Subscription, action: str, fields: Fields, by: By) -> dict[str, Any]:
    """Do one order action and return the order."""
    version = subscription.latest
    if action == "add_product":
        plan = charges.make_plan(fields, tenant.next_number, start=charges.start_of(version, fields))
        after, done = actions.add_product(version, fields, plan)
    elif action == "transfer_owner":
        owner = _need_account(tenant, fields.need("account"))
        payer = _need_account(tenant, fields.text("invoice_owner") or owner)
        after, done = actions.transfer_owner(version, fields, owner, payer)
    else:
        after, done = _ACTIONS[action](version, fields)
    fields.finish()
    return commit(tenant, [Part(before=subscription, after=after, actions=done)], by)


def create_subscription(tenant: Tenant, fields: Fields, by: By) -> dict[str, Any]:
    """A new subscription of `account` with one rate plan (see `charges.make_plan`).

    `number`, `start`, `term` (12) in `term_unit` (Month), `auto_renew`, `renewal_term`, `evergreen`, `invoice_owner`.
    Its number is the next `A-S…` unless one is given.
    """
    account = tenant.accounts.get(_need_account(tenant, fields.need("account")))
    assert account is not None  # noqa: S101 - just found
    start = fields.day("start", fields.today) or fields.today
    number = fields.text("number") or tenant.next_number("A-S")
    if tenant.find_subscription(number):
        raise Refused(f"The subscription number {number} is in use.", 50000020)
    unit = fields.one_of("term_unit", ("Month", "Year", "Week", "Day"), "Month")
    term = fields.whole("term", 12) or 12
    at = by.at or tenant.now()
    term_end = charges.term_end_of(fields, start, unit, term)
    version = Version(
        id=hex_id("subscription", number, 1),
        number=number,
        version=1,
        account=account.number,
        invoice_owner=_need_account(tenant, fields.text("invoice_owner") or account.number),
        term_type="EVERGREEN" if term_end is None else "TERMED",
        start=start,
        term_start=start,
        term_end=term_end,
        initial_term=term if term_end else None,
        current_term=term if term_end else None,
        term_period=unit,
        auto_renew=bool(fields.flag("auto_renew", term_end is not None)),
        renewal_term=fields.whole("renewal_term", term) or 0,
        currency=account.currency,
        bill_to=fields.text("bill_to"),
        sold_to=fields.text("sold_to"),
        rate_plans=(charges.make_plan(fields, tenant.next_number, start=start),),
        created=at,
        updated=at,
    )
    fields.finish()
    return add_subscription(tenant, version, by)


def add_subscription(tenant: Tenant, version: Version, by: By) -> dict[str, Any]:
    """Put a first version into the tenant with the order that created it, which is returned."""
    created = Part(after=version, actions=[creation(version)])
    return commit(tenant, [created], replace(by, at=by.at or version.created))


def delete_order(tenant: Tenant, number: str) -> dict[str, Any]:
    """Delete an order: each subscription's version before is the latest again, and one that it created is gone.

    Only the last order of its subscriptions, and only while nothing of it is billed ("Delete an order").
    Raises Refused.
    """
    order = tenant.orders.get(number)
    if order is None:
        raise Refused(f"Cannot find entity by key: '{number}'.", 50000040)
    touched = [tenant.subscriptions[part["subscriptionNumber"]] for part in order["subscriptions"]]
    for subscription in touched:
        if subscription.orders[-1] != number:
            raise Refused(f"The order {number} is not the last one of {subscription.number}.")
        if _is_billed_since(subscription):
            raise Refused(f"The order {number} cannot be deleted: charges of {subscription.number} have been invoiced.")
    del tenant.orders[number]
    for subscription in touched:
        subscription.orders.pop()
        if subscription.orders:
            tenant.drop_version(subscription)
        else:
            tenant.forget_subscription(subscription)
    return order


def withdraw(tenant: Tenant, subscription: Subscription, *, expected: str | None = None) -> dict[str, Any]:
    """Delete the last order of a subscription, but never the one that created it.

    `expected` is the type of action that the order must hold. Raises Refused.
    """
    order = tenant.orders.get(subscription.orders[-1]) if len(subscription.versions) > 1 else None
    if order is None:
        raise Refused("There is no order to delete but the one that created the subscription.")
    parts = [part for part in order["subscriptions"] if part["subscriptionNumber"] == subscription.number]
    kinds = [each["type"] for part in parts for each in part["orderActions"]]
    if expected is not None and expected not in kinds:
        raise Refused(f"The last order is not a {expected} but {', '.join(kinds)}.")
    return delete_order(tenant, order["orderNumber"])


def _is_billed_since(subscription: Subscription) -> bool:
    """Whether anything was billed since the version before the last."""
    before = {
        charge.number: charge.billed_through for version in subscription.versions[-2:-1] for charge in version.charges
    }
    return any(charge.billed_through != before.get(charge.number) for charge in subscription.latest.charges)


def activate(tenant: Tenant, subscription: Subscription) -> dict[str, Any]:
    """Let a pending subscription begin; no new version. Returns the order, which is completed. Raises Refused."""
    latest = subscription.latest
    if not latest.base_status.startswith("Pending"):
        raise Refused("The subscription is not pending.")
    tenant.touch(subscription, replace(latest, base_status="Active"))
    order = tenant.orders[subscription.orders[-1]]
    order["status"] = "Completed"
    return order


def advance(tenant: Tenant, to: date) -> list[dict[str, Any]]:
    """Move the calendar on, day by day: what renews itself is renewed on the day its term ends. Returns the orders."""
    if to < tenant.today:
        raise Refused("The calendar does not go back.")
    tenant.load_stock(due=to)
    due = [(day, each.number) for each in tenant.subscriptions.values() for day in _turns(each.latest) if day <= to]
    heapify(due)
    orders = []
    while due:
        day, number = heappop(due)
        tenant.today = max(tenant.today, day)
        subscription = tenant.subscriptions[number]
        if subscription.latest.scheduled_cancel == day and subscription.latest.cancelled_on is None:
            on = Fields({"on": day.isoformat()}, today=tenant.today)
            orders.append(place(tenant, subscription, "cancel", on, By(user=SYSTEM_USER)))
        if not _renews_now(subscription.latest, tenant.today):
            continue
        orders.append(place(tenant, subscription, "renew", Fields({}, today=tenant.today), By(user=SYSTEM_USER)))
        end = subscription.latest.term_end
        if end is not None and day < end <= to:
            heappush(due, (end, number))
    tenant.today = to
    return orders


def _turns(version: Version) -> Iterator[date]:
    """The days on which something happens to a subscription by itself."""
    if version.term_end:
        yield version.term_end
    if version.scheduled_cancel:
        yield version.scheduled_cancel


def _renews_now(version: Version, today: date) -> bool:
    if not version.auto_renew or version.term_end is None or version.cancelled_on is not None:
        return False
    return version.term_end <= today and version.renewal_term > 0 and version.status_on(today) == "Active"


def _need_account(tenant: Tenant, key: str) -> str:
    account = tenant.find_account(key)
    if account is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return account.number
