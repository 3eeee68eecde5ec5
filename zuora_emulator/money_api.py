"""Zuora's addresses of payments, refunds and invoices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zuora_emulator import money_answers as shown
from zuora_emulator.answers import Json
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.invoice_files import pdf_of
from zuora_emulator.ledger import Document, Payment, paid
from zuora_emulator.messages import Answer, Request
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.records import Account, hex_id
from zuora_emulator.settling import decline_of

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi

#: What payments may be listed by.
_PAYMENT_FILTERS = ("accountId", "amount", "currency", "effectiveDate", "number", "status", "type")


def create_payment(api: ZuoraApi, request: Request) -> Json:
    """As "Create a payment": one that the bank declines is a payment in error, and pays nothing."""
    tenant = api.tenant
    asked = Fields(request.json(), today=tenant.today)
    account = api.need_account(asked.text("accountNumber") or asked.need("accountId"))
    kind, amount = asked.one_of("type", ("External", "Electronic"), ""), asked.number("amount")
    if amount is None or amount <= 0:
        raise Refused("amount must be above 0", 50000020)
    if asked.need("currency") != account.currency:
        raise Refused(f"The currency of the account is {account.currency}.", 50000020)
    if asked.day("effectiveDate", tenant.today) != tenant.today and kind == "Electronic":
        raise Refused("effectiveDate of an electronic payment must be today.", 50000020)
    order = asked.text("gatewayOrderId")
    if order and any(
        each.gateway_order == order and each.status == "Processed" for each in tenant.ledger.payments.values()
    ):
        raise Refused(f"The gateway refuses the order id {order}: it was used before.", 50000099)
    method = method_for(api, asked.text("paymentMethodId"), account) if kind == "Electronic" else None
    after: list[Document] = []
    for name, of, key in (("invoices", "Invoice", "invoiceId"), ("debitMemos", "DebitMemo", "debitMemoId")):
        for part in asked.inner_list(name):
            document = tenant.ledger.need(of, part.need(key))
            if document.account != account.number:
                raise Refused(f"{document.number} is not one of the account {account.number}.", 50000020)
            after.append(paid(document, part.number("amount", document.balance) or document.balance))
    applied = tuple((each.id, each.settled - tenant.ledger.documents[each.id].settled) for each in after)
    if sum((part for _, part in applied), Decimal(0)) > amount:
        raise Refused("The amounts of the invoices are above the amount of the payment.", 50000020)
    declined = decline_of(method, request.troubles) if method else None
    payment = make_payment(
        api,
        account,
        amount,
        method,
        kind=kind,
        order=order,
        applied=() if declined else applied,
        declined=declined,
    )
    tenant.put_money(payment, *(() if declined else after))
    return {**shown.payment(payment, account), "success": True}


def list_payments(api: ZuoraApi, request: Request) -> Json:
    """As "List payments", by the account's id among other things."""
    tenant = api.tenant
    kept = []
    for payment in reversed(tenant.ledger.payments.values()):
        row = shown.payment(payment, tenant.accounts[payment.account])
        wanted = {name: value for name in _PAYMENT_FILTERS if (value := request.one(name)) is not None}
        if all(str(row.get(name)) == value for name, value in wanted.items()):
            kept.append(row)
    page, rest = api.page(request, kept)
    return {"payments": page, "success": True, **rest}


