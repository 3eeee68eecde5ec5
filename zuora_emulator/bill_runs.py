"""A bill run: everything due up to a day is billed, and each payer gets an invoice of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from zuora_emulator import billing
from zuora_emulator.records import Subscription
from zuora_emulator.settling import document_of
from zuora_emulator.tenant import Tenant


def run(tenant: Tenant, among: Iterable[Subscription], target: date) -> list[str]:
    """Bill these subscriptions up to a day; the number of the payer of each one that changed.

    One that is invoiced separately has an invoice of its own, the others of a payer share one.
    """
    payers: list[str] = []
    bills: dict[tuple[str, str], list[billing.Item]] = {}
    for subscription in among:
        before = subscription.latest
        after = billing.bill(before, target)
        if after.rate_plans == before.rate_plans:
            continue
        payers.append(after.invoice_owner)
        bill = (after.invoice_owner, after.number if after.invoice_separately else "")
        bills.setdefault(bill, []).extend(billing.lines(before, billing.Assumptions(target=target)))
        tenant.touch(subscription, after)
    for (payer, _), items in bills.items():
        if items:
            tenant.put_money(document_of(tenant, tenant.accounts[payer], items, "Invoice", target))
    return payers
