"""Orders: what is asked of a subscription becomes a new version of it, and an order that says who asked and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from heapq import heapify, heappop, heappush
from typing import Any

from zuora_emulator import catalog
from zuora_emulator import order_actions as actions
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.records import RatePlan, Subscription, Version, hex_id
from zuora_emulator.tenant import AGENT, LIMIO_USER, SYSTEM_USER, Tenant

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


@dataclass(frozen=True, kw_only=True)
class By:
    """Who made an order, when, and from where; `source` is what Limio writes to `Source__c` of its own orders."""

    user: str = AGENT
    source: str | None = None
    at: datetime | None = None
    description: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> By:
        """`source` (such as shop) and `created_by` (a user id, or `limio`, `system`, `agent`)."""
        users = {"limio": LIMIO_USER, "system": SYSTEM_USER, "agent": AGENT}
        source = fields.text("source")
        named = fields.text("created_by", "limio" if source in ("shop", "salesforce") else "agent") or "agent"
        return cls(user=users.get(named, named), source=source, description=fields.text("description"))


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
        plan = catalog.make_plan(fields, tenant.next_number, start=catalog.start_of(version, fields))
        after, done = actions.add_product(version, fields, plan)
    elif action == "transfer_owner":
        owner = _need_account(tenant, fields.need("account"))
        payer = _need_account(tenant, fields.text("invoice_owner") or owner)
        after, done = actions.transfer_owner(version, fields, owner, payer)
    else:
        after, done = _ACTIONS[action](version, fields)
    fields.finish()
    return _commit(tenant, subscription, after, done, by)


def create_subscription(tenant: Tenant, fields: Fields, by: By) -> dict[str, Any]:
    """A new subscription of `account` with one rate plan (see `catalog.make_plan`).

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
    term_end = catalog.term_end_of(fields, start, unit, term)
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
        rate_plans=(catalog.make_plan(fields, tenant.next_number, start=start),),
        created=at,
        updated=at,
    )
    fields.finish()
    return add_subscription(tenant, version, by)


def add_subscription(tenant: Tenant, version: Version, by: By) -> dict[str, Any]:
    """Put a first version into the tenant with the order that created it, which is returned."""
    at = by.at or version.created
    number = tenant.next_number("O-")
    tenant.put_subscription(Subscription(version.number, [replace(version, order_number=number)], [number]))
    return _record(tenant, number, version, None, [_creation(version)], replace(by, at=at))


def delete_order(tenant: Tenant, subscription: Subscription, *, expected: str | None = None) -> dict[str, Any]:
    """Delete the last order: the version before is the latest again, as when Limio withdraws a cancellation.

    `expected` is the type of action that the order must hold. Raises Refused.
    """
    order = tenant.orders.get(subscription.orders[-1]) if len(subscription.versions) > 1 else None
    if order is None:
        raise Refused("There is no order to delete but the one that created the subscription.")
    kinds = [each["type"] for each in order["subscriptions"][0]["orderActions"]]
    if expected is not None and expected not in kinds:
        raise Refused(f"The last order is not a {expected} but {', '.join(kinds)}.")
    del tenant.orders[subscription.orders.pop()]
    tenant.drop_version(subscription)
    return order


def advance(tenant: Tenant, to: date) -> list[dict[str, Any]]:
    """Move the calendar on, day by day: what renews itself is renewed on the day its term ends. Returns the orders."""
    if to < tenant.today:
        raise Refused("The calendar does not go back.")
    tenant.load_stock(due=to)
    due = [(each.latest.term_end, each.number) for each in tenant.subscriptions.values() if each.latest.term_end]
    due = [(day, number) for day, number in due if day <= to]
    heapify(due)
    orders = []
    while due:
        day, number = heappop(due)
        tenant.today = max(tenant.today, day)
        subscription = tenant.subscriptions[number]
        if not _renews_now(subscription.latest, tenant.today):
            continue
        orders.append(place(tenant, subscription, "renew", Fields({}, today=tenant.today), By(user=SYSTEM_USER)))
        end = subscription.latest.term_end
        if end is not None and day < end <= to:
            heappush(due, (end, number))
    tenant.today = to
    return orders


