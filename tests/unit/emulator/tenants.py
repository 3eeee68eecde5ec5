"""A small tenant on 20 November 2026, and words to act on it."""

from __future__ import annotations

from datetime import date
from typing import Any

from zuora_emulator import orders, people
from zuora_emulator.billing import Assumptions, bill, preview
from zuora_emulator.fields import Fields
from zuora_emulator.order_records import By
from zuora_emulator.records import Version
from zuora_emulator.tenant import Tenant

TODAY = date(2026, 11, 20)


def a_tenant(today: date = TODAY) -> Tenant:
    """A tenant with one account, A1, in pounds."""
    tenant = Tenant(today=today, time_zone="Europe/London")
    said = {"number": "A1", "first_name": "Ada", "last_name": "Byron", "city": "London", "country": "United Kingdom"}
    people.create_account(tenant, Fields(said, today=today))
    return tenant


def subscribe(tenant: Tenant, **values: Any) -> Version:
    """A monthly subscription for 9.99 from 15 January 2026 on, unless told otherwise."""
    wanted = {"account": "A1", "start": "2026-01-15", "price": "9.99", "number": "A-S1", **values}
    orders.create_subscription(tenant, Fields(wanted, today=tenant.today), By())
    return tenant.subscriptions[wanted["number"]].latest


def act(tenant: Tenant, action: str, number: str = "A-S1", **values: Any) -> Version:
    """Do an order action; the version after it."""
    orders.place(tenant, tenant.subscriptions[number], action, Fields(values, today=tenant.today), By())
    return tenant.subscriptions[number].latest


def billed(tenant: Tenant, number: str = "A-S1", target: date | None = None) -> Version:
    """The version after a bill run up to today, or another day."""
    subscription = tenant.subscriptions[number]
    tenant.touch(subscription, bill(subscription.latest, target or tenant.today))
    return subscription.latest


def coming(version: Version, target: date, **assumed: Any) -> list[tuple[str, str, str, str]]:
    """What a preview says: charge, first day, day after the last, net amount."""
    items = preview([version], Assumptions(target=target, **assumed))
    return [(each.charge.name, str(each.start), str(each.end), str(each.amount)) for each in items]
