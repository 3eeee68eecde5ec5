"""What an order would bill, without placing it. Source: "Preview an order" of Zuora's API reference."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from zuora_emulator import settling
from zuora_emulator.account_bodies import owner_of
from zuora_emulator.billing import Item
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.periods import add_term
from zuora_emulator.placing import parts_of
from zuora_emulator.records import Account, Version
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]


def preview(tenant: Tenant, body: Json) -> Json:
    """What an order would bill, up to a day or the end of the term. Raises Refused."""
    asked = Fields(body, today=tenant.today)
    options = asked.inner("previewOptions")
    if options is None:
        raise Refused("previewOptions is missing", 40000022)
    account = _previewed_account(tenant, asked)
    invoices = []
    for part in parts_of(tenant, asked, account):
        before = part.before.latest if part.before else None
        target = _preview_target(options, part.after)
        # A preview tells what a Pending Activation subscription costs, too.
        items = settling.items_of(before, replace(part.after, base_status="Active"), target)
        if items:
            invoices.append(_previewed(items, target, is_new=part.before is None))
    return {"success": True, "previewResult": {"invoices": invoices}}


def _previewed_account(tenant: Tenant, asked: Fields) -> Account:
    """The account of a preview: one that is there, or one that `previewAccountInfo` or `newAccount` describe."""
    info = asked.inner("previewAccountInfo")
    if info is None:
        return owner_of(tenant, asked).account
    now = tenant.now()
    return Account(
        id="", number="", name="", currency=info.need("currency"), bill_to=None, sold_to=None, created=now, updated=now
    )


def _preview_target(options: Fields, version: Version) -> date:
    match options.text("previewThruType", "SpecificDate"):
        case "TermEnd" if version.term_end is not None:
            return version.term_end
        case "NumberOfPeriods":
            return add_term(options.today, options.whole("previewNumberOfPeriods") or 1, "Month")
        case _:
            return options.day("specificPreviewThruDate", options.today) or options.today


def _previewed(items: list[Item], target: date, *, is_new: bool) -> Json:
    lines = [settling.line_of(each, 1, "preview") for each in items]
    net, tax = sum(each.amount for each in lines), sum(each.tax for each in lines)
    return {
        "amount": float(net + tax),
        "amountWithoutTax": float(net),
        "taxAmount": float(tax),
        "targetDate": target.isoformat(),
        "invoiceItems": [
            {
                "serviceStartDate": line.start.isoformat() if line.start else None,
                "serviceEndDate": line.end.isoformat() if line.end else None,
                "amountWithoutTax": float(line.amount),
                "taxAmount": float(line.tax),
                "chargeDescription": "",
                "chargeName": line.name,
                "chargeNumber": None if is_new else line.charge_number,
                "processingType": "Discount" if line.is_discount else "Charge",
                "productName": line.product,
                "productRatePlanChargeId": line.product_charge_id,
                "unitPrice": float(line.amount),
                "subscriptionNumber": None if is_new else line.subscription,
                "orderLineItemNumber": None,
                "additionalInfo": {"quantity": float(line.quantity), "unitOfMeasure": "", "numberOfDeliveries": 0},
            }
            for line in lines
        ],
    }
