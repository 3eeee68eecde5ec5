"""Zuora's JSON for documents, payments and refunds: shapes of "Retrieve an invoice", "… a credit memo" and so on."""

from __future__ import annotations

from zuora_emulator.answers import Json, number, text
from zuora_emulator.ledger import Document, Line, Payment, Refund
from zuora_emulator.records import Account
from zuora_emulator.tenant import LIMIO_USER


def invoice(of: Document, account: Account) -> Json:
    """An invoice without its items."""
    return {
        **_document(of, account),
        "invoiceNumber": of.number,
        "invoiceDate": text(of.day),
        "dueDate": text(of.day),
        "amountWithoutTax": number(of.amount - of.tax),
        "balance": number(of.balance),
        "paymentAmount": number(of.settled),
        "refundAmount": 0,
        "creditMemoAmount": 0,
        "source": "API",
        "sourceType": "Order" if of.order else "Subscription",
        "includesOneTime": any(each.charge_type == "OneTime" for each in of.lines),
        "includesRecurring": any(each.charge_type == "Recurring" for each in of.lines),
        "includesUsage": False,
    }


def invoice_item(of: Document, line: Line) -> Json:
    """A line of an invoice as "List all items of an invoice" has it."""
    shown = {
        "id": line.id,
        "chargeName": line.name,
        "chargeType": line.charge_type,
        "chargeAmount": number(line.amount),
        "chargeDate": of.created.isoformat(),
        "chargeDescription": "",
        "taxAmount": number(line.tax),
        "quantity": number(line.quantity),
        "unitPrice": number(line.amount),
        "processingType": "Discount" if line.is_discount else "Charge",
        "productName": line.product,
        "productRatePlanChargeId": line.product_charge_id,
        "serviceStartDate": text(line.start),
        "serviceEndDate": text(line.end),
        "subscriptionName": line.subscription,
    }
    return {name: value for name, value in shown.items() if value is not None}


def credit_memo(of: Document, account: Account) -> Json:
    """A credit memo."""
    return {
        **_document(of, account),
        "number": of.number,
        "accountNumber": account.number,
        "creditMemoDate": text(of.day),
        "appliedAmount": number(of.settled),
        "refundAmount": number(of.refunded),
        "unappliedAmount": number(of.balance),
        "excludeFromAutoApplyRules": not of.is_applied_automatically,
        "sourceType": "Order" if of.order else "Standalone",
        "reversed": False,
        **_said(of),
    }


def debit_memo(of: Document, account: Account) -> Json:
    """A debit memo."""
    return {
        **_document(of, account),
        "number": of.number,
        "accountNumber": account.number,
        "debitMemoDate": text(of.day),
        "dueDate": text(of.day),
        "balance": number(of.balance),
        "beAppliedAmount": number(of.settled),
        "autoPay": account.auto_pay,
        "sourceType": "Standalone",
        **_said(of),
    }


def payment(of: Payment, account: Account) -> Json:
    """A payment."""
    shown = {
        "id": of.id,
        "number": of.number,
        "accountId": account.id,
        "accountNumber": account.number,
        "amount": number(of.amount),
        "appliedAmount": number(of.applied_amount),
        "unappliedAmount": number(of.amount - of.applied_amount) if of.status == "Processed" else 0,
        "refundAmount": 0,
        "creditBalanceAmount": 0,
        "currency": of.currency,
        "effectiveDate": f"{of.day} 00:00:00",
        "type": of.type,
        "status": of.status,
        "paymentMethodId": of.method,
        "gatewayId": of.gateway,
        "gatewayOrderId": of.gateway_order,
        "gatewayResponse": of.response,
        "gatewayResponseCode": of.response,
        "gatewayState": "Submitted" if of.status == "Processed" else "NotSubmitted",
        "createdById": LIMIO_USER,
        "createdDate": of.created.isoformat(),
        "updatedById": LIMIO_USER,
        "updatedDate": of.created.isoformat(),
        "standalone": False,
    }
    return {name: value for name, value in shown.items() if value is not None}


def refund(of: Refund, account: Account) -> Json:
    """A refund of a credit memo."""
    shown = {
        "id": of.id,
        "number": of.number,
        "accountId": account.id,
        "amount": number(of.amount),
        "creditMemoId": of.memo,
        "refundDate": text(of.day),
        "type": of.type,
        "status": of.status,
        "paymentMethodId": of.method,
        "gatewayId": of.gateway,
        "gatewayResponse": of.response,
        "gatewayResponseCode": of.response,
        "gatewayState": "Submitted" if of.status == "Processed" else "NotSubmitted",
        "createdById": LIMIO_USER,
        "createdDate": of.created.isoformat(),
        "updatedById": LIMIO_USER,
        "updatedDate": of.created.isoformat(),
    }
    return {name: value for name, value in shown.items() if value is not None}


def billing_document(of: Document, account: Account) -> Json:
    """A document as "List billing documents for an account" has it."""
    return {
        "id": of.id,
        "accountId": account.id,
        "accountNumber": account.number,
        "documentType": of.kind,
        "documentNumber": of.number,
        "documentDate": text(of.day),
        "amount": number(of.amount),
        "balance": number(of.balance),
        "currency": of.currency,
        "status": "Posted",
    }


def queried_invoice(of: Document, account: Account) -> Json:
    """Object Query's row of an invoice."""
    shown = invoice(of, account)
    return {**shown, "postedDate": of.created.isoformat()}


def queried_item(of: Document, line: Line, account: Account) -> Json:
    """Object Query's row of a line of an invoice."""
    return {
        "id": line.id,
        "invoiceId": of.id,
        "accountId": account.id,
        "chargeName": line.name,
        "chargeAmount": number(line.amount),
        "taxAmount": number(line.tax),
        "quantity": number(line.quantity),
        "processingType": "Discount" if line.is_discount else "Charge",
        "serviceStartDate": text(line.start),
        "serviceEndDate": text(line.end),
        "subscriptionNumber": line.subscription,
        "createdDate": of.created.isoformat(),
        "updatedDate": of.created.isoformat(),
    }


def _document(of: Document, account: Account) -> Json:
    """What invoices and memos share."""
    return {
        "id": of.id,
        "accountId": account.id,
        "amount": number(of.amount),
        "taxAmount": number(of.tax),
        "currency": of.currency,
        "status": "Posted",
        "targetDate": text(of.target or of.day),
        "createdById": LIMIO_USER,
        "createdDate": of.created.isoformat(),
        "updatedById": LIMIO_USER,
        "updatedDate": of.created.isoformat(),
    }


def _said(of: Document) -> Json:
    """The fields that the caller gave a memo."""
    shown = {"reasonCode": of.reason, "comment": of.comment, **of.custom_fields}
    return {name: value for name, value in shown.items() if value is not None}