def _renews_now(version: Version, today: date) -> bool:
    if not version.auto_renew or version.term_end is None or version.cancelled_on is not None:
        return False
    return version.term_end <= today and version.renewal_term > 0 and version.status_on(today) == "Active"


def _need_account(tenant: Tenant, key: str) -> str:
    account = tenant.find_account(key)
    if account is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return account.number


def _commit(
    tenant: Tenant, subscription: Subscription, after: Version, done: list[actions.Action], by: By
) -> dict[str, Any]:
    before = subscription.latest
    at = max(by.at or tenant.now(), before.created)
    number = tenant.next_number("O-")
    version = replace(
        after,
        id=hex_id("subscription", before.number, subscription.made + 1),
        version=before.version + 1,
        previous_id=before.id,
        order_number=number,
        created=at,
        updated=at,
    )
    tenant.add_version(subscription, version)
    subscription.orders.append(number)
    return _record(tenant, number, version, before.version, done, replace(by, at=at))


def _record(
    tenant: Tenant, number: str, version: Version, base: int | None, done: Iterable[actions.Action], by: By
) -> dict[str, Any]:
    """Write the order down in the shape of "Retrieve an order"."""
    at = by.at or tenant.now()
    numbered = enumerate(done)
    order = {
        "orderNumber": number,
        "orderDate": at.date().isoformat(),
        "createdDate": f"{at:%Y-%m-%d %H:%M:%S}",
        "createdBy": by.user,
        "updatedDate": f"{at:%Y-%m-%d %H:%M:%S}",
        "updatedBy": by.user,
        "existingAccountNumber": version.invoice_owner,
        "currency": version.currency,
        "status": "Completed",
        "state": "Complete",
        "description": by.description,
        "category": "NewSales" if base is None else None,
        "reasonCode": None,
        "cancelReason": None,
        "invoiceScheduleId": None,
        "orderLineItems": [],
        "customFields": {"Source__c": by.source, "InitiatedSource__c": by.source},
        "subscriptions": [
            {
                "subscriptionNumber": version.number,
                "subscriptionOwnerAccountNumber": version.account,
                "externallyManagedBy": None,
                "notes": version.notes,
                "customFields": dict(version.custom_fields),
                "baseVersion": base,
                "newVersion": version.version,
                "orderActions": [
                    {**action, "sequence": place, "id": hex_id("action", number, place)} for place, action in numbered
                ],
            }
        ],
    }
    tenant.orders[number] = order
    return order


def _creation(version: Version) -> actions.Action:
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    terms = {
        "autoRenew": version.auto_renew,
        "renewalSetting": version.renewal_setting,
        "renewalTerms": [{"period": version.renewal_term, "periodType": version.term_period}],
        "initialTerm": {
            "termType": version.term_type,
            "period": version.initial_term,
            "periodType": version.term_period,
            "startDate": version.start.isoformat(),
        },
    }
    return {
        "type": "CreateSubscription",
        "triggerDates": [{"name": name, "triggerDate": version.start.isoformat()} for name in names],
        "changeReason": None,
        "customFields": {},
        "createSubscription": {
            "subscriptionNumber": version.number,
            "subscriptionOwnerAccountNumber": version.account,
            "invoiceOwnerAccountNumber": version.invoice_owner,
            "terms": terms,
            "subscribeToRatePlans": [_subscribed(plan) for plan in version.rate_plans],
        },
    }


def _subscribed(plan: RatePlan) -> dict[str, Any]:
    return {
        "subscriptionRatePlanNumber": plan.number,
        "productRatePlanId": plan.product_rate_plan_id,
        "chargeOverrides": [],
        "customFields": {},
    }