def show_payment(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a payment"."""
    payment = api.tenant.ledger.find_payment(key)
    if payment is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return {**shown.payment(payment, api.tenant.accounts[payment.account]), "success": True}


def show_refund(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a refund"."""
    refund = api.tenant.ledger.find_refund(key)
    if refund is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return {**shown.refund(refund, api.tenant.accounts[refund.account]), "success": True}


def list_refunds(api: ZuoraApi, request: Request) -> Json:
    """As "List refunds"."""
    tenant = api.tenant
    wanted = request.one("accountId")
    rows = [shown.refund(each, tenant.accounts[each.account]) for each in reversed(tenant.ledger.refunds.values())]
    page, rest = api.page(request, [row for row in rows if wanted in (None, row["accountId"])])
    return {"refunds": page, "success": True, **rest}


def shower(kind: str, show: Callable[[Document, Account], Json]) -> Callable[..., Json]:
    """Shows a document as "Retrieve an invoice", "… a credit memo" and "… a debit memo", by id or number."""

    def work(api: ZuoraApi, _: Request, key: str) -> Json:
        found = api.tenant.ledger.need(kind, key)
        return {**show(found, api.tenant.accounts[found.account]), "success": True}

    return work


def list_invoice_items(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "List all items of an invoice"."""
    found = api.tenant.ledger.need("Invoice", key)
    page, rest = api.page(request, list(found.lines))
    return {"invoiceItems": [shown.invoice_item(found, each) for each in page], "success": True, **rest}


def list_invoice_files(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "List all files of an invoice": one PDF, whose address needs the same token."""
    found = api.tenant.ledger.need("Invoice", key)
    file = {"id": hex_id("file", found.id), "versionNumber": 1, "pdfFileUrl": f"/v1/files/{hex_id('file', found.id)}"}
    return {"invoiceFiles": [file], "success": True}


def show_file(api: ZuoraApi, _: Request, key: str) -> Answer:
    """As "Retrieve a file": the PDF of an invoice."""
    tenant = api.tenant
    for document in tenant.ledger.documents.values():
        if document.kind == "Invoice" and hex_id("file", document.id) == key:
            body = pdf_of(document, tenant.accounts[document.account])
            return Answer(200, body, content_type="application/pdf")
    raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)


def list_documents(api: ZuoraApi, request: Request) -> Json:
    """As "List billing documents for an account"."""
    account = api.need_account(request.one("accountId") or request.one("accountNumber") or "")
    found = api.tenant.ledger.of_account(account.number)
    page, rest = api.page(request, [shown.billing_document(each, account) for each in found])
    return {"documents": page, "success": True, **rest}


def method_for(api: ZuoraApi, key: str | None, account: Account) -> PaymentMethod:
    """The method that pays, the account's default unless another is named. Raises Refused."""
    chosen = key or account.default_payment_method
    if chosen is None:
        raise Refused(f"The account {account.number} has no payment method.", 50000030)
    return api.tenant.payment_methods.taken(chosen, account.number, api.tenant.now())


def make_payment(
    api: ZuoraApi,
    account: Account,
    amount: Decimal,
    method: PaymentMethod | None,
    *,
    kind: str = "Electronic",
    order: str | None = None,
    applied: tuple[tuple[str, Decimal], ...] = (),
    declined: str | None = None,
) -> Payment:
    """A payment that has just been made, or declined; not yet put."""
    tenant = api.tenant
    today: date = tenant.today
    serial = tenant.next_number("P-")
    return Payment(
        id=hex_id("payment", serial),
        number=serial,
        account=account.number,
        currency=account.currency,
        amount=amount,
        day=today,
        type=kind,
        method=method.id if method else None,
        gateway_order=order,
        status="Error" if declined else "Processed",
        response=declined or "Approved",
        applied=applied,
        created=tenant.now(),
    )


ROUTES: dict[str, Any] = {
    "POST /v1/payments": create_payment,
    "GET /v1/payments": list_payments,
    "GET /v1/payments/{key}": show_payment,
    "GET /v1/refunds": list_refunds,
    "GET /v1/refunds/{key}": show_refund,
    "GET /v1/invoices/{key}": shower("Invoice", shown.invoice),
    "GET /v1/invoices/{key}/items": list_invoice_items,
    "GET /v1/invoices/{key}/files": list_invoice_files,
    "GET /v1/files/{id}": show_file,
    "GET /v1/billing-documents": list_documents,
}
