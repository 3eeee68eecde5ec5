"""Zuora's JSON for accounts, contacts and billing previews.

Shapes of "Retrieve an account", "Retrieve a contact" and "Generate a billing preview".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import uuid4

from zuora_emulator.answers import Json, charge_id, contacts, local_time, number, text
from zuora_emulator.billing import Item
from zuora_emulator.records import Account
from zuora_emulator.tenant import Tenant


def account(tenant: Tenant, of: Account) -> Json:
    """An account with its own two contacts."""
    sums = {"balance": 0, "contractedMrr": 0, "totalInvoiceBalance": 0}
    return {
        "basicInfo": {
            "id": of.id,
            "name": of.name,
            "accountNumber": of.number,
            "notes": "",
            "status": "Active",
            "crmId": of.crm_id,
            "batch": "Batch1",
            "communicationProfileId": None,
            "invoiceTemplateId": None,
            "parentId": None,
            "partnerAccount": of.is_partner,
            "profileNumber": "CP-00000001",
            "purchaseOrderNumber": None,
            "salesRep": "",
            "sequenceSetId": None,
            **of.custom_fields,
        },
        "billingAndPayment": {
            "additionalEmailAddresses": [],
            "autoPay": of.auto_pay,
            "billCycleDay": of.bill_cycle_day,
            "currency": of.currency,
            "defaultPaymentMethodId": of.default_payment_method,
            "invoiceDeliveryPrefsEmail": True,
            "invoiceDeliveryPrefsPrint": False,
            "paymentGateway": of.payment_gateway,
            "paymentTerm": "Due Upon Receipt",
        },
        "metrics": {**sums, "creditBalance": 0},
        "metricsData": [{**sums, "currency": of.currency}],
        **contacts(tenant, of),
        "shipToContact": None,
        "taxInfo": None,
        "einvoiceProfile": None,
        "success": True,
    }


def preview(tenant: Tenant, of: Account, items: Iterable[Item], cap: int) -> Json:
    """A billing preview; lines given by hand stand for those of their subscription. Cut off after `cap` rows."""
    now = local_time(tenant.now())
    rows = [_row(item, now) for item in items if item.version.number not in tenant.preview_rows]
    for subscription in tenant.invoiced_to(of.number):
        given = tenant.preview_rows.get(subscription.number, ())
        rows += [_given_row(subscription.number, subscription.latest.id, row, now) for row in given]
    return {"accountId": of.id, "invoiceItems": rows[:cap], "creditMemoItems": [], "success": True}


def _row(item: Item, now: str) -> Json:
    charge = item.charge
    return {
        "id": uuid4().hex,
        "subscriptionName": item.version.number,
        "subscriptionId": item.version.id,
        "subscriptionNumber": item.version.number,
        "serviceStartDate": text(item.start),
        "serviceEndDate": text(item.end - timedelta(days=1)),
        "chargeAmount": number(item.amount),
        "chargeDescription": charge.description,
        "chargeName": charge.name,
        "chargeNumber": charge.number,
        "chargeId": charge_id(item.version, charge),
        "productName": item.plan.product_name,
        "quantity": number(item.quantity),
        "taxAmount": number(item.tax),
        "unitOfMeasure": charge.unit_of_measure or "",
        "chargeDate": now,
        "chargeType": charge.type,
        "processingType": "Discount" if charge.is_discount else "Charge",
        "appliedToItemId": None,
        "numberOfDeliveries": 0,
    }


def _given_row(number: str, version_id: str, row: Json, now: str) -> Json:
    blank = {
        "id": uuid4().hex,
        "subscriptionName": number,
        "subscriptionId": version_id,
        "subscriptionNumber": number,
        "chargeDescription": "",
        "chargeNumber": None,
        "chargeId": None,
        "productName": "",
        "quantity": 1,
        "taxAmount": 0,
        "unitOfMeasure": "",
        "chargeDate": now,
        "chargeType": "Recurring",
        "processingType": "Charge",
        "appliedToItemId": None,
        "numberOfDeliveries": 0,
    }
    return {**blank, **row}
